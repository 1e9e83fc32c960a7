import ArgumentParser
import VecDB

struct Backups: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the restore points of a repository.",
    discussion: """
      A database can be restored to a restore point, and to any LSN after it that the archived log \
      reaches, and to marks (see vecdb mark) within that.

      EXAMPLE
        vecdb backups /backup/photos
      """)

  @Argument(help: "The repository's directory.", completion: .directory)
  var repository: String
  @OptionGroup var output: OutputOptions

  private struct Line: Encodable {
    var mark: MarkInfo
  }

  func run() throws {
    let backups = try Database.backups(in: repository)
    let marks = try Database.marks(in: repository)
    if output.json {
      for backup in backups { Output.json(backup) }
      for mark in marks { Output.json(Line(mark: mark)) }
      return
    }
    var table = Table([
      ("epoch", .right), ("LSN", .right), ("time", .left), ("records", .right), ("size", .right),
      ("replayable to LSN", .right),
    ])
    for backup in backups {
      table.add(
        String(backup.epoch), String(backup.lsn), Format.time(backup.timeMilliseconds),
        Format.count(backup.records), Format.bytes(backup.totalBytes),
        String(backup.replayableThroughLSN))
    }
    table.write()
    for mark in marks {
      Output.line(
        "mark '\(mark.name)' at LSN \(mark.lsn), \(Format.time(mark.timeMilliseconds))")
    }
  }
}
