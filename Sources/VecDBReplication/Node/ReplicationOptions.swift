import Logging
import VecDB
import VecDBReplicationProtocol

/// When a primary acknowledges a write.
public struct AcknowledgementOptions: Sendable, Hashable {
  /// The replicas that count, by name.
  public var replicas: [String]
  /// How many of them must hold a write durably.
  public var needed: Int
  /// How many batches they may be behind: 0 is semi-synchronous.
  public var maximumLag: UInt64
  public var timeout: Duration {
    get { .milliseconds(timeoutMilliseconds) }
    set { timeoutMilliseconds = newValue.wholeMilliseconds }
  }
  package var timeoutMilliseconds: Int
  /// What happens after the timeout: false, and the write ends with `outcomeUnknown`; true, and it
  /// is acknowledged without them, which is counted and bars a promotion without loss.
  public var degrades: Bool

  public init(
    replicas: [String], needed: Int = 1, maximumLag: UInt64 = 0, timeout: Duration = .seconds(5),
    degrades: Bool = false
  ) {
    self.replicas = replicas
    self.needed = needed
    self.maximumLag = maximumLag
    timeoutMilliseconds = timeout.wholeMilliseconds
    self.degrades = degrades
  }

  /// Writes wait for nobody. Where the database's policy waits until now, the replicas of that have
  /// to confirm the change first, so that none of them is promoted without knowing of it.
  public static let asynchronous = AcknowledgementOptions(replicas: [], needed: 0)

  var policy: AcknowledgementPolicy {
    if self == .asynchronous { return .asynchronous }
    return AcknowledgementPolicy(
      members: replicas, needed: needed, maximumLag: maximumLag,
      timeoutMilliseconds: timeoutMilliseconds, degrades: degrades)
  }

  func validate() throws {
    if self == .asynchronous { return }
    guard (1...64).contains(replicas.count), Set(replicas).count == replicas.count,
      (1...replicas.count).contains(needed), timeoutMilliseconds > 0
    else {
      throw VecDBError(
        .invalidArgument, "a write cannot wait for \(needed) of \(replicas.count) replicas",
        remedy: "Name 1 to 64 different replicas, and wait for at least one and at most all.")
    }
    // What is logged must be readable for everybody.
    if let name = replicas.first(where: { !(1...255).contains($0.utf8.count) }) {
      throw VecDBError(
        .invalidArgument, "a replica's name has \(name.utf8.count) bytes of UTF-8",
        remedy: "Use names of 1 to 255 bytes.")
    }
    guard timeoutMilliseconds <= Int(UInt32.max) else {
      throw VecDBError(
        .invalidArgument, "the timeout is \(timeoutMilliseconds) ms",
        remedy: "Use at most \(UInt32.max) ms.")
    }
  }
}

/// How a node takes part in replication.
public struct ReplicationOptions: Sendable {
  /// The node's name, unique among those of the database.
  public var name: String
  /// Where other nodes reach this one; nil listens nowhere.
  public var listen: NodeAddress?
  /// Other nodes of the database. A follower tries them in turn until one of them is a primary (or
  /// serves followers); a primary asks them now and then whether it has been replaced.
  public var peers: [NodeAddress]
  public var security: TransportSecurity
  /// Nil leaves the policy as it is in the database; a new database is asynchronous, and so is a
  /// new primary that was told nothing.
  public var acknowledgement: AcknowledgementOptions?
  /// A primary that starts does not write before it has heard so many replicas that it knows what it
  /// acknowledged once, in case its disk was set back. After this long it takes its own disk for
  /// right, raises an alarm, and goes on with as many as a write needs. Nil waits for ever.
  public var startPatience: Duration? {
    get { startPatienceMilliseconds.map { Duration.milliseconds($0) } }
    set { startPatienceMilliseconds = newValue.map { $0.wholeMilliseconds } }
  }
  package var startPatienceMilliseconds: Int? = 5_000
  /// Log that is kept for followers that are away, at most.
  public var retainedLogBytes = 256 << 20
  /// Newest log that is kept in memory for followers that keep up.
  public var windowBytes = 32 << 20
  /// Connections that are served at a time.
  public var connectionsMaximum = 64
  /// Gets what only the node can tell. Default: `Logger.current` where the options are made.
  public var logger = Logger.current
  package var limits = SessionLimits()
  /// What a coordination says: until when this node may write, who the others are, and whether this
  /// node waits for a primary that lost the coordinator.
  package var permit: WritePermit?
  package var livePeers: LivePeers?
  package var waitsForPrimary: (@Sendable (String) -> Bool)?

  /// The other nodes as they are known now.
  var others: [NodeAddress] { livePeers?.addresses ?? peers }

  public init(
    name: String, listen: NodeAddress? = nil, peers: [NodeAddress] = [],
    security: TransportSecurity, acknowledgement: AcknowledgementOptions? = nil
  ) {
    self.name = name
    self.listen = listen
    self.peers = peers
    self.security = security
    self.acknowledgement = acknowledgement
  }
}
