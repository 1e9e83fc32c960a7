import Dispatch
import Synchronization
import VecDBBlockStore
import VecDBFiles
import VecDBLogStore
import VecDBThreads

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
    try await VecDBError.translating {
      try requireOpen()
      return try await engine.tracing.trace("backup") { span in
        let report = try await publish(to: repository, options, progress)
        span?.note("vecdb.lsn", Int64(clamping: report.lsn))
        span?.note("vecdb.backup.new_blocks", report.newBlocks)
        span?.note("vecdb.backup.new_bytes", report.newBytes)
        return report
      }
    }
  }

  private func publish(
    to repository: String, _ options: BackupOptions, _ progress: ProgressHandler?
  ) async throws -> BackupReport {
    let (target, held) = try await openAndHold(repository, key: options.key)
    do {
      let cancellation = Cancellation()
      let report = try await withTaskCancellationHandler {
        try await onOwnThread { [self] in
          var run = BackupRun(
            engine: engine, repository: target, options: options, pin: held.pin,
            cancellation: cancellation, progress: progress)
          let report = try run.run { try self.measureCanary(cancellation) }
          try engine.holds.note(
            target.id, at: target.path,
            through: LogPosition(lsn: report.lsn, chain: held.pin.manifest.chain))
          return report
        }
      } onCancel: {
        cancellation.cancel()
      }
      held.records.end()
      return report
    } catch { throw VecDBError(wrapping: error) }
  }

  /// Opens the repository and holds a restore point of the epoch that it was opened for: another one
  /// may begin in between.
  private func openAndHold(
    _ path: String, key: (any RepositoryKey)?
  ) async throws -> (OwnRepository, HeldRestorePoint) {
    while true {
      let target = try await onBackground { [self] in try openRepository(path, key: key) }
      let held = try await holdRestorePoint()
      if held.pin.manifest.epochCounter == target.epoch.counter { return (target, held) }
      held.records.end()
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

  /// Index and records at one LSN, both kept as they are.
  struct HeldRestorePoint: Sendable {
    var pin: BlockPin
    var records: RecordsHold
  }

  /// Makes index and records durable at one LSN and keeps both files as they are.
  func holdRestorePoint() async throws -> HeldRestorePoint {
    var patience = 3
    while true {
      // One backup at a time: a second one needs a later state of records.
      let isPatient = patience > 0
      let start = try await writer.exclusively { engine -> RestorePointStart in
        guard engine.checkpointer.recordsHolds.isZero else { return .busy }
        engine.takeUpCheckpoint()
        // Writes go on while another checkpoint is finished, unless one follows the other.
        if isPatient, let running = engine.checkpointer.running { return .behind(running) }
        engine.awaitCheckpoint()
        guard try engine.records.checkpoint() else { return .busy }
        let started = try engine.startCheckpoint()
        let hold = RecordsHold(engine.checkpointer.recordsHolds)
        if let job = started?.job { return .writing(job, hold) }
        return .held(
          HeldRestorePoint(pin: try engine.blocks.pin(engine.checkpointer.newest), records: hold))
      }
      switch start {
      case .held(let held): return held
      case .busy: try await Task.sleep(nanoseconds: 20_000_000)
      case .behind(let job):
        _ = await job.whenWritten()
        patience -= 1
      case .writing(let job, let hold):
        let pin = try await job.whenWritten().get().pin
        try await writer.exclusively { $0.awaitCheckpoint() }
        return HeldRestorePoint(pin: pin, records: hold)
      }
    }
  }

  private enum RestorePointStart: Sendable {
    case busy
    /// Another checkpoint is being written.
    case behind(CheckpointJob)
    case held(HeldRestorePoint)
    case writing(CheckpointJob, RecordsHold)
  }
}
