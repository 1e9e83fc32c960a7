import Dispatch
import Tracing
import VecDBBytes
import VecDBThreads

/// The one writer: a thread that takes what waits in the queue, commits it group by group, and does
/// maintenance and checkpoints in between.
///
/// Invariants: one group is in work at a time; every request is answered exactly once, also on
/// close.
final class Writer: Sendable {
  private let queue: WriteQueue
  private let thread = SerialThread(name: "vecdb.writer")
  private let engine: Engine
  private let timeoutMilliseconds: Int

  init(engine: Engine, configuration: DatabaseConfiguration) {
    self.engine = engine
    queue = WriteQueue(limitBytes: configuration.writeQueueBytes, shared: engine.shared)
    timeoutMilliseconds = configuration.writeQueueTimeoutMilliseconds
  }

  /// Adds a request. If more bytes wait than the configured limit and the request is not taken
  /// within the timeout, it fails with `overloaded` and nothing is written; so it does at once if
  /// several times the limit waits, so that memory stays bounded whatever callers do.
  func submit(_ work: WriteWork, sizeBytes: Int) {
    switch queue.add(work, sizeBytes: sizeBytes, caller: engine.tracing.caller) {
    case .closed: work.fail(.databaseClosed)
    case .refused:
      engine.telemetry.overloaded()
      work.fail(overloaded("was refused"))
    case .waits(let id, let isOverLimit, let wakes):
      if isOverLimit { failUnlessTaken(id) }
      if wakes { thread.async { self.drain() } }
    }
  }

  /// Refuses further requests, answers those that wait, and returns when the writer is idle and
  /// `last` has run on it.
  func close(_ last: @escaping @Sendable (Engine) -> Void) async {
    queue.close()
    await withCheckedContinuation { continuation in
      thread.async {
        self.drain()
        last(self.engine)
        continuation.resume()
      }
    }
  }

  /// As `close`, for a thread that may block.
  func closeNow(_ last: @escaping @Sendable (Engine) -> Void) {
    queue.close()
    thread.wait {
      self.drain()
      last(self.engine)
    }
  }

  /// As `close`, for a database that was dropped without being closed: nobody waits, and what the
  /// writer does for itself ends after its present step.
  func abandon() { queue.close() }

  /// Runs `body` on the writer between commit groups and returns its result, once replicas confirmed
  /// what it logged.
  ///
  /// - Parameter repeatable: `body` finds nothing to do where it is a write that is repeated, since
  ///   its outcome was unknown. So the call waits for the replicas then too.
  func exclusively<Value: Sendable>(
    repeatable: Bool = false, _ body: @escaping @Sendable (Engine) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      submit(
        .exclusive { engine in
          // Without an engine there is no result either.
          let before = try? engine.get().state.lsn
          let result = Result {
            try VecDBError.translating {
              let engine = try engine.get()
              if repeatable, let refusal = engine.poison ?? engine.refusal { throw refusal }
              return try body(engine)
            }
          }
          guard case .success(let engine) = engine, repeatable || engine.state.lsn != before,
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
    guard queue.isClosed else { return try exclusivelyBlocking(body) }
    let outcome = Guarded<Result<Value, any Error>?>(nil)
    thread.wait { [engine] in
      let result = Result { try VecDBError.translating { try body(engine) } }
      outcome.withLock { $0 = result }
    }
    guard let result = outcome.withLock({ $0 }) else { throw VecDBError.databaseClosed }
    return try result.get()
  }

  private func failUnlessTaken(_ id: UInt64) {
    let deadline = DispatchTime.now() + .milliseconds(timeoutMilliseconds)
    DispatchQueue.global().asyncAfter(deadline: deadline) { [self] in
      guard let late = queue.remove(id) else { return }
      engine.telemetry.overloaded()
      late.fail(overloaded("waited \(timeoutMilliseconds) ms"))
    }
  }

  private func overloaded(_ what: String) -> VecDBError {
    VecDBError(
      .overloaded, "the write \(what) behind more than \(queue.limitBytes) bytes of others",
      remedy: "Write less at a time, or raise writeQueueBytes or writeQueueTimeoutMilliseconds.")
  }

  private func drain() {
    while true {
      let group = queue.takeGroup()
      if group.work.isEmpty {
        // With nobody waiting maintenance goes on, a step at a time.
        guard !queue.isClosed, engine.maintainer.step(engine, isIdle: true) else { return }
        engine.checkpointIfDue()
        continue
      }
      if case .exclusive(let body) = group.work[0] {
        InstrumentationContext.$current.withValue(group.callers.first) { body(.success(engine)) }
      } else {
        engine.commit(group)
      }
      engine.boundRebuilds()
      engine.checkpointIfDue()
      _ = engine.maintainer.step(engine, isIdle: false)
    }
  }
}

extension VecDBError {
  static let databaseClosed = VecDBError(
    .closed, "the database is closed", remedy: "Open it again.")
}
