import Dispatch
import Glibc
import Logging
import NIOCore
import Synchronization
import VecDB
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBReplicationProtocol

/// A node of a replicated database: a primary that ships its log, or a copy that follows one.
///
/// ```swift
/// var options = ReplicationOptions(
///   name: "a", listen: NodeAddress("127.0.0.1:7000"), security: .insecureLoopback)
/// options.acknowledgement = AcknowledgementOptions(replicas: ["b"])
/// let node = try await ReplicationNode.serve("photos.vecdb", options: options)
/// let photos = try node.database.collection("photos")
/// ```
///
/// A primary that meets a higher epoch steps down, saves what it wrote that the new primary does
/// not have, and follows; ``database`` is then another object, whose writes throw `readOnly`.
public final class ReplicationNode: @unchecked Sendable {
  public enum Role: String, Sendable, Codable {
    case primary
    case follower
  }

  let path: String
  let options: ReplicationOptions
  let configuration: DatabaseConfiguration
  let files: any FileSystem
  let queue = DispatchQueue(label: "vecdb.replication", qos: .userInitiated)
  let transport: WireTransport
  let generator = Guarded(SystemRandomNumberGenerator())
  /// Changes of the record go through it.
  let turnstile = Turnstile()
  let unopened = RepeatedFailure("cannot open the database again", level: .error)
  /// What attempts to fetch a copy have left.
  let partial: PartialCopies

  struct State {
    var database: Database?
    var shipper: Shipper?
    var record: NodeRecord
    /// The record on the disk is an older one.
    var isUnsaved = false
    /// The directory is a primary's, and follows as soon as somebody of its database was reached.
    var isUnproven = false
    /// How many peers it has asked since, and whether one of them said that it hears no primary.
    var unprovenAttempts = 0
    var heardNobody = false
    var following: Following?
    var lag = Lag()
    var peer: NodeAddress?
    var alarms: [Alarm: String] = [:]
    var tails: [DivergentTail] = []
    var isStopping = false
    var isPromoting = false
    /// The epoch that this node asks promises for.
    var candidacy: EpochName?
    /// Above what was heard of when a promotion failed.
    var counterHint: UInt64 = 0
    var lastError: String?
    /// Why the last promotion did not come about.
    var promotionOutcome: Promotion.Outcome?
    var attempt = 0
    var backoff = Backoff()
    var reopening = Backoff(firstMilliseconds: 500, maximumMilliseconds: 60_000)
    var reopenings = 0
    var isFetching = false
    /// How far that is, and whom it comes from.
    var fetched: WorkProgress?
    var snapshot: RemoteSnapshot?
    /// One copy takes the place of another at this moment.
    var isReplacing = false
    var lastBootstrap: BootstrapRun.Report?
    var channel: (any Channel)?
    var roleListeners: [UInt64: AsyncStream<Role>.Continuation] = [:]
    var nextListener: UInt64 = 0
    /// Failures of following that were said already, and how often each came.
    var told: [String: Int] = [:]
  }

  let state: Guarded<State>
  private var loop: Task<Void, Never>?
  /// Made where it is started: a timer that was never resumed must not go away.
  private var timer: (any DispatchSourceTimer)?

  init(
    path: String, options: ReplicationOptions, configuration: DatabaseConfiguration,
    files: any FileSystem,
    record: NodeRecord
  ) {
    self.path = path
    self.options = options
    self.configuration = configuration
    self.files = files
    transport = WireTransport(
      security: options.security, queue: queue, connectionsMaximum: options.connectionsMaximum)
    state = Guarded(State(record: record))
    partial = PartialCopies(path: path, files: files, logger: options.logger)
  }

  // MARK: Starting and stopping

  /// Opens the database at `path` as what it was: a primary, unless it followed before.
  public static func serve(
    _ path: String, options: ReplicationOptions,
    configuration: DatabaseConfiguration = DatabaseConfiguration()
  ) async throws -> ReplicationNode {
    try await VecDBError.translating {
      try await start(path, options, configuration, asFollower: false)
    }
  }

  /// Follows one of the peers with the copy at `path`, which is made if it is not there.
  ///
  /// A database that was a primary until now stays one on the disk until a peer of the same database
  /// has been reached: a wrong address changes nothing.
  public static func follow(
    _ path: String, options: ReplicationOptions,
    configuration: DatabaseConfiguration = DatabaseConfiguration()
  ) async throws -> ReplicationNode {
    try await VecDBError.translating {
      guard !options.peers.isEmpty || options.livePeers != nil else {
        throw VecDBError(
          .invalidArgument, "there is no node to follow", remedy: "Name the primary's address.")
      }
      return try await start(path, options, configuration, asFollower: true)
    }
  }

  private static func start(
    _ path: String, _ options: ReplicationOptions, _ configuration: DatabaseConfiguration,
    asFollower: Bool
  ) async throws -> ReplicationNode {
    guard (1...255).contains(options.name.utf8.count) else {
      throw VecDBError(.invalidArgument, "'\(options.name)' is not a valid name of a node")
    }
    try options.security.require(name: options.name)
    try options.acknowledgement?.validate()
    if let listen = options.listen { try options.security.require(listen) }
    for peer in options.peers { try options.security.require(peer) }
    let files = PosixFileSystem()
    let path = try Database.place(of: path)
    let bootstrap = BootstrapRun(path: path, files: files, configuration: configuration)
    try bootstrap.finishInterrupted()
    if asFollower { try VecDBError.translating { try bootstrap.requirePlace() } }
    var record = NodeRecord()
    let isThere = try VecDBError.translating { try files.exists(path + "/log") }
    if isThere {
      record = try VecDBError.translating { try NodeRecord.read(in: path, files) }
    } else if !asFollower {
      throw VecDBError(
        .notFound, "there is no database", at: path, remedy: "Create one with `vecdb create`.")
    }
    if !isThere { record.isFollower = true }
    if record.nodeID == .zero {
      var random = SystemRandomNumberGenerator()
      record.nodeID = UniqueID(high: random.next(), low: random.next())
    }
    let node = ReplicationNode(
      path: path, options: options, configuration: configuration, files: files, record: record)
    do { try await node.begin(isThere: isThere, asFollower: asFollower) } catch {
      await node.abandon()
      throw error
    }
    return node
  }

  private func begin(isThere: Bool, asFollower: Bool) async throws {
    // Before the database is opened, which sweeps what nobody has taken up.
    if state.withLock({ $0.record.isFollower }) || asFollower { partial.claim() }
    if isThere { try await openDatabase(asFollower: asFollower) }
    if let listen = options.listen {
      let channel = try await transport.listen(listen) { [weak self] connection in
        guard let self, let shipper = self.state.withLock({ $0.isFetching ? nil : $0.shipper })
        else {
          connection.send(.refuse(.init(.notServing, Message.Refusal.hasNothing)))
          return connection.close("no database yet")
        }
        shipper.accept(connection)
      }
      state.withLock { $0.channel = channel }
    }
    let timer = DispatchSource.makeTimerSource(queue: queue)
    timer.schedule(deadline: .now() + .milliseconds(100), repeating: .milliseconds(100))
    timer.setEventHandler { [weak self] in self?.tick() }
    timer.resume()
    self.timer = timer
    loop = Task { [weak self] in
      while let self, !self.isStopping { await self.runOnce() }
    }
  }

  /// Gives back what a start that failed has taken.
  private func abandon() async {
    state.withLock { $0.isStopping = true }
    do {
      partial.release()
      try await state.withLock({ $0.channel })?.close().get()
      try await closeDatabase()
    } catch {
      options.logger.info("cannot close what did not start", metadata: ["error": "\(error)"])
    }
  }

  /// Stops following and serving and closes the database.
  public func stop() async throws {
    try await VecDBError.translating {
      state.withLock { $0.isStopping = true }
      let (channel, following, snapshot) = state.withLock {
        ($0.channel, $0.following, $0.snapshot)
      }
      await onQueue { following?.stop() }
      // A copy that is being fetched is broken off, and taken up at the next start.
      snapshot?.close()
      timer?.cancel()
      do { try await channel?.close().get() } catch {
        options.logger.debug("the listener was closed already")
      }
      loop?.cancel()
      await loop?.value
      partial.release()
      try await closeDatabase()
      let listeners = state.withLock { Array($0.roleListeners.values) }
      for listener in listeners { listener.finish() }
    }
  }

  func closeDatabase() async throws {
    let (database, shipper) = state.withLock { state in
      defer {
        state.database = nil
        state.shipper = nil
      }
      return (state.database, state.shipper)
    }
    await onQueue { shipper?.closeAll("this node closes its database") }
    // The shipper stays plugged in: the last checkpoint keeps the log that followers will ask for.
    try await database?.close()
  }

  func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: body()) }
    }
  }

  private func tick() {
    let (shipper, following) = state.withLock { ($0.shipper, $0.following) }
    shipper?.tick()
    following?.tick()
  }

  // MARK: State

  var shipper: Shipper? { state.withLock { $0.shipper } }
  var isStopping: Bool { state.withLock { $0.isStopping } }

  /// The open database. A copy that is fetched anew takes the place of the older one, which answers
  /// until then; then this is another object, and the older one is closed. See ``reading(_:)``.
  ///
  /// - Throws: `closed` while the first copy is being fetched.
  public var database: Database {
    get throws {
      let giveUp = ContinuousClock.now + .seconds(5)
      while true {
        let (database, isReplacing) = state.withLock { ($0.database, $0.isReplacing) }
        if let database { return database }
        guard isReplacing, ContinuousClock.now < giveUp else { break }
        // Some milliseconds, once.
        usleep(500)
      }
      throw VecDBError(
        .closed, "the copy is being fetched", at: path, remedy: "Try again in a moment.")
    }
  }

  /// Runs `body` with the open database, so that searches go on while a copy is replaced: if that
  /// happened meanwhile and `body` failed, it runs once more with the new copy.
  public func reading<Value>(_ body: (Database) throws -> Value) throws -> Value {
    let before = try database
    do { return try body(before) } catch {
      let now = try database
      guard now !== before else { throw error }
      return try body(now)
    }
  }

  public var role: Role { state.withLock { $0.record.isFollower ? .follower : .primary } }

  /// The role now, and every time it changes, until the node stops.
  public var roles: AsyncStream<Role> {
    AsyncStream(bufferingPolicy: .bufferingNewest(16)) { continuation in
      let id = state.withLock { state in
        state.nextListener += 1
        state.roleListeners[state.nextListener] = continuation
        continuation.yield(state.record.isFollower ? .follower : .primary)
        return state.nextListener
      }
      continuation.onTermination = { [weak self] _ in
        self?.state.withLock { $0.roleListeners[id] = nil }
      }
    }
  }

  func roleChanged() {
    let listeners = state.withLock { Array($0.roleListeners.values) }
    for listener in listeners { listener.yield(role) }
  }

  /// Whether writes are accepted now: on a primary that has heard enough replicas.
  public var isWritable: Bool {
    get async {
      let (shipper, database) = state.withLock { ($0.shipper, $0.database) }
      guard let shipper, let database, role == .primary, !database.isPoisoned,
        options.permit?.refusal == nil
      else { return false }
      return await onQueue { shipper.isWriter && !shipper.isHoldingWrites }
    }
  }

  /// Where others reach this node; the port is that which the system chose, if 0 was asked for.
  public var listeningPort: Int? { state.withLock { $0.channel?.localAddress?.port } }
}
