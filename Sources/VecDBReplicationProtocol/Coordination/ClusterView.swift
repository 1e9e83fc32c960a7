/// What a node tells of itself to the other nodes of its cluster.
package struct ClusterMember: Sendable, Hashable, Codable {
  package enum Role: String, Sendable, Codable {
    case primary
    case follower
    /// It has no database yet.
    case empty
  }

  package var name: String
  /// Where other nodes reach it, as host:port.
  package var address: String
  package var role = Role.empty
  package var databaseID: String?
  package var epoch: UInt64 = 0
  package var lsn: UInt64 = 0
  /// Whether it accepts writes now.
  package var isWritable = false
  /// It follows the primary, and hears it.
  package var hearsPrimary = false
  /// It fetches a copy, has an alarm, or its disk fails: it is not to become the primary.
  package var isUnfit = false
  package var isNeverPrimary = false
  /// Of those that have equally much, the one with the higher priority goes first.
  package var priority = 0
  package var version = ""
  package var lagLSN: UInt64?
  package var alarms: [String] = []
  /// Settings that should be the same everywhere, by name.
  package var settings: [String: String] = [:]
  /// Milliseconds since 1970 by its own clock. For people; nothing is decided by it.
  package var time: Int64 = 0
  /// The lease that its record is under. Not part of the record.
  package var lease: UInt64 = 0

  private enum CodingKeys: String, CodingKey {
    case name, address, role, databaseID, epoch, lsn, isWritable, hearsPrimary, isUnfit
    case isNeverPrimary, priority, version, lagLSN, alarms, settings, time
  }

  package init(name: String, address: String = "") {
    self.name = name
    self.address = address
  }

  /// Whether this is worth telling at once.
  func differsMuch(from other: ClusterMember) -> Bool {
    role != other.role || epoch != other.epoch || databaseID != other.databaseID
      || isUnfit != other.isUnfit || isWritable != other.isWritable
      || hearsPrimary != other.hearsPrimary
  }
}

/// Somebody asks that the primary hand over.
package struct SwitchoverWish: Sendable, Hashable, Codable {
  /// The primary that is to hand over; one that is not the primary any more is not meant.
  package var from: String
  /// Nil: whoever has most.
  package var to: String?

  package init(from: String, to: String? = nil) {
    self.from = from
    self.to = to
  }
}

/// Everything that the coordinator has of a cluster, at one moment.
package struct ClusterView: Sendable, Hashable {
  package struct Leader: Sendable, Hashable {
    package var name: String
    package var lease: UInt64
    /// The primary that handed it over; nil if it was free.
    package var from: String?

    package init(name: String, lease: UInt64, from: String? = nil) {
      self.name = name
      self.lease = lease
      self.from = from
    }
  }

  /// Who has the lease of the primary.
  package var leader: Leader?
  package var members: [ClusterMember] = []
  /// The database that the cluster's name stands for.
  package var databaseID: String?
  /// Those that may take the lease; nil as long as nobody has said.
  package var allowed: [String]?
  /// The epoch of the last primary.
  package var epoch: UInt64 = 0
  package var isPaused = false
  package var wish: SwitchoverWish?

  package init() {}

  package func member(_ name: String) -> ClusterMember? { members.first { $0.name == name } }
}
