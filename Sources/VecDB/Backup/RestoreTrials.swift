import Logging
import VecDBBlockStore
import VecDBFiles
import VecDBThreads

/// Restores states of a repository, proves them, and keeps nothing.
struct RestoreTrials {
  private let repository: StoredRepository
  private let files: any FileSystem
  private let scratchDirectory: String
  private let configuration: DatabaseConfiguration
  private let progress: ProgressHandler?
  private let cancellation: Cancellation

  init(
    _ repository: StoredRepository, files: any FileSystem, scratchDirectory: String,
    configuration: DatabaseConfiguration, progress: ProgressHandler?, cancellation: Cancellation
  ) {
    self.configuration = configuration
    self.cancellation = cancellation
    self.repository = repository
    self.files = files
    self.scratchDirectory = scratchDirectory
    self.progress = progress
  }

  /// Nothing is ever put there; what is built beside it has a name of its own.
  private static func place(in scratchDirectory: String) -> String {
    scratchDirectory + "/vecdb-verify"
  }

  /// Removes the copies that trials which were killed have left. What cannot be removed stays.
  static func sweep(
    _ scratchDirectory: String, _ files: any FileSystem,
    _ logger: Logger
  ) {
    do { try StagingSweep(place(in: scratchDirectory), files, logger).run() } catch {
      logger.info(
        "cannot remove the files of a trial",
        metadata: ["path": "\(scratchDirectory)", "error": "\(error)"])
    }
  }

  /// Adds to the report's problems what is wrong with a state. Throws what is wrong with the place
  /// where it is tried.
  func restore(
    _ target: RestoreTarget, base: UInt64? = nil, _ what: String, _ report: inout VerifyReport
  ) throws {
    var options = RestoreOptions()
    options.base = base
    do {
      let restored = try RestoreRun(
        repository: repository, path: Self.place(in: scratchDirectory), files: files,
        options: options,
        configuration: configuration, progress: progress, cancellation: cancellation
      ).run(target, keeping: false)
      report.findings += restored.findings.map { "\(what): \($0)" }
    } catch {
      try cancellation.check()
      let error = VecDBError(wrapping: error)
      if error.code == .diskFull || error.code == .inputOutput && isHere(error.location) {
        throw VecDBError(
          error.code, "the trial restore could not run: \(error.message)", at: error.location,
          remedy:
            "Set TMPDIR to a directory with room for a whole copy, or leave the trial out with "
            + "--verify quick.")
      }
      report.problems.append("\(what) does not restore: \(error)")
    }
  }

  private func isHere(_ place: String) -> Bool { place.hasPrefix(scratchDirectory) }

  /// Restores so many LSNs out of all that can be restored, each as likely as any other.
  func sample(_ count: Int, _ report: inout VerifyReport) throws {
    let history = try RepositoryHistory(repository)
    let ranges = history.entries.map { entry in
      // What a later restore point covers belongs to that one.
      let later = history.entries.filter { $0 > entry }.map(\.lsn).min() ?? .max
      return entry.lsn...max(entry.lsn, min(history.reach(of: entry), later &- 1))
    }
    let total = ranges.reduce(UInt64(0)) { $0 + UInt64($1.count) }
    guard total > 0 else { return }
    for _ in 0..<count {
      var offset = UInt64.random(in: 0..<total)
      for range in ranges {
        guard offset >= UInt64(range.count) else {
          let lsn = range.lowerBound + offset
          report.sampledLSNs.append(lsn)
          try restore(.lsn(lsn), base: range.lowerBound, "LSN \(lsn)", &report)
          break
        }
        offset -= UInt64(range.count)
      }
    }
  }
}
