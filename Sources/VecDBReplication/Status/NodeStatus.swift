import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// What a node is and how far it is; the JSON of the status page.
public struct NodeStatus: Sendable, Codable {
  public struct Follower: Sendable, Codable {
    public var name: String
    public var receivedLSN: UInt64
    public var durableLSN: UInt64
    public var appliedLSN: UInt64
    public var searchableLSN: UInt64
    public var lagLSN: UInt64
    public var lagBytes: UInt64
    public var isFetchingSnapshot: Bool
  }

  public var name: String
  public var role: ReplicationNode.Role
  public var databaseID: String?
  public var epoch: UInt64
  /// The highest epoch that this node knows or has bound itself to.
  public var highestEpoch: UInt64
  public var lsn: UInt64
  public var chain: String
  public var dataDigest: String
  public var checkpointLSN: UInt64
  /// Followers: how far they are.
  public var followers: [Follower]
  /// A follower's own position, and how far it is behind; nil on a primary.
  public var primary: String?
  public var isConnected: Bool
  public var receivedLSN: UInt64?
  public var durableLSN: UInt64?
  public var appliedLSN: UInt64?
  public var searchableLSN: UInt64?
  public var lagLSN: UInt64?
  public var lagBytes: UInt64?
  /// Nil as long as the primary was never heard.
  public var lagTime: Duration? { lagSeconds.map { Duration(inSeconds: $0) } }
  package var lagSeconds: Double?
  /// Writes acknowledged without the replicas that were asked for, and whether that goes on.
  public var degradedWrites: Int
  public var isDegraded: Bool
  public var waitingWrites: Int
  /// What a write waits for; nil while the copy is being fetched.
  public var acknowledgement: AcknowledgementInfo?
  /// Of the replicas that count, those that were heard since the start.
  public var heardReplicas: [String]?
  /// Whether a write is accepted now.
  public var isWritable: Bool?
  /// Whether a failed write stopped all writing; the node opens the database again by itself.
  public var isPoisoned: Bool?
  /// How often it did so.
  public var reopenings: Int?
  /// Whether a copy is being fetched.
  public var isFetching: Bool?
  /// What is done at this moment for that, and of how many bytes it has how many. Bytes that were on
  /// this disk already count as well.
  public var fetchStage: String?
  public var fetchedBytes: Int?
  public var fetchTotalBytes: Int?
  /// Whether the node that is followed is the primary, and not a replica itself: writes wait for
  /// those alone that follow the primary.
  public var followsPrimary: Bool?
  /// Digests that differ from the primary's, and whatever else needs somebody.
  public var alarms: [String]
  public var savedTails: [DivergentTailInfo]
  public var lastError: String?
  /// Connections of peers that were not let in since the database was opened, and why the last
  /// one was not.
  public var refusals: Int
  public var lastRefusal: String?
  /// How connections are protected, and when this node's certificate ends, in seconds since 1970.
  public var security: String
  public var certificateExpires: Int64?
}

/// A tail that was saved when this copy was rewound.
public struct DivergentTailInfo: Sendable, Codable {
  public var afterLSN: UInt64
  public var throughLSN: UInt64
  public var frames: String
  public var imports: [String]
}

extension ReplicationNode {
  /// What this node is and how far it is.
  public func status() async -> NodeStatus {
    let state = state.withLock {
      (
        database: $0.database, shipper: $0.shipper, record: $0.record, following: $0.following,
        lag: $0.lag, peer: $0.peer, alarms: $0.alarms.values.sorted(), tails: $0.tails,
        error: $0.lastError, isFetching: $0.isFetching, reopenings: $0.reopenings,
        fetched: $0.fetched, isPoisoned: $0.alarms[.poisoned] != nil
      )
    }
    let isWritable = await isWritable
    let now = Shipper.now()
    let (lag, isStreaming, received, isOfPrimary) = await onQueue {
      (
        state.following?.session.lag ?? state.lag,
        state.following?.session.state == .streaming, state.following?.session.receivedLSN,
        state.following?.session.isOfPrimary
      )
    }
    let (followers, acknowledgement, refusals) = await onQueue {
      (
        state.shipper?.followers ?? [], state.shipper?.acknowledgement,
        state.shipper?.refusals ?? (count: 0, last: nil)
      )
    }
    let isFollower = state.record.isFollower
    let figures = state.database?.figures
    let lsn = state.database?.lsn ?? 0
    return NodeStatus(
      name: options.name, role: isFollower ? .follower : .primary,
      databaseID: (state.database?.logIdentity.databaseID).map { "\($0)" },
      epoch: state.database?.logIdentity.currentEpoch.counter ?? 0,
      highestEpoch: max(
        state.record.fence.epoch.counter, state.database?.logIdentity.currentEpoch.counter ?? 0),
      lsn: lsn, chain: state.database?.logEnd.chain.hex ?? "",
      dataDigest: figures?.dataDigest.hex ?? "", checkpointLSN: figures?.checkpointLSN ?? 0,
      followers: followers.map {
        NodeStatus.Follower(
          name: $0.name, receivedLSN: $0.receivedLSN, durableLSN: $0.durableLSN,
          appliedLSN: $0.appliedLSN, searchableLSN: $0.searchableLSN, lagLSN: $0.lagLSN,
          lagBytes: $0.lagBytes, isFetchingSnapshot: $0.isFetchingSnapshot)
      }, primary: isFollower ? state.peer.map { "\($0)" } : nil,
      isConnected: isFollower && isStreaming,
      receivedLSN: isFollower ? max(received ?? lsn, lsn) : nil,
      durableLSN: isFollower ? lsn : nil, appliedLSN: isFollower ? lsn : nil,
      searchableLSN: isFollower ? lsn : nil, lagLSN: isFollower ? lag.lsns : nil,
      lagBytes: isFollower ? lag.bytes : nil,
      lagSeconds: isFollower ? lag.milliseconds(now: now).map { Double($0) / 1_000 } : nil,
      degradedWrites: acknowledgement?.degradedCount ?? 0,
      isDegraded: acknowledgement?.isDegraded ?? false,
      waitingWrites: acknowledgement?.waitingCount ?? 0,
      acknowledgement: state.database?.acknowledgement,
      heardReplicas: acknowledgement?.heardMembers.sorted(), isWritable: isWritable,
      isPoisoned: state.database?.isPoisoned ?? state.isPoisoned, reopenings: state.reopenings,
      isFetching: state.isFetching, fetchStage: state.fetched?.stage,
      fetchedBytes: state.fetched?.doneBytes, fetchTotalBytes: state.fetched?.totalBytes,
      followsPrimary: isFollower && isStreaming ? isOfPrimary : nil,
      alarms: state.alarms,
      savedTails: state.tails.map {
        DivergentTailInfo(
          afterLSN: $0.afterLSN, throughLSN: $0.throughLSN, frames: $0.frames,
          imports: $0.imports)
      }, lastError: isFollower ? state.error : nil, refusals: refusals.count,
      lastRefusal: refusals.last, security: options.security.name,
      certificateExpires: options.security.proof?.expires())
  }
}
