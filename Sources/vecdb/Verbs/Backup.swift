import ArgumentParser
import VecDB

struct Backup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Back a database up to a repository.",
    discussion: """
      The repository is a directory, created if it is not there. What it has already is not sent, \
      so that every backup after the first is incremental, and each is a full restore point. Where \
      another process has the database open, that process makes the backup without stopping; it \
      ends if this command does.

      EXAMPLE
        vecdb backup photos.vecdb /backup/photos
      """)

  @OptionGroup var target: DatabaseArgument
  @Argument(help: "The repository's directory.", completion: .directory)
  var repository: String
  @OptionGroup var output: OutputOptions

  func run() async throws {
    try await Session.runShared(target.database) { database in
      let bar = ProgressBar.bytes()
      let report =
        switch database {
        case .own(let database):
          try await database.backup(to: repository, progress: bar.handler)
        case .remote(let database):
          try await database.backup(to: repository, progress: bar.handler)
        }
      bar.finish()
      guard !output.json else { return Output.json(report) }
      Output.line(
        "backup of LSN \(report.lsn), epoch \(report.epoch): \(Format.bytes(report.newBytes)) sent "
          + "(\(Format.count(report.newBlocks)) blocks, \(Format.count(report.logFrames)) log "
          + "frames) in \(Format.seconds(report.seconds)); the restore point has "
          + "\(Format.bytes(report.totalBytes))")
      report.canary.map { writeCanary($0) }
    }
  }
}
