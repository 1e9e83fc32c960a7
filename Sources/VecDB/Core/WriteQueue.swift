import Bytes
import Dispatch

/// What a client asks of the writer.
enum WriteWork: Sendable {
  case upsert(CollectionRuntime, [PreparedRecord], CheckedContinuation<UpsertResult, any Error>)
  case delete(CollectionRuntime, [String], CheckedContinuation<DeleteResult, any Error>)
  /// Runs alone between commit groups, on the writer, and reports for itself; gets an error
  /// instead of the engine if it will never run.
  case exclusive(@Sendable (Result<Engine, VecDBError>) -> Void)

  func fail(_ error: VecDBError) {
    switch self {
    case .upsert(_, _, let continuation): continuation.resume(throwing: error)
    case .delete(_, _, let continuation): continuation.resume(throwing: error)
    case .exclusive(let body): body(.failure(error))
    }
  }
}

/// The way into the one writer: requests wait here, and the writer takes all that have gathered
/// as one commit group, so that concurrent callers share a transaction and an fsync.
///
/// Invariants: one group is in work at a time; requests are taken in the order in which they
/// came; every request is answered exactly once, also on close.
final class WriteQueue: Sendable {
  private struct Waiting {
    var id: UInt64
    var sizeBytes: Int
    var work: WriteWork
  }

  private struct State {
    var waiting: [Waiting] = []
    var waitingBytes = 0
    var nextID: UInt64 = 0
    var isScheduled = false
    var isClosed = false
  }

  private let state = Guarded(State())
  private let writer = SerialThread(name: "vecdb.writer")
  private let engine: Engine
  private let limitBytes: Int
  private let timeoutMilliseconds: Int

  init(engine: Engine, configuration: Configuration) {
    self.engine = engine
    limitBytes = configuration.writeQueueBytes
    timeoutMilliseconds = configuration.writeQueueTimeoutMilliseconds
  }

  /// Adds a request. If more bytes wait than the configured limit and the request is not taken
  /// within the timeout, it fails with `overloaded` and nothing is written; so it does at once if
  /// several times the limit waits, so that memory stays bounded whatever callers do.
  func submit(_ work: WriteWork, sizeBytes: Int) {
    let (id, isOverLimit, schedule) = state.withLock { state -> (UInt64?, Bool, Bool) in
      guard !state.isClosed else { return (nil, false, false) }
      let limit = limitBytes.multipliedReportingOverflow(by: Self.refusedBeyondLimits)
      guard sizeBytes == 0 || limit.overflow || state.waitingBytes <= limit.partialValue else {
        return (nil, true, false)
      }
      let id = state.nextID
      state.nextID += 1
      let isOverLimit = state.waitingBytes > limitBytes
      state.waiting.append(Waiting(id: id, sizeBytes: sizeBytes, work: work))
      state.waitingBytes += sizeBytes
      engine.shared.queuedBytes.store(state.waitingBytes, ordering: .relaxed)
      let schedule = !state.isScheduled
      state.isScheduled = true
      return (id, isOverLimit, schedule)
    }
    guard let id else {
      if isOverLimit { engine.telemetry.overloaded() }
      return work.fail(isOverLimit ? overloaded("was refused") : .databaseClosed)
    }
    if isOverLimit { failUnlessTaken(id) }
    if schedule { writer.async { self.drain() } }
  }

  /// Refuses further requests, answers those that wait, and returns when the writer is idle and
  /// `last` has run on it.
  func close(_ last: @escaping @Sendable (Engine) -> Void) async {
    state.withLock { $0.isClosed = true }
    await withCheckedContinuation { continuation in
      writer.async {
        self.drain()
        last(self.engine)
        continuation.resume()
      }
    }
  }

  /// As `close`, for a thread that may block.
  func closeNow(_ last: @escaping @Sendable (Engine) -> Void) {
    state.withLock { $0.isClosed = true }
    writer.wait {
      self.drain()
      last(self.engine)
    }
  }

  /// As `close`, for a database that was dropped without being closed: nobody waits, and what the
  /// writer does for itself ends after its present step.
  func abandon() { state.withLock { $0.isClosed = true } }

  /// Runs `body` on the writer between commit groups and returns its result.
  func exclusively<Value: Sendable>(
    _ body: @escaping @Sendable (Engine) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      submit(
        .exclusive { engine in
          // Without an engine there is no result either.
          let before = try? engine.get().state.lsn
          let result = Result { try VecDBError.translating { try body(engine.get()) } }
          guard case .success(let engine) = engine, engine.state.lsn != before,
            case .success = result
          else { return continuation.resume(with: result) }
          engine.whenAcknowledged(engine.state.lsn) { failure in
            continuation.resume(with: failure.map { .failure($0) } ?? result)
          }
        }, sizeBytes: 0)
    }
  }

  /// As `exclusively`, for callers that are not async: blocks this thread. Never to be called on the
  /// writer itself.
  func exclusivelyBlocking<Value: Sendable>(
    _ body: @escaping @Sendable (Engine) throws -> Value
  ) throws -> Value {
    let outcome = Guarded<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    submit(
      .exclusive { engine in
        let result = Result { try VecDBError.translating { try body(engine.get()) } }
        outcome.withLock { $0 = result }
        done.signal()
      }, sizeBytes: 0)
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { throw VecDBError.databaseClosed }
    return try result.get()
  }

  /// As `exclusivelyBlocking`, also while the database is being closed.
  func exclusivelyAlsoClosing<Value: Sendable>(
    _ body: @escaping @Sendable (Engine) throws -> Value
  ) throws -> Value {
    guard isClosed else { return try exclusivelyBlocking(body) }
    let outcome = Guarded<Result<Value, any Error>?>(nil)
    writer.wait { [engine] in
      let result = Result { try VecDBError.translating { try body(engine) } }
      outcome.withLock { $0 = result }
    }
    guard let result = outcome.withLock({ $0 }) else { throw VecDBError.databaseClosed }
    return try result.get()
  }

  private func failUnlessTaken(_ id: UInt64) {
    let deadline = DispatchTime.now() + .milliseconds(timeoutMilliseconds)
    DispatchQueue.global().asyncAfter(deadline: deadline) { [self] in
      let late = state.withLock { state -> WriteWork? in
        guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
        let request = state.waiting.remove(at: index)
        state.waitingBytes -= request.sizeBytes
        return request.work
      }
      guard let late else { return }
      engine.telemetry.overloaded()
      late.fail(overloaded("waited \(timeoutMilliseconds) ms"))
    }
  }

  /// With so many times the limit in the queue, a write is refused without waiting.
  private static let refusedBeyondLimits = 4

  private func overloaded(_ what: String) -> VecDBError {
    VecDBError(
      .overloaded, "the write \(what) behind more than \(limitBytes) bytes of others",
      remedy: "Write less at once, or raise writeQueueBytes or writeQueueTimeoutMilliseconds.")
  }

  private func drain() {
    while true {
      let group = takeGroup()
      if group.isEmpty {
        // With nobody waiting maintenance goes on, a step at a time.
        guard !isClosed, engine.maintainer.step(engine, isIdle: true) else { return }
        engine.checkpointIfDue()
        continue
      }
      if case .exclusive(let body) = group[0] {
        body(.success(engine))
      } else {
        engine.commit(group)
      }
      engine.boundRebuilds()
      engine.checkpointIfDue()
      _ = engine.maintainer.step(engine, isIdle: false)
    }
  }

  private var isClosed: Bool { state.withLock { $0.isClosed } }

  /// All requests that wait, up to an exclusive one and to one batch's bytes; an exclusive one
  /// comes alone.
  private func takeGroup() -> [WriteWork] {
    state.withLock { state in
      var count = 0
      var bytes = 0
      for request in state.waiting {
        if case .exclusive = request.work {
          if count == 0 { count = 1 }
          break
        }
        if count > 0, bytes + request.sizeBytes > Limits.maximumBatchBytes { break }
        count += 1
        bytes += request.sizeBytes
      }
      if count == 0 { state.isScheduled = false }
      let group = state.waiting.prefix(count)
      state.waitingBytes -= group.reduce(0) { $0 + $1.sizeBytes }
      engine.shared.queuedBytes.store(state.waitingBytes, ordering: .relaxed)
      state.waiting.removeFirst(count)
      return group.map(\.work)
    }
  }
}

extension VecDBError {
  static let databaseClosed = VecDBError(
    .closed, "the database is closed", remedy: "Open it again.")

  /// Runs `body` and turns errors of the modules below into `VecDBError`.
  package static func translating<Value>(_ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch {
      throw VecDBError(wrapping: error)
    }
  }
}
