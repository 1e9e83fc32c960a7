import NIOCore
import VecDB

/// How connections between nodes are protected: TLS, which the library `ReplicationTLS` adds with
/// the package trait `TLS`, or not at all, and then on loopback alone.
public struct TransportSecurity: Sendable {
  package typealias Handlers = @Sendable (_ isServer: Bool) throws -> [any ChannelHandler]
  /// Why the peer of a connection whose handshake is over is not let in; nil if it is.
  package typealias Judge = @Sendable (ChannelPipeline.SynchronousOperations) -> String?

  /// What has to be proven before a message goes through.
  package struct Proof: Sendable {
    package var judge: Judge
    /// An error of the handshake in words.
    package var explain: @Sendable (any Error) -> String
    /// When this node's own certificate ends, in seconds since 1970.
    package var expires: @Sendable () -> Int64

    package init(
      judge: @escaping Judge, explain: @escaping @Sendable (any Error) -> String,
      expires: @escaping @Sendable () -> Int64
    ) {
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

  func explain(_ error: any Error) -> String { proof?.explain(error) ?? "\(error)" }
}
