import ArgumentParser
import VecDB

struct Backups: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the restore points of a repository.",
    discussion: """
      You can restore a database to a restore point, to any LSN after it that the archived log \
      reaches, and to any mark (see vecdb mark) in that range.

      With a second repository, the list says which restore points both have.

      EXAMPLE
        vecdb backups /backup/photos
        vecdb backups /backup/photos "s3://backups/photos"
      """)

  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Argument(help: "Another repository of the same database, to compare with.")
  var other: String?
  @OptionGroup var key: KeyOptions
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var mark: MarkInfo
  }
  private struct EndedLine: Encodable {
    var ended: EndedHistory
  }

  private struct Comparison: Encodable {
    var epoch: UInt64
    var lsn: UInt64
    var timeMilliseconds: Int64
    /// Which of the two have it.
    var first: Bool
    var second: Bool
  }

  func run() throws {
    if let other { return try compare(with: other) }
    let repositoryKey = try key.key()
    let backups = try Database.backups(in: repository, key: repositoryKey)
    let marks = try Database.marks(in: repository, key: repositoryKey)
    let ended = try Database.endedHistories(in: repository, key: repositoryKey)
    if output.json {
      for backup in backups { Output.json(backup) }
      for history in ended { Output.json(EndedLine(ended: history)) }
      for mark in marks { Output.json(Line(mark: mark)) }
      return
    }
    var table = Table([
      ("epoch", .right), ("LSN", .right), ("time", .left), ("records", .right), ("size", .right),
      ("sent", .right), ("replayable to LSN", .right), ("log", .right),
    ])
    for backup in backups {
      table.add(
        String(backup.epoch), String(backup.lsn), Timestamp.text(backup.timeMilliseconds),
        Format.count(backup.records), Format.bytes(backup.totalBytes),
        backup.newBytes.map { Format.bytes($0) } ?? "-", String(backup.replayableThroughLSN),
        Format.bytes(backup.logBytes))
    }
    table.write()
    for backup in backups {
      guard let first = backup.gapFirstLSN, let last = backup.gapLastLSN else { continue }
      Output.line(
        "gap: LSN \(first) to \(last) of epoch \(backup.epoch) cannot be restored, because their log "
          + "was not archived in time")
    }
    for history in ended {
      Output.line(
        "ended: epoch \(history.epoch) has LSN \(history.afterLSN + 1) to \(history.lastLSN) of a "
          + "history that a newer one left behind; vecdb restore --epoch \(history.epoch) restores it"
      )
    }
    for mark in marks {
      Output.line(
        "mark '\(mark.name)' at LSN \(mark.lsn), \(Timestamp.text(mark.timeMilliseconds))")
    }
  }

  private func compare(with other: String) throws {
    let repositoryKey = try key.key()
    let mine = try Database.backups(in: repository, key: repositoryKey)
    let theirs = try Database.backups(in: other, key: repositoryKey)
    func isSame(_ one: BackupInfo, _ two: BackupInfo) -> Bool {
      one.epoch == two.epoch && one.lsn == two.lsn && one.timeMilliseconds == two.timeMilliseconds
    }
    let all = mine + theirs.filter { found in !mine.contains { isSame($0, found) } }
    let lines = all.sorted { ($0.epoch, $0.lsn) < ($1.epoch, $1.lsn) }.map { point in
      Comparison(
        epoch: point.epoch, lsn: point.lsn, timeMilliseconds: point.timeMilliseconds,
        first: mine.contains { isSame($0, point) }, second: theirs.contains { isSame($0, point) })
    }
    if output.json {
      for line in lines { Output.json(line) }
      return
    }
    var table = Table([("epoch", .right), ("LSN", .right), ("time", .left), ("where", .left)])
    for line in lines {
      table.add(
        String(line.epoch), String(line.lsn), Timestamp.text(line.timeMilliseconds),
        line.first && line.second ? "both" : line.first ? "only \(repository)" : "only \(other)")
    }
    table.write()
    let both = lines.count { $0.first && $0.second }
    Output.line(
      "\(both) of \(Format.count(lines.count, "restore point", "restore points")) in both")
  }
}
