import ArgumentParser
import FoundationEssentials
import VecDB

struct Restore: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Restore a database from a repository, and prove it.",
    discussion: """
      The copy is built beside its place, proven (hashes, log chain, digests, reachability of every \
      record, measured recall) and then moved there in one step. The place must not exist yet.

      EXAMPLE
        vecdb restore /backup/photos photos.vecdb
        vecdb restore /backup/photos yesterday.vecdb --time 2026-03-31T18:00:00Z
      """)

  @Argument(help: "The repository's directory.", completion: .directory)
  var repository: String
  @Argument(help: "The database directory to make.", completion: .directory)
  var database: String
  @Option(help: "Restore the state right after the batch with this LSN.")
  var lsn: UInt64?
  @Option(help: "Restore the state at this time: 2026-03-31T18:00:00Z, or ms since 1970.")
  var time: String?
  @Option(help: "Restore the state that was named with vecdb mark.")
  var toMark: String?
  @Option(help: "How to prove the copy.")
  var verification: RestoreVerification = .full
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard [lsn != nil, time != nil, toMark != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("Give one of --lsn, --time and --to-mark.")
    }
    if let time, Self.milliseconds(time) == nil {
      throw ValidationError("--time '\(time)' is neither like 2026-03-31T18:00:00Z nor a number.")
    }
  }

  func run() async throws {
    var target = RestoreTarget.latest
    if let lsn { target = .lsn(lsn) }
    if let toMark { target = .mark(toMark) }
    if let time, let milliseconds = Self.milliseconds(time) {
      target = .time(milliseconds: milliseconds)
    }
    let bar = ProgressBar.bytes()
    var configuration = Configuration()
    configuration.logger.logLevel = .warning
    let report = try await Database.restore(
      from: repository, to: database, target: target, verification: verification,
      configuration: configuration, progress: bar.handler)
    bar.finish()
    guard !output.json else { return Output.json(report) }
    Output.line(
      "restored LSN \(report.lsn) to \(database): \(Format.count(report.records)) records, "
        + "\(Format.bytes(report.bytesCopied)) in \(Format.seconds(report.totalSeconds)) "
        + "(copy \(Format.seconds(report.copySeconds)), proof "
        + "\(Format.seconds(report.verifySeconds)); "
        + "\(report.lsn - report.manifestLSN) batches replayed)")
    Output.line("data digest \(report.dataDigest)")
    report.canary.map { writeCanary($0) }
  }

  /// A time as milliseconds since 1970: ISO 8601, with or without fractions, or the number itself.
  private static func milliseconds(_ text: String) -> Int64? {
    if let number = Int64(text) { return number }
    let date =
      (try? Date(text, strategy: .iso8601))
      ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    return date.map { Int64(($0.timeIntervalSince1970 * 1000).rounded()) }
  }
}
