import ArgumentParser
import VecDB

struct Backup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Back a database up to a repository.",
    discussion: """
      The repository is a directory, or a prefix of a bucket: s3://bucket/prefix. The command \
      creates a directory that is missing, but no bucket. A backup sends only the data that the \
      repository lacks, so every backup after the first is incremental. Yet each is a full restore \
      point. If another process has the database open, that process makes the \
      backup while it goes on serving. The backup ends if you end this command.

      EXAMPLE
        vecdb backup photos.vecdb /backup/photos
        vecdb backup photos.vecdb /backup/photos --limit 50MB
        vecdb backup photos.vecdb /backup/photos --repair
        vecdb backup photos.vecdb "s3://backups/photos?region=eu-central-1"
      """)

  @OptionGroup var target: DatabaseArgument
  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Option(help: "Send at most this many bytes a second: 500kB, 50MB, 1GB.")
  var limit: ByteCount?
  @Flag(
    help: "Read the whole repository, and send damaged data again if the database still has it.")
  var repair = false
  @OptionGroup var key: KeyOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    Interruption.cancels()
    var options = BackupOptions()
    options.bytesPerSecond = limit?.bytes
    options.repair = repair
    let repositoryKey = try key.key()
    try await Session.runShared(target.database, key: repositoryKey) { [options] database in
      let bar = ProgressBar.bytes(events: progress.progressEvents)
      let report =
        switch database {
        case .own(let database):
          // Nothing else is done with the database, and who wants it slower has nice and --limit.
          try await database.backup(
            to: repository, options: Self.unhurried(options, false), progress: bar.handler)
        case .remote(let database):
          try await database.backup(to: repository, options: options, progress: bar.handler)
        }
      bar.finish()
      guard !output.json else {
        Output.json(report)
        return try Self.requireRepaired(report)
      }
      Output.line(
        "backup of LSN \(report.lsn), epoch \(report.epoch): \(Format.bytes(report.newBytes)) sent "
          + "(\(Format.count(report.newBlocks, "block", "blocks")), "
          + "\(Format.count(report.logFrames, "log frame", "log frames"))) in \(Format.seconds(report.seconds)); the restore point has "
          + "\(Format.bytes(report.totalBytes))")
      if let requests = report.requests { Output.line(requests.sentence) }
      if let branch = report.branch { Output.line(branch.sentence) }
      if report.repairedBlocks > 0 {
        Output.line("repaired \(Format.count(report.repairedBlocks)) damaged blocks")
      }
      for problem in report.remainingProblems ?? [] { Output.line("PROBLEM  \(problem)") }
      report.canary.map { writeCanary($0) }
      try Self.requireRepaired(report)
    }
  }
}

extension Backup {
  private static func requireRepaired(_ report: BackupReport) throws {
    guard let problems = report.remainingProblems, !problems.isEmpty else { return }
    throw CorruptionFound(
      message: "LSN \(report.lsn) is backed up, but the repository stays damaged: "
        + "\(problems.count) problems are in data that the database no longer has",
      location: report.repository,
      remedy:
        "Run vecdb prune to remove damaged restore points that no rule keeps; add --force to give "
        + "up missing files.")
  }

  private static func unhurried(_ options: BackupOptions, _ isLowPriority: Bool) -> BackupOptions {
    var options = options
    options.isLowPriority = isLowPriority
    return options
  }
}

extension BranchReport {
  var sentence: String {
    "the repository has another history after LSN \(commonLSN), up to LSN \(otherLSN): either this "
      + "copy was set back, or an application writes to another copy. This copy continues in epoch "
      + "\(epoch)"
  }
}

extension RepositoryRequests {
  /// What the store charges for, as the summary of each run names it.
  var sentence: String {
    "requests: \(Format.count(puts, "put", "puts")), \(Format.count(gets, "get", "gets")), "
      + "\(Format.count(lists, "list", "lists")), \(Format.count(deletes, "delete", "deletes"))"
      + (repeats > 0 ? " (\(Format.count(repeats)) of them repeated)" : "")
      + "; \(Format.bytes(bytesSent)) sent, \(Format.bytes(bytesReceived)) received"
  }
}

/// A number of bytes such as `500kB`, `50MB`, `1GB`; a number alone is bytes.
struct ByteCount: ExpressibleByArgument {
  var bytes: Int

  init?(argument: String) {
    let units: [(String, Int)] = [
      ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1), ("", 1),
    ]
    for (suffix, scale) in units where argument.hasSuffix(suffix) {
      guard let number = Double(argument.dropLast(suffix.count)), number > 0, number < 1e9 else {
        continue
      }
      bytes = Int(number * Double(scale))
      guard bytes > 0 else { return nil }
      return
    }
    return nil
  }
}
