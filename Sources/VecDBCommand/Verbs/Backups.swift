import ArgumentParser
import VecDB

struct Backups: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the restore points of a repository.",
    discussion: """
      You can restore a database to a restore point, to any LSN after it that the archived log \
      reaches, and to any mark (see vecdb mark) in that range.

      EXAMPLE
        vecdb backups /backup/photos
      """)

  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @OptionGroup var key: KeyOptions
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var mark: MarkInfo
  }
  private struct EndedLine: Encodable {
    var ended: EndedHistory
  }

  func run() throws {
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
}
