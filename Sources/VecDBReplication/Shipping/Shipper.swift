import Dispatch
import Logging
import NIOCore
import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// The side of a node that is followed: ships the log of an open database to whoever connects. What
/// it does it does with the connections (`ServedConnections`), the gate that holds writes back
/// (`AcknowledgementGate`), the copies that it hands out (`SnapshotServer`), what it is bound to
/// (`WriterFence`) and the names of others (`PeerNames`).
///
/// What always holds:
/// - Everything happens on `queue`, one at a time, which is what makes the class safe to hand
///   around; what comes from the database's writer is passed there first.
/// - Nothing behind `end` is shipped: what others get, this node has committed.
/// - A peer's message reaches its session only after its name was judged.
final class Shipper: @unchecked Sendable {
  let queue: DispatchQueue
  let options: ReplicationOptions
  private(set) weak var database: Database?
  /// Cached, since sessions ask for them often; `end` is what may be shipped.
  var identity: LogIdentity
  var end: LogPosition
  private var fencing: WriterFence
  private let unreadable = RepeatedFailure("cannot read the log for a replica", level: .error)
  let gate: AcknowledgementGate
  let served: ServedConnections
  private let snapshots: SnapshotServer
  private var names: PeerNames
  /// When a name was last used by a second node.
  private var doubles: [String: UInt64] = [:]
  var window: LogWindow
  var lastDigest: UInt64 = 0
  var isAwaitingDigest = false
  private var lettingInAfter = 0
  /// Whether this follower hears a primary itself, and so may be followed.
  private(set) var isFed = false
  /// LSNs that followers may still ask for; read by the database's writer.
  let needed = Guarded<UInt64?>(nil)
  var onStepDown: (@Sendable (EpochName) -> Void)?
  var onWithdrawn: (@Sendable (EpochName) -> Void)?
  /// Raises an alarm, or with nil takes it back.
  var onAlarm: (@Sendable (Alarm, String?) -> Void)? { didSet { gate.onAlarm = onAlarm } }
  /// Answers a candidate, or says how it would be answered; set by the node.
  var judge:
    (
      @Sendable (Message.PromiseRequest, _ isProbe: Bool, @escaping @Sendable (Message) -> Void) ->
        Void
    )?

  init(
    database: Database, queue: DispatchQueue, options: ReplicationOptions, record: NodeRecord,
    terms: AcknowledgementTerms
  ) {
    self.database = database
    self.queue = queue
    self.options = options
    identity = database.logIdentity
    end = database.logEnd
    fencing = WriterFence(record.fence, isWriter: !record.isFollower)
    gate = AcknowledgementGate(options: options, terms: terms, isWriter: !record.isFollower)
    served = ServedConnections(maximum: options.connectionsMaximum, logger: options.logger)
    snapshots = SnapshotServer(queue: queue)
    names = PeerNames(
      of: options.name, record.nodeID, liveMilliseconds: 2 * options.limits.heartbeatMilliseconds)
    window = LogWindow(bytesMaximum: options.windowBytes)
  }

  static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds / 1_000_000 }

  /// What sessions see of the log: a database whose writer may be a little ahead of what was
  /// announced.
  struct View: HistoryReading {
    var identity: LogIdentity
    var end: LogPosition
    var database: Database?

    func position(at lsn: UInt64) -> LogPosition? {
      if lsn == end.lsn { return end }
      guard lsn < end.lsn, let database else { return nil }
      return DatabaseHistory(database: database).position(at: lsn)
    }
  }

  var view: View { View(identity: identity, end: end, database: database) }
  var isWriter: Bool { fencing.isWriter }
  /// Whether clients' writes are refused until enough replicas were heard.
  var isHoldingWrites: Bool { gate.isHolding }
  var acknowledgement: Acknowledgement { gate.acknowledgement }
  var refusals: (count: Int, last: String?) { served.refusals }
  var epoch: UInt64 { identity.currentEpoch.counter }

  // MARK: Connections

  func accept(_ connection: WireConnection) {
    let session = PrimarySession(now: Self.now(), isWriter: isWriter, limits: options.limits)
    if served.accept(connection, session) { connection.delegate = self }
  }

  private func update(
    _ connection: WireConnection,
    _ body: (inout PrimarySession, View, UInt64) -> [PrimarySession.Action]
  ) {
    guard var session = served[connection]?.session else { return }
    let actions = body(&session, view, Self.now())
    served[connection]?.session = session
    for action in actions { perform(action, on: connection) }
  }

  private func updateAll(_ body: (inout PrimarySession, View, UInt64) -> [PrimarySession.Action]) {
    for entry in served.all { update(entry.connection, body) }
  }

  private func perform(_ action: PrimarySession.Action, on connection: WireConnection) {
    switch action {
    case .send(let message):
      switch message {
      case .welcome, .pull: connection.allowLongMessages()
      // Who only came at the wrong moment is no stranger.
      case .refuse(let refusal) where ![.notServing, .staleEpoch].contains(refusal.reason):
        refused(connection, refusal.text)
      default: break
      }
      connection.send(message)
    case .ship(let after, let bytesMaximum): ship(after, bytesMaximum, on: connection)
    case .holds(let name, let node, let lsn, let isHello):
      if isHello {
        // The peer is known by now, and its connection is kept.
        connection.confirm()
        names.saw(name, now: Self.now())
      }
      guard isWriter else { break }
      gate.holds(name, node, lsn: lsn, isHello: isHello, epoch: epoch)
      checkReady()
    case .stepDown(let epoch): stepDown(for: epoch)
    case .withdraw(let epoch): onWithdrawn?(epoch)
    case .restore(let frames): restore(frames)
    case .judge(let request): judge(request, isProbe: false, for: connection)
    case .probe(let request): judge(request, isProbe: true, for: connection)
    case .openSnapshot:
      guard let database else { break }
      snapshots.open(database, on: connection) { [weak self] in self?.identity }
    case .sendBlocks(let hashes): snapshots.send(hashes, on: connection)
    case .close(let reason):
      options.logger.debug("a connection ends", metadata: ["reason": "\(reason)"])
      connection.close(reason)
    }
  }

  private func judge(
    _ request: Message.PromiseRequest, isProbe: Bool, for connection: WireConnection
  ) {
    judge?(request, isProbe) { message in
      connection.queue.async { connection.send(message) }
    }
  }

  private func refused(_ connection: WireConnection, _ reason: String) {
    served.refused(connection, reason, now: Self.now())
  }

  // MARK: What happens to the log

  private func ship(_ after: UInt64, _ bytesMaximum: Int, on connection: WireConnection) {
    do {
      let frames: [LogFrame]
      if let recent = window.frames(after: after, bytesMaximum: bytesMaximum) {
        frames = recent
      } else {
        guard let database else { return }
        frames = try database.logFrames(after: after, bytesMaximum: bytesMaximum)
          .filter { $0.lsn <= end.lsn }
      }
      let last = frames.last?.lsn ?? after
      let behind = last < end.lsn ? UInt64(bytesBehind(last)) : 0
      update(connection) { $0.ship(frames, bytesBehind: behind, history: $1, now: $2) }
    } catch {
      unreadable.note(error, options.logger)
      connection.close("cannot read the log: \(error)")
    }
  }

  /// What the log has after `lsn`; asked of the window, and of the disk where that does not reach.
  func bytesBehind(_ lsn: UInt64) -> Int {
    if let rest = window.frames(after: lsn, bytesMaximum: .max) {
      return rest.reduce(0) { $0 + LogWindow.size($1) }
    }
    do { return try database?.log.frameBytes(after: lsn) ?? 0 } catch { return 0 }
  }

  func logGrew() {
    updateAll { $0.logGrew(history: $1, now: $2) }
    noteNeeded()
  }

  private func noteNeeded() {
    let least = served.leastDurable
    needed.withLock { $0 = least }
  }

  func adopted() {
    guard let database else { return }
    identity = database.logIdentity
    end = database.logEnd
    logGrew()
  }

  private func restore(_ frames: [LogFrame]) {
    guard let database else { return }
    let (queue, logger, identity) = (queue, options.logger, identity)
    database.append(received: frames, of: identity) { [weak self] result in
      queue.async { [weak self] in
        if case .failure(let error) = result {
          logger.error(
            "cannot take back batches that this primary had lost",
            metadata: ["error": "\(error)"])
        } else {
          logger.warning(
            "a replica gave back batches that this primary had lost",
            metadata: ["batches": "\(frames.count)"])
        }
        self?.adopted()
      }
    }
  }

  func tick() {
    updateAll { $0.tick(history: $1, now: $2) }
    gate.tick(epoch: epoch)
    noteNeeded()
    checkReady()
    gate.watchHold(isWriter: isWriter)
    for (name, last) in doubles where Self.now() > last + Self.doubleMilliseconds {
      doubles[name] = nil
      onAlarm?(.name(name), nil)
    }
  }

  /// A second node of one name that has not tried for so long has gone.
  private static let doubleMilliseconds: UInt64 = 60_000

  // MARK: Writing, and who may

  /// This node writes from now on, in an epoch that has just begun.
  func epochsChanged(fence: Fence, terms: AcknowledgementTerms) {
    gate.begin(terms)
    fencing.begin(fence)
    becomeWriter()
  }

  /// This node writes from now on. Who writes has changed: sessions begin anew.
  func becomeWriter() {
    guard let database else { return }
    identity = database.logIdentity
    end = database.logEnd
    fencing.begin()
    served.close("this node has changed its role") { $0.state != .fetching }
    checkReady()
  }

  /// The node is bound to this now.
  func raise(_ new: Fence) {
    guard fencing.raise(to: new, own: identity.name) else { return }
    gate.abandon(epoch: epoch)
    // The connection over which a promise goes ends by itself.
    served.close("this node is not the primary any more") { $0.state != .greeting }
  }

  /// Somebody knows a higher epoch. Writes are refused at once, and those that wait end.
  private func stepDown(for epoch: EpochName) {
    guard fencing.stepDown(for: epoch) else { return }
    options.logger.warning("this primary steps down", metadata: ["epoch": "\(epoch)"])
    gate.abandon(epoch: self.epoch)
    onStepDown?(epoch)
    served.close("this node has stepped down")
  }

  /// Lets writes in when enough replicas were heard, and after a promise that was given back.
  private func checkReady() {
    guard isWriter, let database,
      gate.beginLettingIn(isAsked: fencing.stepDowns != lettingInAfter)
    else { return }
    let (logger, queue, stepDowns) = (options.logger, queue, fencing.stepDowns)
    Task { [weak self] in
      do { _ = try await database.holdWrites(nil) } catch {
        logger.error("cannot accept writes", metadata: ["error": "\(error)"])
      }
      queue.async { [weak self] in
        self?.lettingInAfter = stepDowns
        self?.gate.letIn()
      }
    }
  }

  func replaceTerms(_ terms: AcknowledgementTerms) { gate.replace(terms, epoch: epoch) }

  /// From here on nothing is acknowledged that waits for replicas.
  func closeAll(_ reason: String) {
    fencing.end()
    gate.abandon(epoch: epoch)
    served.close(reason)
  }

  /// This follower hears a primary, or does not any more.
  func feed(_ isFed: Bool) {
    self.isFed = isFed
    guard !isFed, !isWriter else { return }
    served.close(Message.Refusal.hearsNobody) { $0.state == .streaming }
  }
}

// MARK: What peers say

extension Shipper: WireConnectionDelegate {
  func received(_ message: Message, on connection: WireConnection) {
    guard isLetIn(message, on: connection) else { return }
    switch message {
    case .refuse: break
    default: served[connection]?.hasSpoken = true
    }
    let fence = fencing.fence
    update(connection) { $0.received(message, fence: fence, history: $1, now: $2) }
  }

  /// Judges who says who it is. Whoever is not let in is told why.
  private func isLetIn(_ message: Message, on connection: WireConnection) -> Bool {
    let wantsToStream: Bool
    let greeting: Message.Hello
    switch message {
    case .hello(let hello): (wantsToStream, greeting) = (true, hello)
    case .openSnapshot(let hello): (wantsToStream, greeting) = (false, hello)
    case .requestPromise(let request), .probe(let request):
      guard let text = PeerNames.mismatch(request.candidate, connection.certifiedNames) else {
        return true
      }
      turnAway(connection, .init(.notAllowed, text))
      return false
    default: return true
    }
    for epoch in fencing.fence.withdrawn(of: greeting.promised) {
      connection.send(.withdraw(epoch))
    }
    let name = greeting.name
    let verdict = names.judge(
      greeting, certified: connection.certifiedNames,
      others: served.sessions(beside: connection),
      isOwner: acknowledgement.isOwner(greeting.nodeID, of: name), wantsToStream: wantsToStream,
      now: Self.now())
    switch verdict {
    case .refuse(let reason, let text, let alarm):
      if let alarm {
        doubles[name] = Self.now()
        onAlarm?(.name(name), alarm)
      }
      turnAway(connection, .init(reason, text))
      return false
    case .takesOver:
      options.logger.info("another node has this name now", metadata: ["node": "\(name)"])
      gate.forget(owner: name)
      doubles[name] = nil
      onAlarm?(.name(name), nil)
    case .welcome: break
    }
    guard isWriter || isFed else {
      // Two nodes that follow each other would believe that they lack nothing.
      turnAway(
        connection,
        .init(
          .notServing, Message.Refusal.hearsNobody, fence: fencing.fence.known,
          databaseID: identity.databaseID))
      return false
    }
    return true
  }

  private func turnAway(_ connection: WireConnection, _ refusal: Message.Refusal) {
    served[connection]?.hasSpoken = true
    if refusal.reason != .notServing { refused(connection, refusal.text) }
    connection.send(.refuse(refusal))
    connection.close(refusal.text)
  }

  func closed(_ connection: WireConnection, reason: String) {
    let entry = served[connection]
    if let session = entry?.session, names.knows(session.name),
      acknowledgement.isOwner(session.nodeID, of: session.name)
    {
      names.saw(session.name, now: Self.now())
    }
    if let entry, !entry.hasSpoken { refused(connection, reason) }
    _ = served.remove(connection)
    snapshots.closed(connection)
    noteNeeded()
  }
}
