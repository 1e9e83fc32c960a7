import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBFiles
import VecDBLogStore
import VecDBThreads

extension Database {
  /// Sends the log that a repository does not have yet, so that everything that is durable now can be
  /// restored from there: the restore point that is needed for it comes from ``backup(to:options:progress:)``.
  ///
  /// ``DatabaseConfiguration/archive`` does this every few seconds.
  ///
  /// - Throws: as ``backup(to:options:progress:)``.
  @discardableResult
  public func archive(to repository: String) async throws -> ArchiveReport {
    try await VecDBError.translating {
      try requireOpen()
      let archiver = Archiver(ArchiveOptions(repository: repository), key: nil)
      return try await onBackground { [self] in
        try VecDBError.translating { try archiver.pass(self) }
      }
    }
  }

  /// Archives every few seconds until the task is cancelled; `progress` gets each pass that sent
  /// something, and the first of passes that fail for want of room or of the device. It goes on
  /// after these.
  package func archiveContinuously(
    to repository: String, intervalMilliseconds: Int, progress: ProgressHandler?
  ) async throws -> ArchiveReport {
    var options = ArchiveOptions(repository: repository)
    options.intervalMilliseconds = intervalMilliseconds
    let archiver = Archiver(options, key: nil)
    var total: ArchiveReport?
    var waitsFor: VecDBError?
    while true {
      try requireOpen()
      let outcome = try await onBackground { [self] in
        try VecDBError.translating { try archiver.passOrWait(self) }
      }
      switch outcome {
      case .failure(let failure):
        if waitsFor == nil {
          engine.configuration.logger.info(
            "archiving the log waits", metadata: ["error": "\(failure)"])
          progress?(
            WorkProgress(
              stage: "archiving waits, and continues by itself: \(failure)", doneBytes: 0,
              totalBytes: 0))
        }
        waitsFor = failure
      case .success(var report):
        if report.frames > 0 || waitsFor != nil {
          progress?(
            WorkProgress(
              stage: "archived LSN \(report.lsn)", doneBytes: report.bytes, totalBytes: 0))
        }
        waitsFor = nil
        report.frames += total?.frames ?? 0
        report.bytes += total?.bytes ?? 0
        total = report
      }
      do {
        // Longer than a year is for ever.
        let pause = min(max(10, intervalMilliseconds), 366 * 86_400_000)
        try await Task.sleep(nanoseconds: UInt64(pause) * 1_000_000)
      } catch {
        guard let total else { throw waitsFor ?? VecDBError(wrapping: error) }
        return total
      }
    }
  }

  /// Stops keeping log for a repository that is not used any more. Throws `notFound`.
  public func forgetArchive(_ repository: String) async throws {
    try await VecDBError.translating {
      try requireOpen()
      let engine = engine
      let isKnown = try await onBackground {
        try VecDBError.translating { try engine.holds.forget(Database.absolute(repository)) }
      }
      guard isKnown else {
        throw VecDBError(
          .notFound, "the database keeps no log for this repository", at: repository,
          remedy: "`vecdb stats` lists the repositories for which the database keeps log.")
      }
    }
  }

  /// Begins to archive as the configuration says.
  func startArchiving() {
    guard let options = engine.configuration.archive else { return }
    let archiver = Archiver(options, key: nil)
    engine.companions.add(archiver)
    archiver.start(self)
  }

  /// Archives what is left and ends. The writer must be idle.
  func endArchiving() async throws {
    guard let archiver = engine.companions.find(Archiver.self) else { return }
    try await onBackground { archiver.stop(self) }
  }
}

extension Database {
  /// A path that means the same whatever the working directory.
  static func absolute(_ path: String) -> String {
    RepositoryPlace.isRemote(path) ? path : URL(fileURLWithPath: path).path
  }
}

extension Engine {
  /// How far each repository has the log. Any thread.
  func archiveStats() -> [ArchiveStats] {
    let continuous = companions.find(Archiver.self)
    var holds = holds.all
    if let path = continuous?.repositoryPath, !holds.contains(where: { $0.repository == path }) {
      // Not reached yet.
      holds.append(LogHolds.Hold(repository: path, lsn: 0))
    }
    return holds.map { hold in
      let isContinuous = continuous?.repositoryPath == hold.repository
      let pending = pendingLog(after: hold.lsn)
      return ArchiveStats(
        repository: hold.repository, lsn: hold.lsn, pendingBytes: pending.bytes,
        pendingMilliseconds: pending.milliseconds, isContinuous: isContinuous,
        hasLapsed: self.holds.hasLapsed(hold) || hold.lsn + 1 < log.firstLSN,
        problem: isContinuous ? continuous?.problem : nil)
    }
  }

  /// Bytes of the log after an LSN and the age of its oldest batch; a log that cannot be read has
  /// other ways to say so.
  private func pendingLog(after lsn: UInt64) -> (bytes: Int, milliseconds: Int64) {
    guard lsn < log.end.lsn else { return (0, 0) }
    do {
      let oldest = max(lsn, log.firstLSN - 1)
      var age: Int64 = 0
      try log.read(after: oldest, through: oldest + 1) {
        age = max(0, Self.nowMilliseconds() &- $0.timeMilliseconds)
      }
      return (try log.frameBytes(after: lsn), age)
    } catch { return (0, 0) }
  }
}
