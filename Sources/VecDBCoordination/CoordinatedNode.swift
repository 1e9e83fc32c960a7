import Logging
import VecDB
import VecDBBytes
import VecDBReplication
import VecDBReplicationProtocol

/// A node of a cluster that decides by itself who its primary is: it runs a ``ReplicationNode``, and a
/// coordinator says who tries to be the primary.
///
/// ```swift
/// let coordinator = try Coordinator("etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")
/// var replication = ReplicationOptions(name: "a", listen: address, security: security)
/// replication.acknowledgement = AcknowledgementOptions(replicas: ["b", "c"])
/// let node = try await CoordinatedNode.start(
///   "photos.vecdb", options: CoordinationOptions(cluster: "photos", coordinator: coordinator),
///   replication: replication)
/// for await role in node.roles { print(role) }
/// ```
///
/// The first node makes the database if it has none; the others fetch it. A node that comes back follows
/// the primary again, whatever it was.
///
/// What always holds:
/// - One task handles all events, one after the other.
/// - The permit is set before an action of the same event is begun.
public final class CoordinatedNode: Sendable {
  private struct State {
    var node: ReplicationNode?
    var machine: Coordination
    var refusal: VecDBError?
    var isBeginning = false
    var view = ClusterView()
    var roleListeners: [UInt64: AsyncStream<ReplicationNode.Role>.Continuation] = [:]
    var nextListener: UInt64 = 0
    var told: [Coordination.Concern: String] = [:]
  }

  let path: String
  let options: CoordinationOptions
  let replication: ReplicationOptions
  private let configuration: DatabaseConfiguration
  private let address: NodeAddress
  private let store: any LeaseStore
  private let permit: WritePermit
  private let peers = LivePeers()
  private let state: Guarded<State>
  private let events: AsyncStream<Coordination.Event>
  private let sender: AsyncStream<Coordination.Event>.Continuation
  private let tasks = Guarded<[Task<Void, Never>]>([])
  private let ended = Guarded(false)

  private static let tickNanoseconds: UInt64 = 50_000_000

  package init(
    path: String, options: CoordinationOptions, replication: ReplicationOptions,
    configuration: DatabaseConfiguration, store: any LeaseStore
  ) throws {
    address = try options.validate(replication)
    self.path = path
    self.options = options
    self.store = store
    self.configuration = configuration
    permit = WritePermit(Self.notPrimary(nil, at: path))
    state = Guarded(
      State(
        machine: Coordination(
          .init(
            name: replication.name, leaseMilliseconds: UInt64(options.leaseSeconds) * 1_000,
            loss: options.loss.limit))))
    (events, sender) = AsyncStream.makeStream()
    var replication = replication
    replication.permit = permit
    replication.livePeers = peers
    let state = state
    replication.waitsForPrimary = { _ in
      state.withLock { $0.machine.promiseToWait(now: WritePermit.now()) }
    }
    self.replication = replication
  }

  /// Takes part in the cluster with the database at `path`, which may be there or not.
  ///
  /// Returns at once; until the node has a database, ``node`` is nil. What keeps it from taking part
  /// is told by ``waitUntilReady(timeout:)``, by ``alarms``, and in the log.
  ///
  /// - Throws: `invalidArgument` for options that cannot work, or if the program was built without
  ///   the trait `Coordination`; what opening the database throws.
  public static func start(
    _ path: String, options: CoordinationOptions, replication: ReplicationOptions,
    configuration: DatabaseConfiguration = DatabaseConfiguration()
  ) async throws -> CoordinatedNode {
    _ = try options.validate(replication)
    let node = try CoordinatedNode(
      path: path, options: options, replication: replication, configuration: configuration,
      store: try EtcdStore.make(
        options.coordinator, cluster: options.cluster, leaseSeconds: UInt64(options.leaseSeconds)))
    try await node.begin()
    return node
  }

  package func begin() async throws {
    if try Self.isDatabase(path) {
      let node = try await ReplicationNode.serve(
        path, options: replication, configuration: configuration)
      took(node)
    }
    let loop = Task { [self] in
      for await event in events { await handle(event) }
    }
    let clock = Task { [sender] in
      while !Task.isCancelled {
        sender.yield(.tick)
        do { try await Task.sleep(nanoseconds: Self.tickNanoseconds) } catch { return }
      }
    }
    tasks.withLock { $0 = [loop, clock] }
  }

  private static func isDatabase(_ path: String) throws -> Bool {
    try ReplicationNode.hasDatabase(at: path)
  }

  // MARK: What applications ask

  /// The node itself; nil until it has a database.
  public var node: ReplicationNode? { state.withLock { $0.node } }

  /// The role now, and every time it changes, until the node stops. Nothing comes until the node has
  /// a database.
  public var roles: AsyncStream<ReplicationNode.Role> {
    AsyncStream(bufferingPolicy: .bufferingNewest(16)) { continuation in
      let id = state.withLock { state in
        state.nextListener += 1
        state.roleListeners[state.nextListener] = continuation
        return state.nextListener
      }
      continuation.onTermination = { [weak self] _ in
        self?.state.withLock { $0.roleListeners[id] = nil }
      }
      if let node { continuation.yield(node.role) }
    }
  }

  /// Where the primary is reached, as far as the coordinator said last.
  public var primaryAddress: String? {
    state.withLock { state in
      state.view.leader.flatMap { state.view.member($0.name)?.address }
    }
  }

  /// What needs somebody, beside the alarms of the node itself.
  public var alarms: [String] {
    state.withLock { state in
      ([state.refusal?.description].compactMap { $0 }
        + state.machine.alarms.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value))
    }
  }

  /// Why this node cannot take part in the cluster at all; nil if it can.
  public var refusal: VecDBError? { state.withLock { $0.refusal } }

  /// How often this node went on as the primary without the coordinator.
  public var failsafes: Int { state.withLock { $0.machine.failsafes } }

  /// Waits until this node has a database.
  ///
  /// - Throws: why it cannot take part, if that is certain; `notReached` after the time.
  @discardableResult
  public func waitUntilReady(timeout: Duration = .seconds(60)) async throws -> ReplicationNode {
    let deadline = ContinuousClock.now + timeout
    while true {
      let (node, refusal) = state.withLock { ($0.node, $0.refusal) }
      if let refusal { throw refusal }
      if let node { return node }
      guard ContinuousClock.now < deadline else {
        throw VecDBError(
          .notReached, "this node has no database yet", at: path,
          remedy: alarms.first ?? "Look at the other nodes: vecdb cluster \(options.cluster).")
      }
      try await Task.sleep(nanoseconds: 20_000_000)
    }
  }

  /// Hands over if this node is the primary, then stops it.
  public func stop() async throws {
    sender.yield(.stop)
    let deadline = ContinuousClock.now + .seconds(options.leaseSeconds)
    while !ended.withLock({ $0 }), ContinuousClock.now < deadline {
      try await Task.sleep(nanoseconds: 10_000_000)
    }
    sender.finish()
    for task in tasks.withLock({ $0 }).reversed() {
      task.cancel()
      await task.value
    }
    permit.set(until: 0, Self.notPrimary(nil, at: path))
    let node = state.withLock { state in
      for listener in state.roleListeners.values { listener.finish() }
      state.roleListeners = [:]
      return state.node
    }
    try await node?.stop()
    await (store as? EtcdStore)?.close()
  }

  private static func notPrimary(_ primary: ClusterMember?, at path: String) -> VecDBError {
    VecDBError(
      .notPrimary,
      primary.map { "the primary is '\($0.name)' at \($0.address)" }
        ?? "this node does not know that it is the primary", at: path,
      remedy: primary == nil ? "Try again in a moment." : "Write to that node.")
  }

  // MARK: Events

  private func took(_ node: ReplicationNode) {
    state.withLock { $0.node = node }
    let forward = Task { [weak self] in
      for await role in node.roles {
        guard let self else { return }
        let listeners = self.state.withLock { Array($0.roleListeners.values) }
        for listener in listeners { listener.yield(role) }
      }
    }
    tasks.withLock { $0.append(forward) }
  }

  private func handle(_ event: Coordination.Event) async {
    let (own, _) = await OwnState.read(
      node, name: replication.name, address: address, options: options, replication: replication)
    let now = WritePermit.now()
    let (actions, permitted, view) = state.withLock { state in
      let actions = state.machine.handle(event, own: own, now: now)
      state.view = state.machine.view
      return (actions, state.machine.permit(own), state.view)
    }
    let primary = view.leader.flatMap { leader in
      leader.name == replication.name ? nil : view.member(leader.name)
    }
    let reason = Self.notPrimary(primary, at: path)
    switch permitted {
    case .unlimited: permit.set(until: .max, reason)
    case .until(let end): permit.set(until: end, reason)
    case .none: permit.set(until: 0, reason)
    }
    note(view)
    tellAlarms()
    for action in actions { perform(action) }
    if own.member.role == .empty { joinIfThereIsAPrimary(view) }
  }

  /// Whom to follow, or to ask: the primary first.
  private func note(_ view: ClusterView) {
    let others = view.members.filter { $0.name != replication.name }
    let sorted =
      others.filter { $0.name == view.leader?.name }
      + others.filter { $0.name != view.leader?.name }
    let addresses = sorted.compactMap { NodeAddress($0.address) }
    // Members that are gone for a moment are asked all the same.
    if !addresses.isEmpty || view.leader != nil { peers.set(addresses) }
  }

  private func tellAlarms() {
    let (alarms, told) = state.withLock { state in
      defer { state.told = state.machine.alarms }
      return (state.machine.alarms, state.told)
    }
    for (concern, text) in alarms where told[concern] == nil {
      replication.logger.critical(
        "this node needs an operator", metadata: ["alarm": "\(text)", "kind": "\(concern)"])
    }
    for (concern, text) in told where alarms[concern] == nil {
      replication.logger.notice("an alarm is over", metadata: ["alarm": "\(text)"])
    }
  }

  private func perform(_ action: Coordination.Action) {
    let (sender, store) = (sender, store)
    switch action {
    case .ask(let number, let request):
      Task { sender.yield(.answered(number: number, await store.ask(request))) }
    case .promote(let isPlanned):
      Task { [self] in sender.yield(.promoted(await promote(isPlanned))) }
    case .create: Task { [self] in sender.yield(.created(await create())) }
    case .askToWait(let members):
      let (node, sent) = (node, WritePermit.now())
      let timeout = options.leaseSeconds * 1_000 / 5
      Task {
        let addresses = members.compactMap { NodeAddress($0.address) }
        var byAll = addresses.count == members.count
        if byAll {
          byAll = await node?.askToWait(addresses, timeoutMilliseconds: timeout) ?? false
        }
        sender.yield(.promised(sent: sent, byAll: byAll))
      }
    case .refuse(let text):
      let error = VecDBError(
        .invalidArgument, text, at: path,
        remedy: "Give this node another name of a cluster, or an empty directory.")
      state.withLock { $0.refusal = error }
      replication.logger.critical("this node does not take part", metadata: ["error": "\(error)"])
    case .finished: ended.withLock { $0 = true }
    }
  }

  private func promote(_ isPlanned: Bool) async -> Coordination.Failure? {
    guard let node else { return .other("there is no database") }
    replication.logger.notice(
      "this node has the lease and takes over", metadata: ["planned": "\(isPlanned)"])
    do {
      _ = try await node.takeOver(
        planned: isPlanned, limit: options.loss.limit,
        timeoutMilliseconds: options.leaseSeconds * 1_000 / 5)
      return nil
    } catch {
      replication.logger.warning("this node does not take over", metadata: ["error": "\(error)"])
      return node.promotionFailure ?? .other("\(error)")
    }
  }

  private func create() async -> Coordination.Failure? {
    do {
      var creating = configuration
      creating.createIfMissing = true
      creating.archive = nil
      try await Database.open(at: path, configuration: creating).close()
      took(
        try await ReplicationNode.serve(path, options: replication, configuration: configuration))
      replication.logger.notice("this node is the first of its cluster, and made the database")
      return nil
    } catch {
      replication.logger.error("cannot make the database", metadata: ["error": "\(error)"])
      return .other("\(error)")
    }
  }

  /// A node without a database fetches one as soon as it is known from whom.
  private func joinIfThereIsAPrimary(_ view: ClusterView) {
    guard view.databaseID != nil, let leader = view.leader, leader.name != replication.name,
      view.member(leader.name)?.role == .primary,
      state.withLock({ state in
        defer { state.isBeginning = true }
        return !state.isBeginning && state.node == nil && state.refusal == nil
      })
    else { return }
    Task { [self] in
      do {
        took(
          try await ReplicationNode.follow(
            path, options: replication, configuration: configuration))
      } catch {
        replication.logger.error("cannot follow the primary", metadata: ["error": "\(error)"])
        do { try await Task.sleep(nanoseconds: 2_000_000_000) } catch { return }
      }
      state.withLock { $0.isBeginning = false }
    }
  }
}

extension EtcdStore {
  /// Throws if the program has no client for it.
  package static func make(
    _ coordinator: Coordinator, cluster: String, leaseSeconds: UInt64
  ) throws -> EtcdStore {
    try CoordinationOptions.requireName(cluster)
    try coordinator.validate()
    #if Coordination
      return EtcdStore(
        coordinator, cluster: cluster, leaseSeconds: leaseSeconds,
        transport: try EtcdHTTP(coordinator))
    #else
      throw VecDBError(
        .invalidArgument, "this program was built without coordination",
        remedy: "Build it with the package trait Coordination.")
    #endif
  }
}
