import Bytes
import Dispatch
import LogStore
import ReplicationProtocol
import VecDB

/// What became of a promotion.
public struct PromotionReport: Sendable, Hashable, Codable {
  public var isPromoted: Bool
  /// What is provable about acknowledged writes: `none` are lost, `atMost` so many batches, or
  /// `unbounded`.
  public var loss: String
  public var lossBatches: UInt64?
  public var reason: String
  public var databaseID: String
  public var oldEpoch: UInt64
  public var newEpoch: UInt64
  /// The last LSN and the chain of the old epoch that the new one builds on.
  public var lsn: UInt64
  public var chain: String
  /// The nodes that bound themselves to the new epoch, beside this one.
  public var heard: [String]
  public var seconds: Double
}

extension ReplicationNode {
  /// Makes this follower the primary of a new epoch.
  ///
  /// Every peer is asked to bind itself to the new epoch, after which it accepts nothing from the
  /// old primary. Without `force` the promotion goes ahead only if it is certain that no
  /// acknowledged write is lost.
  ///
  /// - Parameters:
  ///   - planned: the old primary is alive and hands over: it stops writing, this node takes what
  ///     is left, and nothing is lost whatever the acknowledgement policy is.
  ///   - force: go ahead without proof; the report says what is known.
  /// - Throws: `notReached` if another node has more, naming it, if it cannot be proven that
  ///   nothing is lost, or if a higher epoch is known.
  public func promote(
    planned: Bool = false, force: Bool = false, timeoutMilliseconds: Int = 3_000
  ) async throws -> PromotionReport {
    let started = ContinuousClock.now
    let database = try database
    guard role == .follower else {
      throw VecDBError(
        .invalidArgument, "this node is the primary already", at: path,
        remedy: "Nothing has to be done.")
    }
    guard
      !state.withLock({ state in
        defer { state.isPromoting = true }
        return state.isPromoting
      })
    else {
      throw VecDBError(.invalidArgument, "a promotion is under way", at: path)
    }
    defer { state.withLock { $0.isPromoting = false } }
    let record = state.withLock { $0.record }
    let policy = try Self.policy(try await database.acknowledgementPolicy())
    var id = SystemRandomNumberGenerator()
    var machine = Promotion(
      candidate: options.name, identity: database.logIdentity, end: database.logEnd,
      fence: Fence(EpochName(counter: record.epochCounter, id: record.epochID)).epoch,
      policy: policy, id: UniqueID(high: id.next(), low: id.next()))
    if !planned { try await bindOwn(machine.epoch, database) }
    for promise in await ask(machine.request(isPlanned: planned), timeoutMilliseconds) {
      machine.received(promise)
    }
    if planned { try await bindOwn(machine.epoch, database) }
    let end = database.logEnd
    machine.reached(end)
    return try await finish(
      machine.decide(isForced: force), database, end, started: started)
  }

  /// This node's own promise: from here on it follows nobody of a lower epoch.
  private func bindOwn(_ epoch: EpochName, _ database: Database) async throws {
    var record = state.withLock { state -> NodeRecord in
      state.record.epochCounter = epoch.counter
      state.record.epochID = epoch.id
      return state.record
    }
    record.isFollower = true
    try await database.bind(record)
    let (following, shipper) = state.withLock { ($0.following, $0.shipper) }
    await onQueue {
      shipper?.raise(Fence(epoch))
      following?.fenceRaised(to: Fence(epoch))
      following?.stop()
    }
  }

  private func finish(
    _ outcome: Promotion.Outcome, _ database: Database, _ end: LogPosition,
    started: ContinuousClock.Instant
  ) async throws -> PromotionReport {
    switch outcome {
    case .promote(let certificate, let epoch):
      let policy = options.acknowledgement?.policy ?? .asynchronous
      try await database.openEpoch(
        epoch, at: end, policy: policy == .asynchronous ? [] : policy.encoded())
      let record = try database.nodeRecord()
      let shipper = state.withLock { state -> Shipper? in
        state.record = record
        return state.shipper
      }
      await onQueue {
        shipper?.epochsChanged(
          isWriter: true, fence: Fence(EpochName(epoch)), policy: policy)
      }
      let report = PromotionReport(
        certificate, isPromoted: true, seconds: (ContinuousClock.now - started) / .seconds(1))
      options.logger.notice(
        "primary of epoch \(epoch.counter) from LSN \(end.lsn); loss: \(report.loss)")
      return report
    case .behind(let name, let position):
      throw VecDBError(
        .notReached, "'\(name)' has more: it is at LSN \(position.lsn), this node at \(end.lsn)",
        at: path, remedy: "Promote '\(name)'.")
    case .refused(let certificate):
      throw VecDBError(
        .notReached, "it is not certain that nothing is lost: \(certificate.reason)", at: path,
        remedy: "Start more of the replicas and try again, or promote with --force.")
    case .stale(let epoch):
      throw VecDBError(
        .notReached, "a higher epoch is known: \(epoch)", at: path,
        remedy: "Another node is being promoted. Look at its status; otherwise try again.")
    }
  }

  /// Asks all peers at the same time, and waits for those that answer.
  private func ask(
    _ request: Message.PromiseRequest, _ timeoutMilliseconds: Int
  ) async -> [Message.Promise] {
    await withTaskGroup(of: Message.Promise?.self) { tasks in
      for peer in options.peers {
        tasks.addTask { [transport, options] in
          do {
            let connection = try await transport.connect(peer)
            return await PromiseQuestion(connection).ask(
              request, timeoutMilliseconds: timeoutMilliseconds)
          } catch {
            options.logger.info("\(peer) cannot be asked: \(error)")
            return nil
          }
        }
      }
      var promises: [Message.Promise] = []
      for await promise in tasks { if let promise { promises.append(promise) } }
      return promises
    }
  }

  // MARK: The other side: binding oneself to a candidate

  /// Answers a candidate. On the node's queue.
  func judge(
    _ request: Message.PromiseRequest, _ answer: @escaping @Sendable (Message) -> Void
  ) {
    Task { [weak self] in
      guard let self else { return }
      do { answer(.promise(try await self.judge(request))) } catch {
        options.logger.error("a candidate cannot be answered: \(error)")
      }
    }
  }

  private func judge(_ request: Message.PromiseRequest) async throws -> Message.Promise {
    let database = try database
    guard let shipper else { throw VecDBError.nothingServed(path) }
    let wasWriter = await onQueue { shipper.isWriter && shipper.acknowledgement.isReadyToWrite }
    if request.isPlanned, wasWriter {
      let isReady = try await handOver(request, database, shipper)
      guard isReady else {
        _ = try await database.holdWrites(nil)
        return Message.Promise(
          name: options.name, isGranted: false, identity: database.logIdentity,
          end: database.logEnd, fence: .none, isPrimary: true,
          text: "the candidate did not take what is left in time")
      }
    } else if wasWriter {
      _ = try await database.holdWrites(
        VecDBError(.readOnly, "another node is becoming the primary", at: path))
    }
    let history = DatabaseHistory(database: database)
    let name = options.name
    let (promise, fence) = await onQueue { () -> (Message.Promise, Fence) in
      var fence = shipper.fenced
      let promise = fence.judge(request, name: name, isPrimary: wasWriter, history: history)
      return (promise, fence)
    }
    guard promise.isGranted else {
      if wasWriter { _ = try await database.holdWrites(nil) }
      return promise
    }
    await withCheckedContinuation { continuation in
      bind(fence.epoch) { continuation.resume() }
    }
    let following = state.withLock { $0.following }
    await onQueue {
      shipper.stepDownQuietly(for: fence.epoch)
      following?.fenceRaised(to: fence)
    }
    return promise
  }

  /// Stops writing and waits until the candidate has everything.
  private func handOver(
    _ request: Message.PromiseRequest, _ database: Database, _ shipper: Shipper
  ) async throws -> Bool {
    let end = try await database.holdWrites(
      VecDBError(.readOnly, "this primary is handing over to '\(request.candidate)'", at: path))
    let deadline = ContinuousClock.now + .milliseconds(2_500)
    while ContinuousClock.now < deadline {
      let held = await onQueue {
        shipper.followers.first { $0.name == request.candidate }?.durableLSN
      }
      if let held, held >= end.lsn { return true }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    return false
  }
}

extension VecDBError {
  static func nothingServed(_ path: String) -> VecDBError {
    VecDBError(.closed, "the copy is being fetched", at: path, remedy: "Try again in a moment.")
  }
}

extension PromotionReport {
  init(_ certificate: PromotionCertificate, isPromoted: Bool, seconds: Double) {
    let (loss, batches): (String, UInt64?) =
      switch certificate.loss {
      case .none: ("none", nil)
      case .atMost(let batches): ("atMost", batches)
      case .unbounded: ("unbounded", nil)
      }
    self.init(
      isPromoted: isPromoted, loss: loss, lossBatches: batches, reason: certificate.reason,
      databaseID: "\(certificate.databaseID)", oldEpoch: certificate.oldEpoch.counter,
      newEpoch: certificate.newEpoch.counter, lsn: certificate.position.lsn,
      chain: certificate.position.chain.hex, heard: certificate.heard, seconds: seconds)
  }
}

/// Asks one peer for its promise.
private final class PromiseQuestion: WireConnectionDelegate, @unchecked Sendable {
  private let connection: WireConnection
  private var continuation: CheckedContinuation<Message.Promise?, Never>?

  init(_ connection: WireConnection) { self.connection = connection }

  func ask(
    _ request: Message.PromiseRequest, timeoutMilliseconds: Int
  ) async -> Message.Promise? {
    await withCheckedContinuation { continuation in
      connection.queue.async { [self] in
        self.continuation = continuation
        connection.delegate = self
        connection.send(.requestPromise(request))
      }
      connection.queue.asyncAfter(deadline: .now() + .milliseconds(timeoutMilliseconds)) {
        self.connection.close("no answer in time")
      }
    }
  }

  func received(_ message: Message, on connection: WireConnection) {
    if case .promise(let promise) = message { finish(promise) }
    connection.close("answered")
  }

  func closed(_ connection: WireConnection, reason: String) { finish(nil) }

  private func finish(_ promise: Message.Promise?) {
    continuation?.resume(returning: promise)
    continuation = nil
  }
}
