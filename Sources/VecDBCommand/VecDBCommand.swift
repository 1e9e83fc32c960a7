import ArgumentParser
import Glibc
import Logging
import VecDB
import VecDBObjectStore

/// The `vecdb` command: administration of vecdb databases from a shell.
@main
struct VecDBCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vecdb",
    abstract: "An embedded vector database that loses no acknowledged write.",
    discussion: """
      A database is a directory. A collection in it holds vectors of one dimension and metric, \
      each with a key and metadata. Only one process can have a database open at a time.

      With --json, every verb prints one JSON object per line on standard output. Progress and \
      messages go to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 corruption \
      found, 4 target missed.

      EXAMPLE
        vecdb create photos.vecdb images --dimensions 784 --metric l2
        vecdb import photos.vecdb images train.npy.gz --metadata labels.jsonl
        vecdb query photos.vecdb images --vectors test.npy.gz -k 5
        vecdb backup photos.vecdb /backup/photos
        vecdb restore /backup/photos copy.vecdb
      """,
    version: "0.1.0",
    subcommands: [
      Create.self, Import.self, Query.self, Get.self, Facets.self, Update.self,
      Delete.self, Drop.self, Export.self, Stats.self, Check.self, Checkpoint.self, Rebuild.self,
      Mark.self, Backup.self, Archive.self,
      Backups.self, Copy.self, Verify.self, Restore.self, Prune.self, Key.self, Bench.self,
      Serve.self,
      Replica.self, Status.self, Promote.self, Rejoin.self, Node.self, ClusterVerb.self, Drill.self,
    ])

  /// Parses and runs, with the exit codes of this command rather than those of ArgumentParser.
  static func main() async {
    StandardStreams.occupy()
    Repository.enableS3()
    var status: ExitStatus
    do {
      // A task of its own, which a signal can cancel.
      let work = Task {
        try requireText()
        // What a database has to say comes from its library without an address of its own.
        try await withLogger(CommandLog.logger(.warning)) { _ in
          var command = try parseAsRoot()
          if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
          } else {
            try command.run()
          }
        }
      }
      Interruption.work.withLock { $0 = work }
      try await work.value
      status = .success
    } catch is OutputFailure {
      // Told below, once.
      status = .failure
    } catch {
      status = report(error)
    }
    do { try Output.finish() } catch {
      Terminal.message("vecdb: \(Failure(error).text)")
      if status == .success { status = .failure }
    }
    Glibc.exit(status.rawValue)
  }

  /// Swift's strings hold no other bytes: they would be changed without a word, and stand for
  /// another file or another key.
  private static func requireText() throws {
    for number in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[number] else { continue }
      let bytes = UnsafeRawBufferPointer(start: argument, count: strlen(argument))
      guard String(validating: bytes, as: UTF8.self) == nil else { continue }
      let shown = bytes.map {
        (0x20..<0x7F).contains($0) ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16)
      }.joined()
      throw UsageError(
        message: "argument \(number), '\(shown)', is not UTF-8",
        remedy: "Give the file or directory a name in UTF-8, or reach it through a link.")
    }
  }

  private static func report(_ error: any Error) -> ExitStatus {
    let isOurs =
      error is VecDBError || error is UsageError || error is TargetMissed
      || error is CorruptionFound
    let parserStatus = exitCode(for: error)
    if !isOurs && parserStatus == .success {
      Output.line(fullMessage(for: error))
      return .success
    }
    if !isOurs && parserStatus == .validationFailure {
      if CommandLine.arguments.contains("--json") {
        var failure = Failure(UsageError(message: message(for: error), remedy: ""))
        failure.remedy = "See vecdb help."
        Output.json(failure.object)
        Output.flush()
      }
      let text = fullMessage(for: error)
      Terminal.message(text.hasPrefix("Error: ") ? "vecdb: \(text.dropFirst(7))" : text)
      return .usage
    }
    let failure = Failure(error)
    failure.report(json: CommandLine.arguments.contains("--json"))
    return failure.status
  }
}
