import BlockStore
import Dispatch
import Files
import LogStore
import Synchronization

extension Database {
  /// Publishes the present state to a repository: a directory that is created if it is missing.
  ///
  /// Writes and searches go on. The first backup sends everything, later ones only blocks and log
  /// that the repository lacks; a backup that was broken off is completed by the next one.
  /// Cancelling the task breaks it off, within a block.
  ///
  /// - Throws: `invalidArgument` if the repository belongs to another database, or is encrypted with
  ///   another key or not as asked; `diskFull`, `inputOutput`, `corrupt`.
  public func backup(
    to repository: String, options: BackupOptions = BackupOptions(),
    progress: ProgressHandler? = nil
  ) async throws -> BackupReport {
    try requireOpen()
    let (target, pin) = try await openAndHold(repository, key: options.key)
    do {
      let cancellation = Cancellation()
      let report = try await withTaskCancellationHandler {
        try await onOwnThread { [self] in
          var run = BackupRun(
            engine: engine, repository: target, options: options, pin: pin,
            cancellation: cancellation, progress: progress)
          let report = try run.run { try self.measureCanary(cancellation) }
          try engine.holds.note(
            target.id, at: target.path,
            through: LogPosition(lsn: report.lsn, chain: pin.manifest.chain))
          return report
        }
      } onCancel: {
        cancellation.cancel()
      }
      try await queue.exclusively { $0.checkpointer.recordsHolds -= 1 }
      return report
    } catch {
      try await queue.exclusively { $0.checkpointer.recordsHolds -= 1 }
      throw VecDBError(wrapping: error)
    }
  }

  /// Opens the repository and holds a restore point of the epoch that it was opened for: another one
  /// may begin in between.
  private func openAndHold(
    _ path: String, key: (any RepositoryKey)?
  ) async throws -> (OwnRepository, BlockPin) {
    while true {
      let target = try await onBackground { [self] in try openRepository(path, key: key) }
      let pin = try await holdRestorePoint()
      if pin.manifest.epochCounter == target.epoch.counter { return (target, pin) }
      try await queue.exclusively { $0.checkpointer.recordsHolds -= 1 }
      try Task.checkCancellation()
    }
  }

  /// Recall at the default effort, with the LSN that it was measured at.
  private func measureCanary(_ cancellation: Cancellation) throws -> CanaryAnnotation {
    try requireOpen()
    let report = CanaryReport(
      collections: try catalog.all.map { collection in
        try cancellation.check()
        return try Canaries.measureForRestore(collection)
      })
    return CanaryAnnotation(lsn: lsn, report: report)
  }

  /// Makes index and records durable at one LSN and keeps both files as they are, until
  /// `recordsHolds` is lowered again.
  func holdRestorePoint() async throws -> BlockPin {
    var patience = 3
    while true {
      // One backup at a time: a second one needs a later state of records.
      let isPatient = patience > 0
      let start = try await queue.exclusively { engine -> RestorePointStart in
        guard engine.checkpointer.recordsHolds == 0 else { return .busy }
        engine.checkpointer.finish(engine, waiting: false)
        // Writes go on while another checkpoint is finished, unless one follows the other.
        if isPatient, let running = engine.checkpointer.running { return .behind(running) }
        engine.checkpointer.finish(engine, waiting: true)
        guard try engine.records.checkpoint() else { return .busy }
        let started = try engine.startCheckpoint()
        engine.checkpointer.recordsHolds += 1
        if let job = started?.job { return .writing(job) }
        return .held(try engine.blocks.pin(engine.checkpointer.newest))
      }
      switch start {
      case .held(let pin): return pin
      case .busy: try await Task.sleep(nanoseconds: 20_000_000)
      case .behind(let job):
        _ = await job.whenWritten()
        patience -= 1
      case .writing(let job):
        do {
          let pin = try await job.whenWritten().get().pin
          try await queue.exclusively { $0.checkpointer.finish($0, waiting: true) }
          return pin
        } catch {
          try await queue.exclusively { $0.checkpointer.recordsHolds -= 1 }
          throw error
        }
      }
    }
  }

  private enum RestorePointStart: Sendable {
    case busy
    /// Another checkpoint is being written.
    case behind(CheckpointJob)
    case held(BlockPin)
    case writing(CheckpointJob)
  }
}

/// Carries the cancellation of a task to blocking work.
final class Cancellation: Sendable {
  private let isCancelled = Atomic(false)

  func cancel() { isCancelled.store(true, ordering: .relaxed) }

  func check() throws {
    if isCancelled.load(ordering: .relaxed) { throw CancellationError() }
  }
}

/// Runs blocking work off the cooperative pool.
package func onBackground<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global(qos: .userInitiated).async {
      continuation.resume(with: Result { try body() })
    }
  }
}

/// As `onBackground`, for long work that looks now and then whether its task was cancelled.
func onCancellableBackground<Value: Sendable>(
  _ body: @escaping @Sendable (Cancellation) throws -> Value
) async throws -> Value {
  let cancellation = Cancellation()
  return try await withTaskCancellationHandler {
    try await onBackground {
      try cancellation.check()
      return try body(cancellation)
    }
  } onCancel: {
    cancellation.cancel()
  }
}

/// Runs long work on a thread of its own.
func onOwnThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try LowPriorityThread.detach(yields: false) {
        continuation.resume(with: Result { try body() })
      }
    } catch { continuation.resume(throwing: error) }
  }
}
