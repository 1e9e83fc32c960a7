import Bytes
import Dispatch
import LogStore
import Logging
import NIOCore
import ReplicationProtocol
import VecDB

/// The side of a node that is followed: ships the log of an open database to whoever connects, and
/// decides when writes are acknowledged.
///
/// Everything happens on `queue`, one at a time, which is what makes the class safe to hand around;
/// what comes from the database's writer is passed there first.
final class Shipper: @unchecked Sendable {
  struct Served {
    var session: PrimarySession
    var snapshot: SnapshotSource?
    /// Blocks that were asked for and are not on their way yet.
    var waitingBlocks = 0
    /// The peer has said something that belongs here.
    var hasSpoken = false
  }

  let queue: DispatchQueue
  let options: ReplicationOptions
  private(set) weak var database: Database?
  /// Cached, since sessions ask for them often; `end` is what may be shipped.
  private var identity: LogIdentity
  private var end: LogPosition
  private var fence: Fence
  private let nodeID: UniqueID
  private(set) var isWriter: Bool
  private(set) var acknowledgement: Acknowledgement
  private var served: [ObjectIdentifier: (connection: WireConnection, served: Served)] = [:]
  private var window: LogWindow
  private var completions: [UInt64: (lsn: UInt64, body: @Sendable (VecDBError?) -> Void)] = [:]
  private var nextTicket: UInt64 = 0
  private var lastDigest: UInt64 = 0
  private var isAwaitingDigest = false
  private var isLettingIn = false
  private var isUnconfirmed = false
  private var lettingInAfter = 0
  /// Whether this follower hears a primary itself, and so may be followed.
  private(set) var isFed = false
  /// Whether clients' writes are refused until enough replicas were heard.
  var isHoldingWrites = false
  /// LSNs that followers may still ask for; read by the database's writer.
  private let needed = Guarded<UInt64?>(nil)
  private let isAsynchronous: Guarded<Bool>
  private(set) var stepDowns = 0
  /// Peers that were not let in, and why the last one was not.
  private(set) var refusals = (count: 0, last: String?.none)
  /// Refusals that were said in the log: the first one, and then at most one in ten seconds.
  private var saidRefusals = (count: 0, at: UInt64(0))
  /// When a name was last used by somebody who was let in.
  private var namesSeen: [String: UInt64] = [:]
  private var beganHolding: UInt64?
  var onStepDown: (@Sendable (EpochName) -> Void)?
  var onWithdrawn: (@Sendable (EpochName) -> Void)?
  /// Raises an alarm, or with nil takes it back.
  var onAlarm: (@Sendable (Alarm, String?) -> Void)?
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
    fence = record.fence
    nodeID = record.nodeID
    isWriter = !record.isFollower
    acknowledgement = Acknowledgement(
      terms: terms, patienceEnd: options.startPatienceMilliseconds.map { Self.now() + UInt64($0) })
    isAsynchronous = Guarded(terms.isAsynchronous)
    isHoldingWrites = isWriter && !acknowledgement.isReadyToWrite
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

  // MARK: Connections

  func accept(_ connection: WireConnection) {
    guard served.count < options.connectionsMaximum else {
      connection.send(.refuse(.init(.overloaded, "\(served.count) connections are open")))
      return connection.close("too many connections")
    }
    connection.delegate = self
    served[ObjectIdentifier(connection)] = (
      connection,
      Served(
        session: PrimarySession(now: Self.now(), isWriter: isWriter, limits: options.limits),
        snapshot: nil)
    )
  }

  private func update(
    _ connection: WireConnection,
    _ body: (inout PrimarySession, View, UInt64) -> [PrimarySession.Action]
  ) {
    let key = ObjectIdentifier(connection)
    guard var entry = served[key] else { return }
    let actions = body(&entry.served.session, view, Self.now())
    served[key]?.served.session = entry.served.session
    for action in actions { perform(action, on: connection) }
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
      if isHello { greeted(connection, as: name) }
      guard isWriter else { break }
      settle(acknowledgement.holds(name, node, lsn: lsn, isHello: isHello))
      if isHello, acknowledgement.hasHeardAll { onAlarm?(.startedWithout, nil) }
      checkReady()
    case .stepDown(let epoch): stepDown(for: epoch)
    case .withdraw(let epoch): onWithdrawn?(epoch)
    case .restore(let frames): restore(frames, on: connection)
    case .judge(let request): judge(request, isProbe: false, for: connection)
    case .probe(let request): judge(request, isProbe: true, for: connection)
    case .openSnapshot: openSnapshot(on: connection)
    case .sendBlocks(let hashes): sendBlocks(hashes, on: connection)
    case .close(let reason):
      options.logger.info("a connection ends", metadata: ["reason": "\(reason)"])
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
      options.logger.error("the log cannot be read for a follower: \(error)")
      connection.close("the log cannot be read: \(error)")
    }
  }

  /// What the log has after `lsn`; asked of the window, and of the disk where that does not reach.
  private func bytesBehind(_ lsn: UInt64) -> Int {
    if let rest = window.frames(after: lsn, bytesMaximum: .max) {
      return rest.reduce(0) { $0 + LogWindow.size($1) }
    }
    do { return try database?.log.frameBytes(after: lsn) ?? 0 } catch { return 0 }
  }

  // MARK: What happens to the log

  private func logGrew() {
    for (_, entry) in served {
      update(entry.connection) { $0.logGrew(history: $1, now: $2) }
    }
    noteNeeded()
  }

  private func noteNeeded() {
    let lsns = served.values.filter { $0.served.session.state == .streaming }
      .map(\.served.session.progress.durable)
    let least = lsns.min()
    needed.withLock { $0 = least }
  }

  /// This node writes from now on, in an epoch that has just begun.
  func epochsChanged(fence: Fence, terms: AcknowledgementTerms) {
    acknowledgement = Acknowledgement(terms: terms)
    isAsynchronous.withLock { $0 = terms.isAsynchronous }
    self.fence = fence
    becomeWriter()
    // What its history has it has seen itself: nobody has to be heard first.
    isHoldingWrites = false
    onAlarm?(.missingReplicas, nil)
  }

  /// This node writes from now on. Who writes has changed: sessions begin anew.
  func becomeWriter() {
    guard let database else { return }
    identity = database.logIdentity
    end = database.logEnd
    isWriter = true
    for (_, entry) in served where entry.served.session.state != .fetching {
      entry.connection.close("this node has changed its part")
    }
    checkReady()
  }

  func adopted() {
    guard let database else { return }
    identity = database.logIdentity
    end = database.logEnd
    logGrew()
  }

  func tick() {
    for (_, entry) in served {
      update(entry.connection) { $0.tick(history: $1, now: $2) }
    }
    settle(acknowledgement.tick(now: Self.now()))
    noteNeeded()
    checkReady()
    watchHolding()
    if isUnconfirmed, acknowledgement.isEverythingHeld {
      isUnconfirmed = false
      onAlarm?(.unconfirmed, nil)
    }
  }

  /// Writes that cannot be let in are no secret.
  private func watchHolding() {
    guard isWriter, isHoldingWrites else {
      beganHolding = nil
      return
    }
    let began = beganHolding ?? Self.now()
    beganHolding = began
    guard Self.now() > began + 10_000 else { return }
    let heard = acknowledgement.heardMembers.sorted().joined(separator: ", ")
    let asked = acknowledgement.terms.waiting.map {
      "\($0.needed) of \($0.members.joined(separator: ", "))"
    }.joined(separator: " and ")
    onAlarm?(
      .missingReplicas,
      "nothing can be written: writes wait for \(asked), and heard is "
        + "\(heard.isEmpty ? "nobody" : heard) since the start; start the replicas, or serve with "
        + "--asynchronous once enough of them are back")
  }

  // MARK: Fencing

  /// The node is bound to this now.
  func raise(_ new: Fence) {
    fence = new
    guard isWriter, !new.admits(identity.name) else { return }
    stepDowns += 1
    isWriter = false
    settle(acknowledgement.abandon())
    // The connection over which a promise goes ends by itself.
    for (_, entry) in served where entry.served.session.state != .greeting {
      entry.connection.close("this node is not the primary any more")
    }
  }

  /// Somebody knows a higher epoch. Writes are refused at once, and those that wait end.
  func stepDown(for epoch: EpochName) {
    let isNew = fence.raise(to: epoch)
    guard isNew || isWriter else { return }
    stepDowns += 1
    isWriter = false
    options.logger.warning("stepping down for \(epoch)")
    settle(acknowledgement.abandon())
    onStepDown?(epoch)
    for (_, entry) in served { entry.connection.close("this node has stepped down") }
  }

  /// Lets writes in when enough replicas were heard, and after a promise that was given back.
  private func checkReady() {
    guard isWriter, acknowledgement.isReadyToWrite, !isLettingIn, let database else { return }
    guard isHoldingWrites || stepDowns != lettingInAfter else { return }
    isLettingIn = true
    let (logger, queue, stepDowns) = (options.logger, queue, stepDowns)
    Task { [weak self] in
      do { _ = try await database.holdWrites(nil) } catch {
        logger.error("writes cannot be let in: \(error)")
      }
      queue.async { [weak self] in
        self?.isLettingIn = false
        self?.isHoldingWrites = false
        self?.lettingInAfter = stepDowns
        self?.onAlarm?(.missingReplicas, nil)
      }
    }
  }

  func replaceTerms(_ terms: AcknowledgementTerms) {
    isAsynchronous.withLock { $0 = terms.isAsynchronous }
    settle(acknowledgement.replace(terms: terms))
  }

  /// From here on nothing is acknowledged that waits for replicas.
  func closeAll(_ reason: String) {
    isWriter = false
    settle(acknowledgement.abandon())
    for (_, entry) in served { entry.connection.close(reason) }
  }

  /// This follower hears a primary, or does not any more.
  func feed(_ isFed: Bool) {
    self.isFed = isFed
    guard !isFed, !isWriter else { return }
    for (_, entry) in served where entry.served.session.state == .streaming {
      entry.connection.close("this node hears no primary")
    }
  }

  /// Whether writes have to wait until enough replicas were heard.
  var holdsWritesAtStart: Bool { isHoldingWrites }

  private func restore(_ frames: [LogFrame], on connection: WireConnection) {
    guard let database else { return }
    let (queue, logger, identity) = (queue, options.logger, identity)
    database.append(received: frames, of: identity) { [weak self] result in
      queue.async { [weak self] in
        if case .failure(let error) = result {
          logger.error("what this primary had lost cannot be taken back: \(error)")
        } else {
          logger.warning("a replica gave back \(frames.count) batches that this primary had lost")
        }
        self?.adopted()
      }
    }
  }

  // MARK: Snapshots

  private static let waitingBlocksMaximum = 64

  private func openSnapshot(on connection: WireConnection) {
    guard let database else { return }
    let (queue, key) = (queue, ObjectIdentifier(connection))
    Task { [weak self] in
      do {
        let source = try await database.makeSnapshot()
        queue.async { [weak self] in
          guard let self, self.served[key] != nil else { return }
          self.served[key]?.served.snapshot = source
          connection.send(
            .snapshot(.init(manifest: source.manifest.encode(), identity: self.identity)))
        }
      } catch {
        queue.async { connection.close("a snapshot cannot be made: \(error)") }
      }
    }
  }

  private func sendBlocks(_ hashes: [Digest], on connection: WireConnection) {
    let key = ObjectIdentifier(connection)
    guard let source = served[key]?.served.snapshot else {
      return connection.close("blocks were asked for without a snapshot")
    }
    served[key]?.served.waitingBlocks += hashes.count
    guard served[key]?.served.waitingBlocks ?? 0 <= Self.waitingBlocksMaximum else {
      return connection.close("too many blocks were asked for at once")
    }
    let queue = queue
    DispatchQueue.global(qos: .utility).async {
      for hash in hashes {
        do {
          let bytes = try source.block(hash)
          queue.async {
            connection.send(.block(hash, bytes)) { [weak self] in
              self?.served[key]?.served.waitingBlocks -= 1
            }
          }
        } catch {
          return queue.async { connection.close("a block cannot be read: \(error)") }
        }
      }
    }
  }
}

extension Shipper: WireConnectionDelegate {
  func received(_ message: Message, on connection: WireConnection) {
    switch message {
    case .hello(let hello), .openSnapshot(let hello):
      for epoch in fence.withdrawn(of: hello.promised) { connection.send(.withdraw(epoch)) }
      if let refusal = refusal(of: hello, on: connection) {
        connection.send(.refuse(.init(.notAllowed, refusal)))
        refused(connection, refusal)
        return connection.close(refusal)
      }
    default: break
    }
    if !isWriter, !isFed {
      // Two nodes that follow each other would believe that they lack nothing.
      switch message {
      case .hello, .openSnapshot:
        served[ObjectIdentifier(connection)]?.served.hasSpoken = true
        connection.send(
          .refuse(
            .init(
              .notServing, "this node hears no primary", fence: fence.known,
              databaseID: identity.databaseID)))
        return connection.close("this node hears no primary")
      default: break
      }
    }
    switch message {
    case .refuse: break
    default: served[ObjectIdentifier(connection)]?.served.hasSpoken = true
    }
    let fence = fence
    update(connection) { $0.received(message, fence: fence, history: $1, now: $2) }
  }

  func closed(_ connection: WireConnection, reason: String) {
    let entry = served.removeValue(forKey: ObjectIdentifier(connection))
    if let name = entry?.served.session.name, namesSeen[name] != nil,
      acknowledgement.isOwner(entry?.served.session.nodeID ?? .zero, of: name)
    {
      namesSeen[name] = Self.now()
    }
    if let entry, !entry.served.hasSpoken { refused(connection, reason) }
    noteNeeded()
  }

  private func refused(_ connection: WireConnection, _ reason: String) {
    served[ObjectIdentifier(connection)]?.served.hasSpoken = true
    let text = "\(connection.peer): \(reason)"
    refusals = (refusals.count + 1, text)
    saidRefusals.count += 1
    let now = Self.now()
    guard saidRefusals.at == 0 || now > saidRefusals.at + 10_000 else { return }
    options.logger.notice(
      "a peer was not let in", metadata: ["reason": "\(text)", "count": "\(saidRefusals.count)"])
    saidRefusals = (0, now)
  }

  /// A peer is known by now, and its connection is kept.
  private func greeted(_ connection: WireConnection, as name: String) {
    connection.confirm()
    namesSeen[name] = Self.now()
  }

  /// How long after its last word a name may be used by another node.
  private static let nameMilliseconds: UInt64 = 30_000

  /// Why a node may not use the name that it says; nil if it may. Two nodes with one name would
  /// confirm for each other what only one of them has.
  private func refusal(of hello: Message.Hello, on connection: WireConnection) -> String? {
    let name = hello.name
    guard hello.nodeID != .zero else { return nil }
    if name == options.name, hello.nodeID != nodeID {
      return "this node itself is called '\(name)'"
    }
    let isConnected = served.values.contains {
      $0.connection !== connection && $0.served.session.name == name
        && $0.served.session.nodeID != .zero && $0.served.session.nodeID != hello.nodeID
    }
    if isConnected {
      onAlarm?(.name(name), "two nodes are called '\(name)': the second one is not let in")
      return "another node that is called '\(name)' is connected"
    }
    guard !acknowledgement.isOwner(hello.nodeID, of: name) else { return nil }
    let seen = namesSeen[name] ?? 0
    guard Self.now() > seen + Self.nameMilliseconds else {
      return "another node was called '\(name)' less than "
        + "\(Self.nameMilliseconds / 1_000) s ago"
    }
    options.logger.warning("'\(name)' is another node from now on")
    acknowledgement.forget(owner: name)
    onAlarm?(.name(name), nil)
    return nil
  }
}

// MARK: What the database's writer tells and asks

extension Shipper: ReplicationHooks {
  func committed(_ frames: [LogFrame]) {
    queue.async { [self] in
      window.append(frames)
      let now = Self.now()
      if now > lastDigest + 500 {
        // This group waits until it is applied, so that its digest can go right behind it.
        lastDigest = now
        isAwaitingDigest = true
      } else if !isAwaitingDigest, let last = frames.last {
        end = last.position
      }
      if let counter = frames.last?.epochCounter, counter != identity.currentEpoch.counter,
        let database
      {
        identity = database.logIdentity
      }
      logGrew()
    }
  }

  func published(_ position: LogPosition, dataDigest: Digest) {
    queue.async { [self] in
      guard isAwaitingDigest else { return }
      isAwaitingDigest = false
      for key in served.keys {
        served[key]?.served.session.note(digest: dataDigest, at: position.lsn)
      }
      end = position
      logGrew()
    }
  }

  func whenAcknowledged(_ lsn: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void) {
    if isAsynchronous.withLock({ $0 }) { return body(nil) }
    queue.async { [self] in
      guard isWriter else { return body(outcomeUnknown(lsn)) }
      nextTicket += 1
      completions[nextTicket] = (lsn, body)
      settle(acknowledgement.committed(lsn: lsn, ticket: nextTicket, now: Self.now()))
    }
  }

  func neededLSN(_ log: WriteAheadLog) -> UInt64? {
    guard let needed = needed.withLock({ $0 }) else {
      // Nobody is there; those who come back soon find some log.
      return log.startOfNewest(bytes: options.retainedLogBytes)
    }
    return max(needed, log.startOfNewest(bytes: options.retainedLogBytes))
  }

  private func settle(_ actions: [Acknowledgement.Action]) {
    for action in actions {
      switch action {
      case .release(let tickets):
        if isUnconfirmed {
          isUnconfirmed = false
          onAlarm?(.unconfirmed, nil)
        }
        for ticket in tickets { completions.removeValue(forKey: ticket)?.body(nil) }
      case .giveUp(let tickets):
        if isWriter, !isUnconfirmed {
          isUnconfirmed = true
          onAlarm?(
            .unconfirmed,
            "replicas do not confirm writes in time: these end with an unknown outcome")
        }
        for ticket in tickets {
          guard let (lsn, body) = completions.removeValue(forKey: ticket) else { continue }
          body(outcomeUnknown(lsn))
        }
      case .degraded: options.logger.error("acknowledging writes without replicas")
      case .restored: options.logger.notice("enough replicas have caught up again")
      case .startedWithout(let missing):
        onAlarm?(
          .startedWithout,
          "writing began without having heard \(missing.joined(separator: ", ")) since the start: "
            + "if this host's disk was set back, what only they have is not here")
      }
    }
  }

  private func outcomeUnknown(_ lsn: UInt64) -> VecDBError {
    VecDBError(
      .outcomeUnknown,
      "the write is in the log of this host (epoch \(identity.currentEpoch.counter), LSN \(lsn)), "
        + "but \(acknowledgement.policy.needed) replicas did not confirm it in time",
      at: options.name,
      remedy: "Write the same records again: those that are there already are not written twice.")
  }
}

// MARK: What operators see

extension Shipper {
  struct Follower: Sendable, Codable {
    var name: String
    var receivedLSN: UInt64
    var durableLSN: UInt64
    var appliedLSN: UInt64
    var searchableLSN: UInt64
    var lagLSN: UInt64
    var lagBytes: UInt64
    var isFetchingSnapshot: Bool
  }

  var followers: [Follower] {
    served.values.filter { !$0.served.session.name.isEmpty }.map { entry in
      let session = entry.served.session
      let applied = session.progress.applied
      let isFetching = session.state == .fetching
      return Follower(
        name: session.name, receivedLSN: session.progress.received,
        durableLSN: session.progress.durable, appliedLSN: applied,
        searchableLSN: session.progress.searchable,
        lagLSN: isFetching ? end.lsn : end.lsn - min(end.lsn, applied),
        lagBytes: isFetching ? 0 : UInt64(bytesBehind(applied)), isFetchingSnapshot: isFetching)
    }.sorted { $0.name < $1.name }
  }
}
