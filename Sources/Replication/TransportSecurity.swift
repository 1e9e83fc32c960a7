import NIOCore
import VecDB

/// How connections between nodes are protected. What there is: plaintext, on loopback alone.
/// Between hosts, a tunnel that authenticates both sides brings the peer to loopback.
public struct TransportSecurity: Sendable {
  package typealias Handlers = @Sendable (_ host: String?) throws -> [any ChannelHandler]

  package let name: String
  package let isLoopbackOnly: Bool
  /// Handlers that go before all others; the host is that of the server for a client, else nil.
  package let makeHandlers: Handlers

  package init(name: String, isLoopbackOnly: Bool, makeHandlers: @escaping Handlers) {
    self.name = name
    self.isLoopbackOnly = isLoopbackOnly
    self.makeHandlers = makeHandlers
  }

  /// No protection at all, and for that reason only on 127.0.0.1 and ::1.
  public static let insecureLoopback = TransportSecurity(
    name: "plaintext on loopback", isLoopbackOnly: true, makeHandlers: { _ in [] })

  func require(_ address: NodeAddress) throws {
    guard !isLoopbackOnly || address.isLoopback else {
      throw VecDBError(
        .invalidArgument, "\(address) is not on this machine, and the connection is not protected",
        at: "\(address)", remedy: "Use 127.0.0.1, and a tunnel between hosts.")
    }
  }
}
