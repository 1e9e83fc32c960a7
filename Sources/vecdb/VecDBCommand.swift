import ArgumentParser
import Glibc
import VecDB

/// The `vecdb` command: administration of vecdb databases from a shell.
@main
struct VecDBCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vecdb",
    abstract: "An embedded vector database that no acknowledged write is lost from.",
    discussion: """
      A database is a directory; a collection in it holds vectors of one dimension and metric, each \
      with a key and metadata. One process at a time has a database open.

      Every verb has --json: one object per line on standard output. Progress and messages go to \
      standard error. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 corruption found, \
      4 a target was missed.

      EXAMPLE
        vecdb create photos.vecdb images --dimensions 784 --metric l2
        vecdb import photos.vecdb images train.npy.gz --metadata labels.jsonl
        vecdb query photos.vecdb images --vectors test.npy.gz -k 5
        vecdb backup photos.vecdb /backup/photos
        vecdb restore /backup/photos copy.vecdb
      """,
    version: "0.1.0",
    subcommands: [
      Create.self, Import.self, Query.self, Get.self, Delete.self, Drop.self, Export.self,
      Stats.self, Check.self, Checkpoint.self, Rebuild.self, Mark.self, Backup.self, Archive.self,
      Backups.self, Verify.self, Restore.self, Prune.self, Key.self, Bench.self, Serve.self,
      Replica.self, Status.self, Promote.self, Rejoin.self, Drill.self,
    ])

  /// Parses and runs, with the exit codes of this command rather than those of ArgumentParser.
  static func main() async {
    let status: ExitStatus
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      status = .success
    } catch {
      status = report(error)
    }
    Output.flush()
    Glibc.exit(status.rawValue)
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
