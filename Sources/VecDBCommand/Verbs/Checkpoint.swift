import ArgumentParser
import VecDB

struct Checkpoint: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint, so that opening replays nothing.",
    discussion: """
      EXAMPLE
        vecdb checkpoint photos.vecdb
      """)

  @OptionGroup var target: DatabaseArgument
  @OptionGroup var output: OutputOptions

  func run() async throws {
    try await Session.runShared(target.database) { database in
      let report =
        switch database {
        case .own(let database): try await database.checkpoint()
        case .remote(let database): try await database.checkpoint()
        }
      if output.json {
        Output.json(report)
      } else {
        Output.line(
          "checkpoint at LSN \(report.lsn): \(Format.count(report.blocksWritten)) blocks, "
            + "\(Format.bytes(report.bytesWritten)) in \(Format.seconds(report.seconds))")
      }
    }
  }
}
