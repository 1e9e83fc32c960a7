import ArgumentParser
import VecDB

struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check every block, log frame, record and link of a database.",
    discussion: """
      Changes nothing. Exits with 3 if anything is damaged. Also searches each index, and compares \
      the hits with exact answers; --recall uses more queries. Exits with 4 if recall@10 is below \
      \(CollectionHealth.floor), or reaches it only because searches compensate for a poor index.

      With --repair, first repairs the damage that it can: it takes blocks from other copies or, \
      with --from, from a repository; it rewrites the file of records from its rows; and it takes \
      records from the repository and the log. If data is still missing, it names that data and \
      exits with 3.

      EXAMPLE
        vecdb check photos.vecdb --recall
        vecdb check photos.vecdb --repair --from /backup/photos
        vecdb check photos.vecdb --repair --from /backup/photos --key-file photos.key
      """)

  @OptionGroup var target: DatabaseArgument
  @Flag(help: "Measure recall@10 with 100 queries per collection.")
  var recall = false
  @Flag(help: "Repair what can be repaired; no process may have the database open.")
  var repair = false
  @Option(help: "A repository that has the damaged blocks and records.", completion: .directory)
  var from: String?
  @OptionGroup var key: KeyOptions
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var check: CheckReport
    var canary: CanaryReport?
    var health: [CollectionHealth]
  }

  func run() async throws {
    guard repair || from == nil else {
      throw UsageError(message: "--from needs --repair", remedy: "Add --repair, or leave it out.")
    }
    if repair { try await runRepair() }
    Interruption.cancels()
    try await Session.runShared(target.database) { database in
      let bar = ProgressBar.bytes()
      let report: CheckReport
      let canary: CanaryReport?
      let health: [CollectionHealth]
      switch database {
      case .own(let database):
        report = try await database.check(progress: bar.handler)
        canary = recall ? try database.measureRecall() : nil
        health =
          report.problems.isEmpty ? try database.measureHealth(queries: recall ? 100 : 50) : []
      case .remote(let database):
        (report, canary, health) = try await database.check(recall: recall, progress: bar.handler)
      }
      bar.finish()
      if output.json {
        Output.json(Line(check: report, canary: canary, health: health))
      } else {
        for problem in report.problems { Output.line("PROBLEM  \(problem)") }
        Output.line(
          "checked \(Format.count(report.records)) records, \(Format.count(report.blocks)) blocks "
            + "and \(Format.count(report.logFrames, "log frame", "log frames")) at LSN \(report.lsn) in "
            + "\(Format.seconds(report.seconds)): "
            + Self.verdict(report, health))
        canary.map { writeCanary($0) }
        for finding in health.compactMap(\.finding) { Output.line("RECALL  \(finding)") }
      }
      guard report.problems.isEmpty else {
        throw CorruptionFound(
          message: "the database is damaged: \(report.problems.count) problems",
          location: target.database,
          remedy: "Restore it from a backup with vecdb restore")
      }
      if let finding = health.compactMap(\.finding).first {
        throw TargetMissed(
          message: "\(finding). Build the index anew with vecdb rebuild "
            + "\(target.database) COLLECTION")
      }
    }
  }

  private static func verdict(_ report: CheckReport, _ health: [CollectionHealth]) -> String {
    if !report.problems.isEmpty { return "\(report.problems.count) problems" }
    let poor = health.count { !$0.isGood }
    return poor == 0 ? "clean" : "not damaged, but \(poor) of \(health.count) indexes fall short"
  }
}

extension Check {
  /// Repairs, and throws if something could not be had.
  private func runRepair() async throws {
    var configuration = DatabaseConfiguration()
    configuration.repositoryKey = try key.key()
    let report = try await Database.repair(
      at: target.database, from: from, configuration: configuration)
    if output.json {
      Output.json(report)
    } else {
      for line in report.repairs { Output.line("REPAIRED  \(line)") }
      for line in report.missing { Output.line("MISSING  \(line)") }
      Output.line(
        report.repairs.isEmpty && report.missing.isEmpty
          ? "nothing to repair"
          : "repaired \(report.repairs.count), missing \(report.missing.count), fetched "
            + "\(Format.bytes(report.fetchedBytes)) in \(Format.seconds(report.seconds))")
    }
    guard report.missing.isEmpty else {
      throw CorruptionFound(
        message: "the repair is incomplete: \(report.missing.count) parts are still missing",
        location: target.database,
        remedy: from == nil
          ? "Name a repository with --from, or restore the database with vecdb restore"
          : "Restore the database with vecdb restore")
    }
  }
}

/// Prints measured recall, a line per collection.
func writeCanary(_ canary: CanaryReport) {
  for entry in canary.collections where entry.queries > 0 {
    Output.line(
      "recall@\(entry.k) of \(entry.collection): \(Format.decimal(entry.recall, 4)) "
        + "(\(entry.queries) queries, ef \(entry.efSearch))"
        + (entry.isBelowFloor ? "  BELOW \(CollectionHealth.floor)" : ""))
  }
}
