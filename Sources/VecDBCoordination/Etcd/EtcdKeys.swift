import FoundationEssentials
import VecDBReplicationProtocol

/// Where etcd has what of one cluster.
///
/// | key | value | under the node's lease |
/// |---|---|---|
/// | `/vecdb/NAME/leader` | who has the lease of the primary | yes |
/// | `/vecdb/NAME/members/NODE` | what the node tells of itself | yes |
/// | `/vecdb/NAME/database` | the id of the database | no |
/// | `/vecdb/NAME/allowed` | who may take the lease, and the epoch of the last primary | no |
/// | `/vecdb/NAME/wish` | a wish for a switchover | no |
/// | `/vecdb/NAME/paused` | nobody takes over as long as it is there | no |
package struct EtcdKeys: Sendable {
  let prefix: String

  package init(cluster: String) { prefix = "/vecdb/\(cluster)/" }

  var leader: String { prefix + "leader" }
  var database: String { prefix + "database" }
  var allowed: String { prefix + "allowed" }
  var wish: String { prefix + "wish" }
  var paused: String { prefix + "paused" }

  func member(_ name: String) -> String { prefix + "members/" + name }

  /// The first key behind all with the prefix, which ends with a slash.
  var end: String { String(prefix.dropLast()) + "0" }

  struct LeaderRecord: Codable {
    var name: String
    var from: String?
  }

  struct AllowedRecord: Codable {
    var names: [String]
    var epoch: UInt64
  }

  /// What all keys of the cluster say together. Throws for a value that is not understood: half a view
  /// is none.
  func view(_ pairs: [EtcdMessage.Pair]) throws -> ClusterView {
    var view = ClusterView()
    for pair in pairs {
      guard let key = pair.key?.text, key.hasPrefix(prefix) else { continue }
      let value = pair.value?.text ?? ""
      let lease = try pair.lease.map { try EtcdNumber.read($0) } ?? 0
      switch key {
      case leader:
        let record = try JSONDecoder().decode(LeaderRecord.self, from: Data(value.utf8))
        view.leader = .init(name: record.name, lease: lease, from: record.from)
      case database: view.databaseID = value
      case allowed:
        let record = try JSONDecoder().decode(AllowedRecord.self, from: Data(value.utf8))
        view.allowed = record.names
        view.epoch = record.epoch
      case wish: view.wish = try JSONDecoder().decode(SwitchoverWish.self, from: Data(value.utf8))
      case paused: view.isPaused = true
      default:
        guard key.hasPrefix(prefix + "members/") else { continue }
        var member = try JSONDecoder().decode(ClusterMember.self, from: Data(value.utf8))
        member.lease = lease
        view.members.append(member)
      }
    }
    view.members.sort { $0.name < $1.name }
    return view
  }
}

/// A 64-bit number as the gateway writes it.
enum EtcdNumber {
  struct Unreadable: Error, CustomStringConvertible {
    var text: String
    var description: String { "'\(text)' is no number of 64 bits" }
  }

  static func read(_ text: String) throws -> UInt64 {
    guard let number = Int64(text) else { throw Unreadable(text: text) }
    return UInt64(bitPattern: number)
  }

  static func write(_ number: UInt64) -> String { "\(Int64(bitPattern: number))" }
}
