import Bytes
import Dispatch
import Files
import LogStore
import Logging
import NIOCore
import ReplicationProtocol
import Synchronization
import VecDB

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
  let configuration: Configuration
  let files: any FileSystem
  let queue = DispatchQueue(label: "vecdb.replication", qos: .userInitiated)
  let transport: WireTransport
  let generator = Guarded(SystemRandomNumberGenerator())

  struct State {
    var database: Database?
    var shipper: Shipper?
    var record: NodeRecord
    var following: Following?
    var lag = Lag()
    var peer: NodeAddress?
    var alarms: [String] = []
    var tails: [DivergentTail] = []
    var isHalted: String?
    var isStopping = false
    var isPromoting = false
    var lastError: String?
    var attempt = 0
    var backoff = Backoff()
    var lastBootstrap: BootstrapRun.Report?
    var channel: (any Channel)?
  }

  let state: Guarded<State>
  private var loop: Task<Void, Never>?
  private let timer: any DispatchSourceTimer

  init(
    path: String, options: ReplicationOptions, configuration: Configuration, files: any FileSystem,
    record: NodeRecord
  ) {
    self.path = path
    self.options = options
    self.configuration = configuration
    self.files = files
    transport = WireTransport(security: options.security, queue: queue)
    state = Guarded(State(record: record))
    timer = DispatchSource.makeTimerSource(queue: queue)
  }

  // MARK: Starting and stopping

  /// Opens the database at `path` as what it was: a primary, unless it followed before.
  public static func serve(
    _ path: String, options: ReplicationOptions, configuration: Configuration = Configuration()
  ) async throws -> ReplicationNode {
    try await start(path, options, configuration, asFollower: false)
  }

  /// Follows one of the peers with the copy at `path`, which is made if it is not there.
  public static func follow(
    _ path: String, options: ReplicationOptions, configuration: Configuration = Configuration()
  ) async throws -> ReplicationNode {
    guard !options.peers.isEmpty else {
      throw VecDBError(
        .invalidArgument, "there is nobody to follow", remedy: "Name the primary's address.")
    }
    return try await start(path, options, configuration, asFollower: true)
  }

  private static func start(
    _ path: String, _ options: ReplicationOptions, _ configuration: Configuration, asFollower: Bool
  ) async throws -> ReplicationNode {
    guard (1...255).contains(options.name.utf8.count) else {
      throw VecDBError(.invalidArgument, "the node's name is '\(options.name)'")
    }
    try options.acknowledgement?.validate()
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
    if asFollower, isThere, !record.isFollower {
      record.isFollower = true
      try VecDBError.translating { try record.write(in: path, files) }
    }
    if !isThere { record.isFollower = true }
    let node = ReplicationNode(
      path: path, options: options, configuration: configuration, files: files, record: record)
    try await node.begin(isThere: isThere)
    return node
  }

  private func begin(isThere: Bool) async throws {
    if isThere { try await openDatabase() }
    if let listen = options.listen {
      let channel = try await transport.listen(listen) { [weak self] connection in
        guard let shipper = self?.shipper else {
          connection.send(.refuse(.init(.notServing, "this node has no database yet")))
          return connection.close("no database yet")
        }
        shipper.accept(connection)
      }
      state.withLock { $0.channel = channel }
    }
    timer.schedule(deadline: .now() + .milliseconds(100), repeating: .milliseconds(100))
    timer.setEventHandler { [weak self] in self?.tick() }
    timer.resume()
    loop = Task { [weak self] in
      while let self, !self.isStopping { await self.runOnce() }
    }
  }

  /// Opens the database and plugs the shipper in.
  func openDatabase() async throws {
    var configuration = configuration
    configuration.createIfMissing = false
    let database = try await Database.open(at: path, configuration: configuration)
    let record = try database.nodeRecord()
    let policy = try Self.policy(try await database.acknowledgementPolicy())
    let shipper = Shipper(
      database: database, queue: queue, options: options, record: record, policy: policy)
    shipper.onStepDown = { [weak self] epoch in self?.steppedDown(epoch) }
    shipper.judge = { [weak self] request, answer in self?.judge(request, answer) }
    state.withLock {
      $0.database = database
      $0.shipper = shipper
      $0.record = record
    }
    let mustHold = await onQueue { () -> Bool in
      shipper.isHoldingWrites = shipper.mustHoldWrites
      return shipper.isHoldingWrites
    }
    if mustHold {
      _ = try await database.holdWrites(
        VecDBError(
          .readOnly, "this primary has just started and has not heard enough replicas yet",
          at: path, remedy: "Start the replicas."))
    }
    try await database.attach(shipper)
    database.nodeHandler.withLock { handler in
      handler = { [weak self] text in
        guard let self else { throw VecDBError.nothingServed(database.path) }
        return try await self.answer(text)
      }
    }
    guard !record.isFollower, let wanted = options.acknowledgement?.policy, wanted != policy
    else { return }
    if policy.isAsynchronous {
      try await Self.replacePolicy(of: database, shipper, by: wanted)
      return
    }
    // The record of the new policy is the last write of the old one, and waits like it.
    let logger = options.logger
    Task { [weak self] in
      do {
        while let self, !self.isStopping, !(await self.isWritable) {
          try await Task.sleep(nanoseconds: 50_000_000)
        }
        try await Self.replacePolicy(of: database, shipper, by: wanted)
      } catch { logger.error("the acknowledgement policy cannot be changed: \(error)") }
    }
  }

  private static func replacePolicy(
    of database: Database, _ shipper: Shipper, by policy: AcknowledgementPolicy
  ) async throws {
    try await database.setAcknowledgementPolicy(policy.encoded())
    await withCheckedContinuation { continuation in
      shipper.queue.async {
        shipper.replacePolicy(policy)
        continuation.resume()
      }
    }
  }

  static func policy(_ bytes: [UInt8]) throws -> AcknowledgementPolicy {
    if bytes.isEmpty { return .asynchronous }
    do { return try AcknowledgementPolicy(decoding: bytes) } catch {
      throw VecDBError(.corrupt, "the acknowledgement policy cannot be read: \(error)")
    }
  }

  /// Stops following and serving and closes the database.
  public func stop() async throws {
    state.withLock { $0.isStopping = true }
    let (channel, following) = state.withLock { ($0.channel, $0.following) }
    await onQueue { following?.stop() }
    timer.cancel()
    do { try await channel?.close().get() } catch {
      options.logger.info("the listener was closed already")
    }
    loop?.cancel()
    await loop?.value
    try await closeDatabase()
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

  /// The open database. Throws while a copy is being fetched.
  public var database: Database {
    get throws {
      guard let database = state.withLock({ $0.database }) else {
        throw VecDBError(
          .closed, "the copy is being fetched", at: path, remedy: "Try again in a moment.")
      }
      return database
    }
  }

  public var role: Role { state.withLock { $0.record.isFollower ? .follower : .primary } }

  /// Whether writes are accepted now: on a primary that has heard enough replicas.
  public var isWritable: Bool {
    get async {
      guard let shipper, role == .primary else { return false }
      return await onQueue { shipper.isWriter && !shipper.isHoldingWrites }
    }
  }

  /// Where others reach this node; the port is that which the system chose, if 0 was asked for.
  public var listeningPort: Int? { state.withLock { $0.channel?.localAddress?.port } }

  func alarm(_ text: String) {
    let isNew = state.withLock { state in
      guard state.alarms.count < 100, !state.alarms.contains(text) else { return false }
      state.alarms.append(text)
      return true
    }
    if isNew { options.logger.critical("\(text)") }
  }
}
