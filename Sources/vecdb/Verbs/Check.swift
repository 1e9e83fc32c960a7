import ArgumentParser
import VecDB

struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check every block, log frame, record and link of a database.",
    discussion: """
      Exits with 3 if anything is damaged; nothing is changed. With --recall the index is also \
      searched with queries whose exact answers are computed.

      EXAMPLE
        vecdb check photos.vecdb --recall
      """)

  @OptionGroup var target: DatabaseArgument
  @Flag(help: "Measure recall@10 with 100 queries a collection.")
  var recall = false
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var check: CheckReport
    var canary: CanaryReport?
  }

  func run() async throws {
    try await Session.runShared(target.database) { database in
      let bar = ProgressBar.bytes()
      let report: CheckReport
      let canary: CanaryReport?
      switch database {
      case .own(let database):
        report = try await database.check(progress: bar.handler)
        canary = recall ? try database.measureRecall() : nil
      case .remote(let database):
        (report, canary) = try await database.check(recall: recall, progress: bar.handler)
      }
      bar.finish()
      if output.json {
        Output.json(Line(check: report, canary: canary))
      } else {
        for problem in report.problems { Output.line("PROBLEM  \(problem)") }
        Output.line(
          "checked \(Format.count(report.records)) records, \(Format.count(report.blocks)) blocks "
            + "and \(Format.count(report.logFrames)) log frames at LSN \(report.lsn) in "
            + "\(Format.seconds(report.seconds)): "
            + (report.problems.isEmpty ? "clean" : "\(report.problems.count) problems"))
        canary.map { writeCanary($0) }
      }
      guard report.problems.isEmpty else {
        throw CorruptionFound(
          message: "the database is damaged: \(report.problems.count) problems",
          location: target.database,
          remedy: "Restore it from a backup with vecdb restore")
      }
    }
  }
}

/// Prints measured recall, a line per collection.
func writeCanary(_ canary: CanaryReport) {
  for entry in canary.collections where entry.queries > 0 {
    Output.line(
      "recall@\(entry.k) of \(entry.collection): \(Format.decimal(entry.recall, 4)) "
        + "(\(entry.queries) queries, ef \(entry.efSearch))")
  }
}
