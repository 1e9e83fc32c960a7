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
  /// - Throws: `invalidArgument` if the repository belongs to another database; `diskFull`,
  ///   `inputOutput`, `corrupt`.
  public func backup(
    to repository: String, progress: ProgressHandler? = nil
  ) async throws -> BackupReport {
    try requireOpen()
    let target = try VecDBError.translating {
      try DirectoryRepository.openOrCreate(
        repository, databaseID: engine.log.identity.databaseID.number,
        fileSystem: engine.fileSystem)
    }
    let pin = try await holdRestorePoint()
    do {
      let cancellation = Cancellation()
      let report = try await withTaskCancellationHandler {
        try await onBackground { [self] in
          var run = BackupRun(
            engine: engine, repository: target, pin: pin, cancellation: cancellation,
            progress: progress)
          return try run.run { try measureCanary() }
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

  /// Recall at the default effort, with the LSN that it was measured at.
  private func measureCanary() throws -> CanaryAnnotation {
    let report = try measureRecall(queries: CanaryReport.restoreQueries)
    return CanaryAnnotation(lsn: lsn, report: report)
  }

  /// Makes index and records durable at one LSN and keeps both files as they are, until
  /// `recordsHolds` is lowered again.
  func holdRestorePoint() async throws -> BlockPin {
    while true {
      // One backup at a time: a second one needs a later state of records.
      let start = try await queue.exclusively { engine -> RestorePointStart in
        guard engine.checkpointer.recordsHolds == 0 else { return .busy }
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
    case held(BlockPin)
    case writing(CheckpointJob)
  }
}

extension CanaryReport {
  /// Queries that a backup and a restore measure recall with.
  static let restoreQueries = 50
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
func onBackground<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global(qos: .userInitiated).async {
      continuation.resume(with: Result { try body() })
    }
  }
}
