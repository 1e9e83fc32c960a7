import ArgumentParser
import VecDB

extension DrillScenario: ExpressibleByArgument {}

struct Drill: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rehearse failures, and measure lost records, recovery time and recall.",
    discussion: """
      Works on copies in a temporary directory and over loopback; it only makes a backup of the \
      database itself. Without a database, it makes one. It measures the acknowledged records that \
      are lost, the time from the failure to the first proven answer, by phase, and recall before \
      and after. Exit code 4 means a missed target.

      Scenarios: primary-killed, primary-returns-stale, replica-killed, network-cut, restore-only, \
      point-in-time, damaged-block.

      EXAMPLE
        vecdb drill photos.vecdb --all --report drill.html
        vecdb drill --scenario primary-killed --json
      """)

  @Argument(
    help: "The database to rehearse with; without one, the command makes one.",
    completion: .directory)
  var database: String?
  @Option(help: "A scenario to rehearse; you can repeat the option.")
  var scenario: [DrillScenario] = []
  @Flag(help: "Rehearse all scenarios.")
  var all = false
  @Option(help: "Maximum number of lost acknowledged records.")
  var maxLoss = 0
  @Option(help: "Maximum seconds from the failure to the first proven answer.")
  var maxRecovery = 5.0
  @Option(help: "Minimum recall after recovery, as a share of the recall before.")
  var minRecallShare = 0.98
  @Option(help: "Write the report as one HTML page to this file.", completion: .file())
  var report: String?
  @Flag(help: "Keep the copies, and print where they are.")
  var keep = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard all != !scenario.isEmpty else {
      throw ValidationError("Give either --all or at least one --scenario.")
    }
  }

  func run() async throws {
    let directory = try TemporaryDirectory()
    defer {
      if keep {
        Terminal.message("the copies are in \(directory.path)")
      } else {
        directory.remove()
      }
    }
    let targets = DrillTargets(
      lostRecords: maxLoss, recoverySeconds: maxRecovery, recallShare: minRecallShare)
    Terminal.message("preparing copies")
    let stage = try await DrillStage.prepare(in: directory.path, from: database)
    let run = DrillRun(stage: stage, targets: targets)
    var reports: [DrillReport] = []
    for scenario in all ? DrillScenario.allCases : scenario {
      Terminal.message("rehearsing \(scenario.rawValue)")
      let result = await run.run(scenario)
      reports.append(result)
      if output.json { Output.json(result) } else { write(result) }
      Output.flush()
    }
    if let report {
      let page = DrillPage.html(reports, targets: targets, database: database ?? "a made database")
      let file = try FileWriter(path: report)
      try file.write(Array(page.utf8))
      try file.publish()
    }
    let missed = reports.filter { !$0.passed }
    guard missed.isEmpty else {
      throw TargetMissed(
        message: "\(missed.count) of \(reports.count) rehearsals missed a target: "
          + missed.map(\.scenario.rawValue).joined(separator: ", "))
    }
  }

  private func write(_ report: DrillReport) {
    Output.line(
      "\(report.passed ? "PASSED" : "FAILED")  \(report.scenario.rawValue): \(report.title)")
    for phase in report.phases {
      let name = phase.name.padding(toLength: 26, withPad: " ", startingAt: 0)
      Output.line("  \(name) \(Format.seconds(phase.seconds))")
    }
    Output.line(
      "  lost \(Format.count(report.lostRecords)) of \(Format.count(report.acknowledgedRecords)) "
        + "acknowledged records"
        + (report.recoverySeconds.map { "; answers proven after \(Format.seconds($0))" } ?? ""))
    if let before = report.recallBefore, let after = report.recallAfter {
      Output.line("  recall \(Format.decimal(before, 4)) before, \(Format.decimal(after, 4)) after")
    }
    if let certificate = report.certificate { Output.line("  certificate: \(certificate)") }
    for problem in report.problems { Output.line("  PROBLEM  \(problem)") }
  }
}
