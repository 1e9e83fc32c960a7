import ArgumentParser
import VecDB

struct Archive: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send the log that a repository lacks.",
    discussion: """
      With the restore points of vecdb backup and the archived log, you can restore to any moment. \
      If another process has the database open, --every repeats until you end this command. It \
      waits while the repository is full, and if the process ends, it waits for the next one. A \
      process can also archive by itself (see DatabaseConfiguration.archive).

      EXAMPLE
        vecdb archive photos.vecdb /backup/photos
        vecdb archive photos.vecdb /backup/photos --every 5s
      """)

  @OptionGroup var target: DatabaseArgument
  @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
  var repository: String
  @Option(help: "Repeat, with this much time between two passes: 5s, 1m.")
  var every: TimeSpan?
  @Flag(help: "Stop keeping log for this repository.")
  var forget = false
  @OptionGroup var key: KeyOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let every, every.seconds < 1 { throw ValidationError("--every is at least 1s.") }
    if forget, every != nil { throw ValidationError("--forget and --every exclude each other.") }
  }

  private struct Forgotten: Encodable {
    var forgotten: String
  }

  /// The process that had the database open is not there any more.
  private struct OwnerGone: Error {}

  func run() async throws {
    let repositoryKey = try key.key()
    while true {
      do { return try await run(key: repositoryKey) } catch is OwnerGone {
        Terminal.message(
          "vecdb: the process that had the database open has ended; archiving continues when "
            + "another process opens it")
        try await Session.waitForOwner(target.database)
      }
    }
  }

  private func run(key repositoryKey: (any RepositoryKey)?) async throws {
    try await Session.runShared(target.database, key: repositoryKey) { database in
      if forget {
        switch database {
        case .own(let database): try await database.forgetArchive(repository)
        case .remote(let database): try await database.forgetArchive(repository)
        }
        guard !output.json else { return Output.json(Forgotten(forgotten: repository)) }
        return Output.line("the database no longer keeps log for \(repository)")
      }
      let report =
        switch database {
        // Nobody writes to it but this command: one pass sends everything.
        case .own(let database): try await database.archive(to: repository)
        case .remote(let database):
          if let every, database.hello.isBrief != true {
            try await follow(database, every)
          } else {
            try await database.archive(to: repository, intervalMilliseconds: nil)
          }
        }
      guard !output.json else { return Output.json(report) }
      Output.line(
        "archived up to LSN \(report.lsn): \(Format.count(report.frames, "log frame", "log frames")), "
          + "\(Format.bytes(report.bytes)) sent in \(Format.seconds(report.seconds))")
      if let requests = report.requests { Output.line(requests.sentence) }
      if let branch = report.branch { Output.line(branch.sentence) }
    }
  }

  /// Archives until the owner goes.
  private func follow(_ owner: RemoteDatabase, _ every: TimeSpan) async throws -> Never {
    let isJSON = output.json
    do {
      _ = try await owner.archive(
        to: repository, intervalMilliseconds: every.seconds * 1000
      ) { progress in
        if isJSON {
          Output.json(progress)
          Output.flush()
        } else if progress.doneBytes > 0 {
          Terminal.message("\(progress.stage): \(Format.bytes(progress.doneBytes))")
        } else {
          Terminal.message(progress.stage)
        }
      }
    } catch let error as VecDBError {
      guard Session.hasGone(owner, error) else { throw error }
    }
    // An owner that closes the database ends what it was asked for without an error.
    throw OwnerGone()
  }
}
