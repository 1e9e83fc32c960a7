import ArgumentParser
import VecDB
import VecDBReplication

struct Promote: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a replica the primary.",
    discussion: """
      Asks the process that follows with the database to become the primary of a new epoch. It asks \
      its peers to accept nothing from the old primary any more, and prints what is provable about \
      acknowledged writes. If it is not certain that none is lost, nothing happens without --force: \
      the old primary goes on. From then on writes wait for the replicas that the process was told; \
      without --replicas they wait for nobody. \
      With --planned the old primary is alive and hands over: nothing is lost. Exit code 1 if the \
      replica was not promoted.

      EXAMPLE
        vecdb promote copy.vecdb --planned
      """)

  @OptionGroup var target: DatabaseArgument
  @Flag(help: "The old primary is alive and hands over.")
  var planned = false
  @Flag(help: "Go ahead although acknowledged writes may be lost.")
  var force = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let report = try await NodeRequest(.promote, isPlanned: planned, isForced: force)
      .ask(try NodeQuestion.owner(target.database), as: PromotionReport.self)
    defer { for finding in report.findings ?? [] { Terminal.message("RECALL  \(finding)") } }
    guard !output.json else { return Output.json(report) }
    let loss =
      switch report.loss {
      case "none": "no write acknowledged in epoch \(report.oldEpoch) is lost"
      case "atMost":
        "at most \(report.lossBatches ?? 0) batches acknowledged in epoch \(report.oldEpoch) are lost"
      default: "how many acknowledged writes are lost is not known"
      }
    Output.line("primary of epoch \(report.newEpoch), which continues epoch \(report.oldEpoch) at:")
    Output.line("  LSN \(report.lsn), chain \(report.chain)")
    Output.line("\(loss): \(report.reason)")
    if let acknowledgement = report.acknowledgement {
      Output.line("acknowledgement from now on: \(acknowledgement)")
    }
    Output.line(
      "heard: \(report.heard.isEmpty ? "nobody" : report.heard.joined(separator: ", ")); "
        + "\(Format.seconds(report.seconds))")
  }
}
