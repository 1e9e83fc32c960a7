import ArgumentParser
import FoundationEssentials
import VecDB

struct Backups: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the restore points of a repository.",
    discussion: """
      A database can be restored to a restore point, and to any LSN after it that the archived log \
      reaches.

      EXAMPLE
        vecdb backups /backup/photos
      """)

  @Argument(help: "The repository's directory.", completion: .directory)
  var repository: String
  @OptionGroup var output: OutputOptions

  func run() throws {
    let backups = try Database.backups(in: repository)
    if output.json {
      for backup in backups { Output.json(backup) }
      return
    }
    var table = Table([
      ("epoch", .right), ("LSN", .right), ("time", .left), ("records", .right), ("size", .right),
      ("replayable to LSN", .right),
    ])
    for backup in backups {
      let time = Date(timeIntervalSince1970: Double(backup.timeMilliseconds) / 1000)
      table.add(
        String(backup.epoch), String(backup.lsn), time.formatted(.iso8601),
        Format.count(backup.records), Format.bytes(backup.totalBytes),
        String(backup.replayableThroughLSN))
    }
    table.write()
  }
}
