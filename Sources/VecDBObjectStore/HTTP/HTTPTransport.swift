/// Sends one request and waits for the answer. Any thread; several at once.
package protocol HTTPTransport: Sendable {
  /// Throws `TransportFailure`.
  func send(_ request: HTTPRequest) throws -> HTTPResponse
}

/// A request that got no whole answer.
package struct TransportFailure: Error, Sendable {
  package enum Kind: Sendable {
    /// The host is not there or takes no connection: nothing was sent.
    case unreachable
    /// The other end is not who it should be, or TLS failed: nothing was sent.
    case untrusted
    /// No answer in time, a connection that broke, or an answer that broke off.
    case interrupted
    /// The answer is longer than was allowed.
    case tooLong
    /// The program has no such client.
    case unsupported
  }

  package var kind: Kind
  package var message: String

  package init(kind: Kind, message: String) {
    self.kind = kind
    self.message = message
  }
}
