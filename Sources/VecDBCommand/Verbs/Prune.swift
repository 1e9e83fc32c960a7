import ArgumentParser
import VecDB

struct Prune: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove old restore points from a repository.",
    discussion: """
      Keeps every restore point that at least one rule selects, the newest restore point, and all \
      marks. Also keeps the archived log from the oldest restore point of --keep-last and \
      --keep-within on. When nothing needs a block any more, a prune at least --grace later \
      deletes it, so that you can run backups at the same time.

      EXAMPLE
        vecdb prune /backup/photos --keep-within 7d --keep-daily 30 --keep-monthly 12
      """)

  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Option(help: "Keep this many of the newest restore points, and the log after them.")
  var keepLast = 0
  @Option(help: "Keep the last restore point of each of this many days.")
  var keepDaily = 0
  @Option(help: "Keep the last restore point of each of this many weeks.")
  var keepWeekly = 0
  @Option(help: "Keep the last restore point of each of this many months.")
  var keepMonthly = 0
  @Option(help: "Keep every moment of this time before the newest: 90m, 24h, 7d, 4w.")
  var keepWithin: TimeSpan?
  @Option(help: "How long a block stays after the last restore point that needs it; at least 1h.")
  var grace = TimeSpan(seconds: 86_400)
  @Flag(help: "Only print what the prune would remove.")
  var dryRun = false
  @Flag(help: "Give up marks and damaged or missing data; accept any --grace.")
  var force = false
  @OptionGroup var key: KeyOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    let counts = [keepLast, keepDaily, keepWeekly, keepMonthly]
    guard counts.allSatisfy({ $0 >= 0 }) else {
      throw ValidationError("No --keep option may be negative.")
    }
    guard counts.contains(where: { $0 > 0 }) || (keepWithin?.seconds ?? 0) > 0 else {
      throw ValidationError("Say what to keep, such as --keep-last 10.")
    }
  }

  func run() async throws {
    var policy = RetentionPolicy()
    policy.keepLast = keepLast
    policy.keepDaily = keepDaily
    policy.keepWeekly = keepWeekly
    policy.keepMonthly = keepMonthly
    policy.keepWithinMilliseconds = Int64(keepWithin?.seconds ?? 0) * 1000
    let report = try await Database.prune(
      repository: repository, keeping: policy, grace: .seconds(grace.seconds), dryRun: dryRun,
      force: force, key: try key.key())
    guard !output.json else { return Output.json(report) }
    var table = Table([("epoch", .right), ("LSN", .right), ("time", .left), ("kept for", .left)])
    for point in report.restorePoints {
      table.add(
        String(point.epoch), String(point.lsn), Timestamp.text(point.timeMilliseconds),
        point.keptFor.isEmpty ? "(removed)" : point.keptFor.joined(separator: ", "))
    }
    table.write()
    for mark in report.droppedMarks {
      Output.line("mark '\(mark.name)' at LSN \(mark.lsn) cannot be restored any more")
    }
    Output.line(
      "\(Format.count(report.logPiecesRemoved, "piece", "pieces")) of log removed, "
        + "\(Format.count(report.blocksDeleted)) blocks deleted "
        + "(\(Format.bytes(report.bytesDeleted))), \(Format.count(report.blocksWaiting)) wait"
        + (dryRun ? "; nothing was changed: dry run" : ""))
    if report.retainedObjects > 0 {
      Output.line(
        "\(Format.count(report.retainedObjects, "object", "objects")) retained: the store keeps them "
          + "under a lock, and a later prune deletes them")
    }
    if let requests = report.requests { Output.line(requests.sentence) }
  }
}

/// A length of time such as `90m`, `24h`, `7d`, `4w`; a number alone is seconds.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
  var seconds: Int

  init(seconds: Int) { self.seconds = seconds }

  init?(argument: String) {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
    let unit = argument.last.flatMap { units[$0] }
    guard let number = Int(unit == nil ? argument : String(argument.dropLast())),
      (0...1_000_000_000).contains(number)
    else { return nil }
    seconds = number * (unit ?? 1)
  }

  var description: String { seconds % 3_600 == 0 ? "\(seconds / 3_600)h" : "\(seconds)s" }
}
