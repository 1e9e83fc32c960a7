import ArgumentParser
import VecDB
import VecDBReplication

struct Promote: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a replica the primary.",
    discussion: """
      Asks the process that runs the replica to become the primary of a new epoch. That process \
      asks its peers to accept nothing from the old primary any more, and states how many \
      acknowledged writes may be lost. If it cannot prove that none is lost, it changes nothing \
      unless you give --force, and the old primary goes on. After the promotion, writes wait for \
      the replicas in the options of that process; without --replicas, they wait for none.

      With --planned, the running primary hands over, and no write is lost. Exit code 1 means that \
      the replica was not promoted.

      EXAMPLE
        vecdb promote copy.vecdb --planned
      """)

  @OptionGroup var target: DatabaseArgument
  @Flag(help: "Let the running primary hand over.")
  var planned = false
  @Flag(help: "Promote even if acknowledged writes may be lost.")
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
        "at most \(report.lossBatches ?? 0) batches acknowledged in epoch \(report.oldEpoch) "
          + "are lost"
      default: "an unknown number of acknowledged writes may be lost"
      }
    Output.line("primary of epoch \(report.newEpoch), which continues epoch \(report.oldEpoch) at:")
    Output.line("  LSN \(report.lsn), chain \(report.chain)")
    Output.line("\(loss): \(report.reason)")
    if let acknowledgement = report.acknowledgement {
      Output.line("acknowledgement from now on: \(acknowledgement)")
    }
    Output.line(
      "heard from: \(report.heard.isEmpty ? "nobody" : report.heard.joined(separator: ", ")); "
        + "\(Format.seconds(report.seconds))")
  }
}
