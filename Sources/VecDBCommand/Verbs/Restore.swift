import ArgumentParser
import VecDB

struct Restore: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Restore a database from a repository, and prove it.",
    discussion: """
      Builds the copy beside DATABASE, proves it (hashes, log chain, digests, reachability of \
      every record, measured recall), and then moves it into place in one step. DATABASE must not \
      exist yet, or be an empty directory. With --replace it may be an older copy, and the command \
      fetches only the data that differs. The command refuses to replace a database that is no \
      copy of the repository's, or one with writes that the repository lacks, unless you give \
      --replace-unrelated or --discard-unsaved.

      The copy is a database of its own. To use it in place of the lost one, and to go on with \
      backups to the same repository, restore with --continue.

      With --into, the command restores one collection into an existing database under another \
      name, even while another process has that database open.

      EXAMPLE
        vecdb restore /backup/photos photos.vecdb
        vecdb restore /backup/photos yesterday.vecdb --time 2026-03-31T18:00:00Z
        vecdb restore /backup/photos images.vecdb --collection images
        vecdb restore /backup/photos photos.vecdb --collection images --into images_before
      """)

  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Argument(help: "The database directory to create.", completion: .directory)
  var database: String
  @Option(help: "Restore the state right after the batch with this LSN.")
  var lsn: UInt64?
  @Option(
    help: """
      Restore the state at this past time: 2026-03-31T18:00:00.250Z, or milliseconds since 1970.
      """
  )
  var time: String?
  @Option(help: "Restore the state that you named with vecdb mark.")
  var toMark: String?
  @Option(help: "Restore only this collection; you can repeat the option.")
  var collection: [String] = []
  @Option(help: "Put the one --collection into the existing database DATABASE under this name.")
  var into: String?
  @Option(help: "Begin from the restore point with this LSN, and replay the log from there.")
  var base: UInt64?
  @Option(
    help:
      "Restore the history that ends in this epoch, which a newer one left behind (vecdb backups).")
  var epoch: UInt64?
  @Flag(help: "Replace an older copy at DATABASE, and fetch only what differs.")
  var replace = false
  @Flag(help: "With --replace: give up writes of DATABASE that the repository lacks.")
  var discardUnsaved = false
  @Flag(help: "With --replace: replace DATABASE even if it is no copy of the repository's.")
  var replaceUnrelated = false
  @Flag(
    name: .customLong("continue"),
    help: "Continue as the same database, so that its backups continue in the same repository.")
  var continues = false
  @Option(
    name: [.customLong("verify"), .customLong("verification")],
    help: "How thoroughly to prove the copy.")
  var verification: RestoreVerification = .full
  @OptionGroup var key: KeyOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard [lsn != nil, time != nil, toMark != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("Give one of --lsn, --time and --to-mark.")
    }
    guard into == nil || collection.count == 1 else {
      throw ValidationError("--into needs one --collection.")
    }
    guard into == nil || (!replace && !continues && base == nil && epoch == nil) else {
      throw ValidationError("--into excludes --replace, --continue, --base and --epoch.")
    }
    guard replace || !(discardUnsaved || replaceUnrelated) else {
      throw ValidationError("--discard-unsaved and --replace-unrelated need --replace.")
    }
    guard !continues || collection.isEmpty else {
      throw ValidationError("--continue needs all collections.")
    }
    if let time, Timestamp.milliseconds(time) == nil {
      throw ValidationError(
        "--time '\(time)' is neither a moment like 2026-03-31T18:00:00.250Z or "
          + "2026-03-31T20:00:00+02:00 (RFC 3339) nor a number of milliseconds since 1970.")
    }
  }

  func run() async throws {
    Interruption.cancels()
    var target = RestoreTarget.latest
    if let lsn { target = .lsn(lsn) }
    if let toMark { target = .mark(toMark) }
    if let time, let milliseconds = Timestamp.milliseconds(time) {
      target = .time(milliseconds: milliseconds)
    }
    let bar = ProgressBar.bytes(events: progress.progressEvents)
    let repositoryKey = try key.key()
    if let into { return try await restore(target, into: into, repositoryKey, bar) }
    var configuration = DatabaseConfiguration()
    configuration.repositoryKey = repositoryKey
    var options = RestoreOptions()
    options.verification = verification
    options.collections = Set(collection)
    options.base = base
    options.epoch = epoch
    options.replacing = replace
    options.discardsUnsaved = discardUnsaved
    options.replacesUnrelated = replaceUnrelated
    options.continues = continues
    let report = try await Database.restore(
      from: repository, to: database, target: target, options: options,
      configuration: configuration, progress: bar.handler)
    bar.finish()
    if replace, !continues {
      Terminal.message(
        "The copy is a database of its own: back it up to a new repository. To go on with this "
          + "repository, restore with --continue.")
    }
    if let newest = report.newestMilliseconds {
      Terminal.message(
        "The newest moment in the repository is \(Timestamp.text(newest)). The copy has no write "
          + "between that moment and the time that you asked for.")
    }
    defer { for finding in report.findings { Terminal.message("RECALL  \(finding)") } }
    if output.json {
      Output.json(report)
      return try Self.requireRecall(report)
    }
    Output.line(
      "restored LSN \(report.lsn) to \(database): \(Format.count(report.records)) records, "
        + "\(Format.bytes(report.bytesCopied)) (\(Format.bytes(report.bytesFetched)) fetched) in "
        + "\(Format.seconds(report.totalSeconds)) (copy \(Format.seconds(report.copySeconds)), "
        + "proof \(Format.seconds(report.verifySeconds)); "
        + "\(Format.count(report.lsn - report.manifestLSN, "batch", "batches")) replayed)")
    Output.line("data digest \(report.dataDigest)")
    if let requests = report.requests { Output.line(requests.sentence) }
    if report.omittedBatches > 0 {
      let wrong =
        report.omittedNotLater > 0
        ? "; \(Format.count(Int(clamping: report.omittedNotLater))) of them are not later than the "
          + "time that you asked for, because a clock was wrong" : ""
      Output.line(
        "left out: \(Format.count(report.omittedBatches, "later batch", "later batches")), from LSN "
          + "\(report.lsn + 1) on\(wrong)")
    }
    report.canary.map { writeCanary($0) }
    try Self.requireRecall(report)
  }

  /// The copy is what was backed up, and lives; but whoever restores must know.
  private static func requireRecall(_ report: RestoreReport) throws {
    guard let finding = report.findings.first else { return }
    throw TargetMissed(
      message: "the copy is restored and equal to the original, but \(finding); searches "
        + "compensate for it until you have rebuilt the index with vecdb rebuild")
  }

  private func restore(
    _ target: RestoreTarget, into name: String, _ key: (any RepositoryKey)?, _ bar: ProgressBar
  ) async throws {
    let wanted = collection[0]
    let restored = try await Session.runShared(database, key: key, repeats: false) { database in
      switch database {
      case .own(let database):
        try await database.restoreCollection(
          wanted, as: name, from: repository, target: target, progress: bar.handler)
      case .remote(let database):
        try await database.restoreCollection(
          wanted, as: name, from: repository, target: target, progress: bar.handler)
      }
    }
    bar.finish()
    guard !output.json else { return Output.json(restored) }
    Output.line(
      "restored '\(wanted)' into \(database) as '\(name)': "
        + "\(Format.count(restored.count)) records, equal to the original by digest")
  }
}
