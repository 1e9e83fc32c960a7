import ArgumentParser
import VecDB

struct Copy: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send to a repository what it lacks of another one.",
    discussion: """
      Use it for a second region or disk: all restore points and the archived log arrive there, each \
      block compared with its hash on the way. You can interrupt it; the next copy goes on. It \
      removes nothing from the target: run vecdb prune there too.

      EXAMPLE
        vecdb copy /backup/photos "s3://backups/photos?region=eu-central-1"
        vecdb copy "s3://a/photos?region=eu-central-1" "s3://b/photos?region=eu-west-1"
      """)

  @Argument(help: "The repository to read: a directory, or s3://bucket/prefix.")
  var source: String
  @Argument(help: "The repository to complete; the command creates it if it is missing.")
  var target: String
  @OptionGroup var key: KeyOptions
  @Option(help: "The key file of the target, if it has another key.", completion: .file())
  var targetKeyFile: String?
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    Interruption.cancels()
    let bar = ProgressBar.bytes(events: progress.progressEvents)
    let sourceKey = try key.key()
    let targetKey = try KeyOptions.key(file: targetKeyFile, passphraseFile: nil) ?? sourceKey
    let report = try await Database.copyRepository(
      from: source, to: target, key: sourceKey, targetKey: targetKey, progress: bar.handler)
    bar.finish()
    guard !output.json else { return Output.json(report) }
    Output.line(
      "copied \(report.copiedRestorePoints) of \(report.restorePoints) restore points: "
        + "\(Format.bytes(report.newBytes)) sent "
        + "(\(Format.count(report.newBlocks, "block", "blocks")), "
        + "\(Format.count(report.logPieces, "piece", "pieces")) of log) in "
        + "\(Format.seconds(report.seconds))")
    if let requests = report.sourceRequests { Output.line("source: \(requests.sentence)") }
    if let requests = report.requests { Output.line("target: \(requests.sentence)") }
  }
}
