import Dispatch
import Glibc
import Logging
import Synchronization
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// What the writer owns: log, records, blocks and the state that batches are applied to.
///
/// Every method runs on the writer's queue, one at a time; that, not a lock, is what makes the
/// class safe to hand around. What readers may touch is in `shared`.
///
/// Invariants: records and state have applied every batch up to `state.lsn` once a commit group
/// is done; `log.end` equals `state.position` unless the database is poisoned.
final class Engine: @unchecked Sendable {
  let directory: DatabaseDirectory
  let fileSystem: any FileSystem
  let configuration: DatabaseConfiguration
  let log: WriteAheadLog
  let records: RecordStore
  let blocks: BlockStore
  let state: DatabaseState
  let shared: SharedState
  let checkpointer: Checkpointer
  let maintainer = Maintainer()
  /// Who else still needs the log.
  let holds: LogHolds
  private let syncer: LogSyncer
  /// The newest epoch of each repository as this process last saw it, by the repository's id. While it
  /// has this copy open, nobody else can have stood in its place.
  let newestEpochs = Guarded<[UInt128: UInt64]>([:])
  /// What works beside the writer and needs nothing but the engine.
  let companions = Companions()
  var telemetry: Telemetry { shared.telemetry }
  let tracing: DatabaseTracing
  /// A rebuild that cannot be ended although it costs too many slots.
  let unboundRebuilds = RepeatedFailure(
    "cannot end a rebuild that needs too many slots", level: .error)
  private let lock: any FileLock
  var clock: LogClock
  /// Milliseconds since 1970.
  let systemClock: @Sendable () -> Int64
  private(set) var poison: VecDBError?
  /// Who is told of every commit, and decides when it is acknowledged; nil where nobody follows.
  var replication: (any ReplicationHooks)? {
    didSet { noteRefusal() }
  }
  /// Why clients may not write: this node follows another one, or is fenced off.
  var writeRefusal: VecDBError? {
    didSet { noteRefusal() }
  }
  /// Why clients may not write for the moment.
  var writesHeld: VecDBError? {
    didSet { noteRefusal() }
  }

  /// Why clients may not write now; nil if they may. A policy in the log that waits for replicas
  /// binds every way of opening: without somebody who waits nothing is acknowledged.
  var refusal: VecDBError? {
    if let refusal = writeRefusal ?? writesHeld ?? replication?.refusal { return refusal }
    guard replication == nil, AcknowledgementRecord.waits(state.acknowledgement) else {
      return nil
    }
    return .writesWaitForReplicas(directory.path)
  }

  private func noteRefusal() {
    shared.refusesWrites.store(refusal != nil, ordering: .releasing)
  }

  /// What readers on any thread see of the engine.
  final class SharedState: Sendable {
    let catalog = Catalog()
    let figures = Guarded(Figures())
    let telemetry: Telemetry
    let lsn: Atomic<UInt64>
    let records: RecordStore
    /// Bytes of writes that wait for the writer.
    let queuedBytes = Atomic(0)
    /// Why nothing can be written any more.
    let poison = Guarded<VecDBError?>(nil)
    /// The time of the log, milliseconds since 1970.
    let logMilliseconds = Atomic<Int64>(0)
    /// Whether nothing is written here but what is received from another node.
    let refusesWrites = Atomic(false)
    init(lsn: UInt64, records: RecordStore, _ configuration: DatabaseConfiguration) {
      telemetry = Telemetry(configuration)
      self.lsn = Atomic(lsn)
      self.records = records
    }
  }

  init(
    directory: DatabaseDirectory, fileSystem: any FileSystem, configuration: DatabaseConfiguration,
    lock: any FileLock, log: WriteAheadLog, records: RecordStore, blocks: BlockStore,
    state: DatabaseState, checkpointer: Checkpointer, holds: LogHolds, clock: LogClock
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.configuration = configuration
    tracing = DatabaseTracing(configuration, path: directory.path)
    self.lock = lock
    self.log = log
    self.records = records
    self.blocks = blocks
    self.state = state
    self.checkpointer = checkpointer
    self.holds = holds
    self.clock = clock
    systemClock = configuration.clock ?? Self.nowMilliseconds
    syncer = LogSyncer(isBeside: fileSystem.sqliteVFSName == nil)
    shared = SharedState(lsn: state.lsn, records: records, configuration)
    shared.logMilliseconds.store(clock.lastMilliseconds, ordering: .relaxed)
    publish()
  }

  var epochCounter: UInt64 { log.identity.currentEpoch.counter }

  /// The receipt for everything up to now.
  var receipt: Receipt { Receipt(epoch: epochCounter, lsn: state.lsn) }

  func requireHealthy() throws {
    if let poison { throw poison }
  }

  /// Closes the files; the lock is released last.
  func shutDown() {
    do {
      try records.close()
      try log.close()
    } catch {
      configuration.logger.error(
        "cannot close the files",
        metadata: ["path": "\(directory.path)", "error": "\(error)"])
    }
    lock.unlock()
  }
}

// MARK: The write path: prepare, commit, apply, publish, acknowledge

extension Engine {
  /// Makes the requests durable and searchable, and answers each.
  func commit(_ group: WriteQueue.Group) {
    tracing.traceCommit(of: group.callers, requests: group.work.count) { span in
      commit(group.work, span)
    }
  }

  private func commit(_ requests: [WriteWork], _ span: OperationSpan?) {
    if let refusal = poison ?? refusal {
      span?.fail(refusal)
      for request in requests { request.fail(refusal) }
      return
    }
    var group = CommitGroup(records)
    for request in requests { group.add(request) }
    do {
      let receipts = try write(group.payloads, areProven: true)
      if let span {
        span.note("vecdb.lsn", Int64(clamping: state.lsn))
        span.note("vecdb.commit.bytes", group.payloads.reduce(0) { $0 + $1.count })
      }
      acknowledge(group.answers, receipts)
    } catch {
      let failure = VecDBError(wrapping: error)
      span?.fail(failure)
      for (answer, _) in group.answers { answer.fail(failure) }
    }
  }

  /// Appends the payloads to the log in one transaction, applies and publishes them. On return
  /// they are durable and searchable. Returns a receipt for each.
  ///
  /// - Throws: `diskFull`, `limitExceeded` or `invalidArgument` for what could not be replayed, and
  ///   nothing was changed; anything else poisons the database.
  func write(_ payloads: [[UInt8]], areProven: Bool = false) throws -> [Receipt] {
    if let refusal { throw refusal }
    return try write(payloads, areProven: areProven) { [log] in
      let now = logTime()
      return try log.write(payloads.map { ($0, now) })
    }
  }

  /// As `write`, with the frames that `append` writes to the log for the payloads.
  ///
  /// They are applied, where nobody sees it yet, while the log is synced. Nothing is committed to
  /// records, published or acknowledged before it is durable.
  ///
  /// With `areProven` the payloads were decoded already.
  func write(
    _ payloads: [[UInt8]], areProven: Bool = false, append: () throws -> [LogFrame]
  ) throws -> [Receipt] {
    try requireHealthy()
    guard !payloads.isEmpty else { return [] }
    for (offset, payload) in payloads.enumerated() where !areProven {
      try BatchPayload.requireReplayable(payload, lsn: state.lsn + 1 + UInt64(offset))
    }
    do { try requireSpace(for: payloads) } catch {
      telemetry.refusedForSpace()
      throw error
    }
    let begun = DispatchTime.now()
    let frames: [LogFrame]
    do {
      frames = try append()
    } catch let error as StoreError where error.kind == .diskFull {
      telemetry.refusedForSpace()
      throw error
    } catch let error as StoreError
      where error.kind == .limitExceeded || error.kind == .invalidArgument
    {
      // Refused before anything was written.
      throw error
    } catch {
      throw poison(error)
    }
    let started = DispatchTime.now()
    let sync = syncer.begin(log) { [replication] in
      // Only what is durable here is shipped, and at once: others commit while this one applies.
      replication?.committed(frames)
    }
    do {
      var changes: [RecordChange] = []
      for (payload, frame) in zip(payloads, frames) {
        try state.apply(payload, at: frame.position, records: &changes)
      }
      let applyNanoseconds = started.elapsedNanoseconds
      checkpointer.noteApplied(
        nanoseconds: applyNanoseconds, logBytes: payloads.reduce(0) { $0 + $1.count })
      try records.apply(changes, through: state.position) { try sync.wait() }
      telemetry.appended(
        batchCount: payloads.count,
        nanoseconds: started.uptimeNanoseconds - begun.uptimeNanoseconds + sync.nanoseconds)
      telemetry.applied(nanoseconds: applyNanoseconds)
    } catch {
      // A sync that is under way comes to its end first; its failure is the cause, if it has one.
      do { try sync.wait() } catch { throw poison(error) }
      throw poison(error)
    }
    publish()
    return frames.map { Receipt(epoch: epochCounter, lsn: $0.lsn) }
  }

  private func publish() {
    noteRefusal()
    state.publish()
    publishFigures()
    shared.lsn.store(state.lsn, ordering: .releasing)
    shared.catalog.replace(with: state.collections.values)
    replication?.published(state.position, dataDigest: state.dataDigest)
    telemetry.published()
  }

  /// Lets `stats` see the present state.
  func publishFigures() {
    let figures = Figures(state, checkpointLSN: checkpointer.newest.lsn)
    shared.figures.withLock { $0 = figures }
  }

  private func acknowledge(
    _ answers: [(answer: CommitGroup.Answer, payload: Int?)], _ receipts: [Receipt]
  ) {
    let unchanged = receipt
    // Also what changed nothing waits: it may repeat a write whose outcome was unknown.
    whenAcknowledged(state.lsn) { failure in
      for (answer, payload) in answers {
        if let failure {
          answer.fail(failure)
        } else {
          answer.succeed(payload.map { receipts[$0] } ?? unchanged)
        }
      }
    }
  }

  /// Refuses all further writes: their durability could not be told any more.
  private func poison(_ cause: any Error) -> VecDBError {
    let error = VecDBError(
      .poisoned, "a write failed and its outcome is unknown: \(cause)", at: directory.path,
      remedy: "Close the database and open it again; recovery then decides which writes it has.")
    poison = error
    shared.poison.withLock { $0 = error }
    telemetry.poisoned()
    configuration.logger.critical(
      "a write failed, and no further one is accepted",
      metadata: ["path": "\(directory.path)", "error": "\(error)"])
    return error
  }

  static func nowMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension CommitGroup.Answer {
  func succeed(_ receipt: Receipt) {
    switch self {
    case .upsert(let continuation, let counts):
      continuation.resume(
        returning: UpsertResult(
          receipt: receipt, inserted: counts.inserted, updated: counts.updated,
          unchanged: counts.unchanged, skipped: counts.skipped, batches: 1))
    case .update(let continuation, let updated, let unchanged, let done):
      let result = UpdateResult(
        receipt: receipt, updated: updated, unchanged: unchanged, batches: 1)
      continuation.resume(returning: UpdateProgress(result: result, done: done))
    case .delete(let continuation, let deleted):
      continuation.resume(returning: DeleteResult(receipt: receipt, deleted: deleted))
    }
  }

  func fail(_ error: VecDBError) {
    switch self {
    case .upsert(let continuation, _): continuation.resume(throwing: error)
    case .update(let continuation, _, _, _): continuation.resume(throwing: error)
    case .delete(let continuation, _): continuation.resume(throwing: error)
    }
  }
}
