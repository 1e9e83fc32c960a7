import ArgumentParser
import VecDB

struct Verify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prove that the restore points of a repository can be restored.",
    discussion: """
      Exits with 3 if anything is damaged or missing, and names the restore points that need it.

      EXAMPLE
        vecdb verify /backup/photos
      """)

  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Option(
    name: [.customLong("verify"), .customLong("verification")],
    help: "How thoroughly to check each restore point.")
  var verification: RestoreVerification = .full
  @Option(help: "Also make trial restores of this many random states.")
  var sample = 0
  @OptionGroup var key: KeyOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard sample >= 0 else { throw ValidationError("--sample is negative.") }
  }

  func run() async throws {
    Interruption.cancels()
    let bar = ProgressBar.bytes(events: progress.progressEvents)
    let report = try await Database.verify(
      repository: repository, verification: verification, samples: sample, key: try key.key(),
      progress: bar.handler)
    bar.finish()
    if output.json {
      Output.json(report)
    } else {
      for problem in report.problems { Output.line("PROBLEM  \(problem)") }
      for finding in report.findings { Output.line("RECALL  \(finding)") }
      for lsn in report.damagedRestorePoints { Output.line("DAMAGED  restore point LSN \(lsn)") }
      Output.line(
        "verified \(report.restorePoints) restore points: \(Format.count(report.blocks)) blocks, "
          + "\(Format.bytes(report.bytes)), \(Format.count(report.logFrames, "log frame", "log frames")) in "
          + "\(Format.seconds(report.seconds)): "
          + (report.sampledLSNs.isEmpty
            ? "" : "LSNs \(report.sampledLSNs.map(String.init).joined(separator: ", ")) restored: ")
          + (report.problems.isEmpty ? "good" : "\(report.problems.count) problems"))
      if let requests = report.requests { Output.line(requests.sentence) }
    }
    guard report.problems.isEmpty else {
      throw CorruptionFound(
        message: "the repository is damaged: \(report.problems.count) problems",
        location: repository,
        remedy: "Run vecdb backup with --repair: it sends again the data that the database still "
          + "has. To give up the rest, run vecdb prune --force.")
    }
    if let finding = report.findings.first { throw TargetMissed(message: finding) }
  }
}
