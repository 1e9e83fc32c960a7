import VecDB
import VecDBReplication
import VecDBReplicationProtocol

/// How much of what was acknowledged may be lost when a node takes over by itself.
public enum LossPolicy: Sendable, Hashable {
  /// Nothing: it takes over only if that can be proven, and raises an alarm otherwise.
  case none
  /// At most so many batches.
  case bounded(batches: UInt64)
  /// Any number.
  case any

  /// `none`, `bounded:N` or `any`; nil for another text.
  public init?(_ text: String) {
    switch text {
    case "none": self = .none
    case "any": self = .any
    default:
      guard text.hasPrefix("bounded:"), let batches = UInt64(text.dropFirst(8)) else { return nil }
      self = .bounded(batches: batches)
    }
  }

  package var text: String {
    switch self {
    case .none: "none"
    case .bounded(let batches): "bounded:\(batches)"
    case .any: "any"
    }
  }

  var limit: LossLimit {
    switch self {
    case .none: .none
    case .bounded(let batches): .batches(batches)
    case .any: .any
    }
  }
}

/// How a node takes part in a cluster that decides by itself who its primary is.
public struct CoordinationOptions: Sendable {
  /// The name of the cluster: 1 to 100 letters, digits, `-`, `_` or `.`. It stands for one database.
  public var cluster: String
  public var coordinator: Coordinator
  /// How long after its last sign of life a primary is replaced, in whole seconds from 3 to 300. A
  /// primary that acknowledges writes without replicas stops a fifth of that earlier. Default: 5 s.
  public var leaseSeconds = 5
  public var loss = LossPolicy.none
  /// Of nodes that have equally much, the one with the highest priority takes over. Default: 0.
  public var priority = 0
  /// This node never takes over, as one that is far away.
  public var isNeverPrimary = false
  /// Where others reach this node. Default: where it listens.
  public var advertised: NodeAddress?

  public init(cluster: String, coordinator: Coordinator) {
    self.cluster = cluster
    self.coordinator = coordinator
  }

  func validate(_ replication: ReplicationOptions) throws -> NodeAddress {
    try Self.requireName(cluster)
    try coordinator.validate()
    guard (3...300).contains(leaseSeconds) else {
      throw VecDBError(
        .invalidArgument, "a lease of \(leaseSeconds) s cannot be kept",
        remedy: "Use 3 to 300 s; 5 s fit a network of one site.")
    }
    guard let address = advertised ?? replication.listen, address.port > 0 else {
      throw VecDBError(
        .invalidArgument, "other nodes must be able to reach this one",
        remedy: "Let it listen at a host and a port other than 0.")
    }
    guard !["0.0.0.0", "::"].contains(address.host) else {
      throw VecDBError(
        .invalidArgument, "\(address) is no address at which others reach this node",
        remedy: "Say where they do (advertised, --advertise).")
    }
    // The name is part of a key.
    guard !replication.name.contains("/") else {
      throw VecDBError(
        .invalidArgument, "the name '\(replication.name)' has a slash",
        remedy: "Give this node a name without one.")
    }
    return address
  }

  package static func requireName(_ cluster: String) throws {
    let isGood = cluster.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard isGood, (1...100).contains(cluster.utf8.count) else {
      throw VecDBError(
        .invalidArgument, "'\(cluster)' is no name of a cluster",
        remedy: "Use 1 to 100 letters, digits, '-', '_' or '.'.")
    }
  }
}
