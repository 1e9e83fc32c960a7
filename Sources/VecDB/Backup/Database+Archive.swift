import Dispatch
import Files
import LogStore

extension Database {
  /// Sends the log that a repository does not have yet, so that everything that is durable now can be
  /// restored from there: the restore point that is needed for it comes from ``backup(to:options:progress:)``.
  ///
  /// ``Configuration/archive`` does this every few seconds.
  ///
  /// - Throws: as ``backup(to:options:progress:)``.
  @discardableResult
  public func archive(to repository: String) async throws -> ArchiveReport {
    try requireOpen()
    let archiver = Archiver(ArchiveOptions(repository: repository), key: nil)
    return try await onBackground { [self] in
      try VecDBError.translating { try archiver.pass(self) }
    }
  }

  /// Archives every few seconds until the task is cancelled; `progress` gets each pass that sent
  /// something.
  package func archiveContinuously(
    to repository: String, intervalMilliseconds: Int, progress: ProgressHandler?
  ) async throws -> ArchiveReport {
    var options = ArchiveOptions(repository: repository)
    options.intervalMilliseconds = intervalMilliseconds
    let archiver = Archiver(options, key: nil)
    var total: ArchiveReport?
    while true {
      try requireOpen()
      let report = try await onBackground { [self] in
        try VecDBError.translating { try archiver.pass(self) }
      }
      if report.frames > 0 {
        progress?(Progress(stage: "archived LSN \(report.lsn)", doneBytes: report.bytes, totalBytes: 0))
      }
      var sum = report
      sum.frames += total?.frames ?? 0
      sum.bytes += total?.bytes ?? 0
      total = sum
      do {
        try await Task.sleep(nanoseconds: UInt64(max(10, intervalMilliseconds)) * 1_000_000)
      } catch { return sum }
    }
  }

  /// Stops keeping log for a repository that is not used any more. Throws `notFound`.
  public func forgetArchive(_ repository: String) async throws {
    try requireOpen()
    let engine = engine
    let isKnown = try await onBackground {
      try VecDBError.translating { try engine.holds.forget(repository) }
    }
    guard isKnown else {
      throw VecDBError(
        .notFound, "the database was not backed up there", at: repository,
        remedy: "`vecdb stats` lists the repositories that log is kept for.")
    }
  }

  /// Begins to archive as the configuration says.
  func startArchiving() {
    guard let options = engine.configuration.archive else { return }
    let archiver = Archiver(options, key: nil)
    self.archiver.withLock { $0 = archiver }
    archiver.start(self)
  }
}

extension Engine {
  /// How far each repository has the log. Any thread.
  func archiveStats(continuous: Archiver?) throws -> [ArchiveStats] {
    var holds = holds.all
    if let path = continuous?.repositoryPath, !holds.contains(where: { $0.repository == path }) {
      // Not reached yet.
      holds.append(LogHolds.Hold(repository: path, lsn: 0))
    }
    let end = log.end.lsn
    let first = log.firstLSN
    return try holds.map { hold in
      var age: Int64 = 0
      if hold.lsn < end {
        let oldest = max(hold.lsn, first - 1)
        try log.read(after: oldest, through: oldest + 1) {
          age = max(0, Self.nowMilliseconds() - $0.timeMilliseconds)
        }
      }
      let isContinuous = continuous?.repositoryPath == hold.repository
      return ArchiveStats(
        repository: hold.repository, lsn: hold.lsn,
        pendingBytes: hold.lsn < end ? try log.sizeBytes(after: hold.lsn) : 0,
        pendingMilliseconds: age, isContinuous: isContinuous,
        hasLapsed: self.holds.hasLapsed(hold.repository) || hold.lsn + 1 < first,
        problem: isContinuous ? continuous?.problem : nil)
    }
  }
}
