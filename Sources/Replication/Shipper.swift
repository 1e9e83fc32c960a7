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
  private(set) var isWriter: Bool
  private(set) var acknowledgement: Acknowledgement
  private var served: [ObjectIdentifier: (connection: WireConnection, served: Served)] = [:]
  private var window: LogWindow
  private var completions: [UInt64: (lsn: UInt64, body: @Sendable (VecDBError?) -> Void)] = [:]
  private var nextTicket: UInt64 = 0
  private var lastDigest: UInt64 = 0
  private var isAwaitingDigest = false
  private var isReady = false
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
  var onStepDown: (@Sendable (EpochName) -> Void)?
  /// Answers a candidate; set by the node.
  var judge: (@Sendable (Message.PromiseRequest, @escaping @Sendable (Message) -> Void) -> Void)?

  init(
    database: Database, queue: DispatchQueue, options: ReplicationOptions, record: NodeRecord,
    policy: AcknowledgementPolicy
  ) {
    self.database = database
    self.queue = queue
    self.options = options
    identity = database.logIdentity
    end = database.logEnd
    fence = Fence(EpochName(counter: record.epochCounter, id: record.epochID))
    isWriter = !record.isFollower
    acknowledgement = Acknowledgement(policy: policy)
    isAsynchronous = Guarded(policy.isAsynchronous)
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
      case .refuse(let refusal): refused(connection, refusal.text)
      default: break
      }
      connection.send(message)
    case .ship(let after, let bytesMaximum): ship(after, bytesMaximum, on: connection)
    case .holds(let name, let lsn, let isHello):
      guard isWriter else { break }
      settle(acknowledgement.holds(name, lsn: lsn, isHello: isHello))
      checkReady()
    case .stepDown(let epoch): stepDown(for: epoch)
    case .restore(let frames): restore(frames, on: connection)
    case .judge(let request):
      judge?(request) { message in
        connection.queue.async { connection.send(message) }
      }
    case .openSnapshot: openSnapshot(on: connection)
    case .sendBlocks(let hashes): sendBlocks(hashes, on: connection)
    case .close(let reason):
      options.logger.info("a connection ends", metadata: ["reason": "\(reason)"])
      connection.close(reason)
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

  /// The epochs of the log have changed; `isWriter` says whether this node writes from now on.
  func epochsChanged(isWriter: Bool, fence: Fence, policy: AcknowledgementPolicy) {
    guard let database else { return }
    identity = database.logIdentity
    end = database.logEnd
    self.fence = fence
    if isWriter, !self.isWriter { acknowledgement = Acknowledgement(policy: policy) }
    self.isWriter = isWriter
    isAsynchronous.withLock { $0 = policy.isAsynchronous }
    // Who writes has changed: sessions begin anew.
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
  }

  // MARK: Fencing

  func raise(_ new: Fence) { fence = new }
  var fenced: Fence { fence }

  /// Somebody knows a higher epoch. Writes are refused at once, and those that wait end.
  func stepDown(for epoch: EpochName) {
    guard fence.raise(to: epoch) || isWriter else { return }
    stepDowns += 1
    isWriter = false
    options.logger.warning("stepping down for \(epoch)")
    settle(acknowledgement.abandon())
    onStepDown?(epoch)
    for (_, entry) in served { entry.connection.close("this node has stepped down") }
  }

  private func checkReady() {
    let ready = isWriter && acknowledgement.isReadyToWrite
    guard ready, !isReady, let database else { return }
    isReady = true
    let (logger, queue) = (options.logger, queue)
    Task { [weak self] in
      do {
        _ = try await database.holdWrites(nil)
        queue.async { [weak self] in self?.isHoldingWrites = false }
      } catch { logger.error("writes cannot be let in: \(error)") }
    }
  }

  /// As `stepDown`, but a node that follows anyway only remembers.
  func stepDownOrRaise(_ epoch: EpochName) {
    if isWriter, epoch > identity.name { stepDown(for: epoch) } else { _ = fence.raise(to: epoch) }
  }

  /// As `stepDown`, where the node has bound itself already. The connection over which the
  /// promise goes ends by itself.
  func stepDownQuietly(for epoch: EpochName) {
    _ = fence.raise(to: epoch)
    guard isWriter else { return }
    stepDowns += 1
    isWriter = false
    settle(acknowledgement.abandon())
    for (_, entry) in served where entry.served.session.state != .greeting {
      entry.connection.close("this node has handed over")
    }
  }

  func replacePolicy(_ policy: AcknowledgementPolicy) {
    isAsynchronous.withLock { $0 = policy.isAsynchronous }
    settle(acknowledgement.replace(policy: policy))
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
  var mustHoldWrites: Bool { isWriter && !acknowledgement.isReadyToWrite }

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
    if !isWriter, !isFed {
      // Two nodes that follow each other would believe that they lack nothing.
      switch message {
      case .hello, .openSnapshot:
        connection.send(
          .refuse(.init(.notServing, "this node hears no primary", fence: fence.epoch)))
        return connection.close("this node hears no primary")
      default: break
      }
    }
    switch message {
    case .refuse: break
    default: served[ObjectIdentifier(connection)]?.served.hasSpoken = true
    }
    let fence = fence.epoch
    update(connection) { $0.received(message, fence: fence, history: $1, now: $2) }
  }

  func closed(_ connection: WireConnection, reason: String) {
    let entry = served.removeValue(forKey: ObjectIdentifier(connection))
    if let entry, !entry.served.hasSpoken { refused(connection, reason) }
    noteNeeded()
  }

  private func refused(_ connection: WireConnection, _ reason: String) {
    served[ObjectIdentifier(connection)]?.served.hasSpoken = true
    let text = "\(connection.peer): \(reason)"
    refusals = (refusals.count + 1, text)
    options.logger.notice("a peer was not let in", metadata: ["reason": "\(text)"])
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
        for ticket in tickets { completions.removeValue(forKey: ticket)?.body(nil) }
      case .giveUp(let tickets):
        for ticket in tickets {
          guard let (lsn, body) = completions.removeValue(forKey: ticket) else { continue }
          body(outcomeUnknown(lsn))
        }
      case .degraded: options.logger.error("acknowledging writes without replicas")
      case .restored: options.logger.notice("enough replicas have caught up again")
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
