import NIOCore
import VecDB

/// How connections between nodes are protected: TLS, which the library `ReplicationTLS` adds with
/// the package trait `TLS`, or not at all, and then on loopback alone.
public struct TransportSecurity: Sendable {
  package typealias Handlers = @Sendable (_ isServer: Bool) throws -> [any ChannelHandler]
  /// Of the peer of a connection whose handshake is over: the names in its certificate, in lower
  /// case, or why it is not let in.
  package enum Verdict: Sendable {
    case certified([String])
    case refused(String)
  }
  package typealias Judge = @Sendable (ChannelPipeline.SynchronousOperations) -> Verdict

  /// What has to be proven before a message goes through.
  package struct Proof: Sendable {
    package var judge: Judge
    /// An error of the handshake in words.
    package var explain: @Sendable (any Error) -> String
    /// When this node's own certificate ends, in seconds since 1970.
    package var expires: @Sendable () -> Int64
    /// The names in this node's own certificate, in lower case.
    package var names: @Sendable () -> [String]

    package init(
      judge: @escaping Judge, explain: @escaping @Sendable (any Error) -> String,
      expires: @escaping @Sendable () -> Int64, names: @escaping @Sendable () -> [String]
    ) {
      self.names = names
      self.judge = judge
      self.explain = explain
      self.expires = expires
    }
  }

  package let name: String
  /// Handlers that go before all others.
  package let makeHandlers: Handlers
  /// Nil: nothing is proven, and the connection stays on this machine.
  package let proof: Proof?

  package init(name: String, proof: Proof?, makeHandlers: @escaping Handlers) {
    self.name = name
    self.proof = proof
    self.makeHandlers = makeHandlers
  }

  /// No protection at all, and for that reason only on 127.0.0.1 and ::1.
  public static let insecureLoopback = TransportSecurity(
    name: "plaintext on loopback", proof: nil, makeHandlers: { _ in [] })

  func require(_ address: NodeAddress) throws {
    guard proof != nil || address.isLoopback else {
      throw VecDBError(
        .invalidArgument, "\(address) is not on this machine, and the connection is not protected",
        at: "\(address)",
        remedy: "Use TLS, or 127.0.0.1 and a tunnel between hosts.")
    }
  }

  /// The name that a node has if it is given none: the first one in its certificate.
  package var certifiedName: String? { proof?.names().first }

  /// A node speaks under a name of its certificate, and nobody would let it in under another.
  func require(name: String) throws {
    guard let names = proof?.names(), !names.contains(name.lowercased()) else { return }
    throw VecDBError(
      .invalidArgument,
      "the node's name is '\(name)', and its certificate is of '\(names.joined(separator: ", "))'",
      at: name, remedy: "Use a DNS name of the certificate as the node's name (--name).")
  }

  func explain(_ error: any Error) -> String { proof?.explain(error) ?? "\(error)" }
}
