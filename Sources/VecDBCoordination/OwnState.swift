import Glibc
import VecDB
import VecDBReplication
import VecDBReplicationProtocol

/// What a node tells of itself to its cluster.
enum OwnState {
  static let version = "0.1.0"

  static func read(
    _ node: ReplicationNode?, name: String, address: NodeAddress, options: CoordinationOptions,
    replication: ReplicationOptions
  ) async -> (Coordination.Own, NodeStatus?) {
    var member = ClusterMember(name: name, address: "\(address)")
    member.priority = options.priority
    member.isNeverPrimary = options.isNeverPrimary
    member.version = version
    member.settings = settings(options, replication)
    guard let node else { return (.init(member: member, acknowledgesAlone: true), nil) }
    let status = await node.status()
    member.time = time()
    member.databaseID = status.databaseID
    member.role = status.role == .primary ? .primary : .follower
    // A copy that is being fetched for the first time is none yet.
    if status.databaseID == nil { member.role = .empty }
    member.epoch = status.epoch
    member.lsn = status.lsn
    member.isWritable = status.isWritable == true
    member.hearsPrimary = status.isConnected && status.followsPrimary == true
    member.lagLSN = status.lagLSN
    member.alarms = status.alarms
    member.isUnfit =
      status.isFetching == true || status.isPoisoned == true
      || status.role == .follower && !status.alarms.isEmpty
    return (.init(member: member, acknowledgesAlone: await node.acknowledgesAlone), status)
  }

  private static func settings(
    _ options: CoordinationOptions, _ replication: ReplicationOptions
  ) -> [String: String] {
    var settings = ["lease": "\(options.leaseSeconds) s", "loss": options.loss.text]
    if let acknowledgement = replication.acknowledgement {
      settings["needed"] = "\(acknowledgement.needed) of \(acknowledgement.replicas.count)"
      settings["max-lag"] = "\(acknowledgement.maximumLag)"
      settings["on-timeout"] = acknowledgement.degrades ? "degrade" : "block"
      settings["ack-timeout"] = "\(acknowledgement.timeoutMilliseconds) ms"
    } else {
      settings["needed"] = "as the database has it"
    }
    settings["connections"] = replication.security.name
    return settings
  }

  private static func time() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}
