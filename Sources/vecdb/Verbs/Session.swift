import ArgumentParser
import VecDB

/// Opens a database for one verb and closes it again.
enum Session {
  /// Runs `body` on the database at `path`, which must exist unless `create` is set. It is closed
  /// in any case; an error of `body` wins over one of closing.
  static func run<Result>(
    _ path: String, create: Bool = false, buildThreads: Int = 0,
    key: (any RepositoryKey)? = nil, _ body: (Database) async throws -> Result
  ) async throws -> Result {
    var configuration = Configuration()
    configuration.createIfMissing = create
    configuration.buildThreads = buildThreads
    configuration.repositoryKey = key
    configuration.logger.logLevel = .warning
    // A command is over too soon for a scrub to be of use; `check` reads everything at once.
    configuration.scrubBytesPerSecond = nil
    let database = try await Database.open(at: path, configuration: configuration)
    let result: Result
    do { result = try await body(database) } catch {
      do { try await database.close() } catch {
        Terminal.message("vecdb: closing failed: \(error)")
      }
      throw error
    }
    try await database.close()
    return result
  }
}

/// A database as a verb reaches it: opened by this command, or by another process that answers on
/// its control socket.
enum Access {
  case own(Database)
  case remote(RemoteDatabase)
}

extension Session {
  /// As `run` on an existing database; where another process has it open, `body` gets the
  /// connection to that process.
  /// A key of a repository is of use only where this command opens the database itself.
  static func runShared<Result>(
    _ path: String, key: (any RepositoryKey)? = nil, _ body: (Access) async throws -> Result
  ) async throws -> Result {
    var attempt = 0
    while true {
      do {
        return try await run(path, key: key) { try await body(.own($0)) }
      } catch var error as VecDBError where error.code == .locked {
        let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        if let remote = try RemoteDatabase(path: trimmed) {
          guard key == nil else {
            throw VecDBError(
              .invalidArgument,
              "another process has the database open, and encrypts with its own key", at: path,
              remedy: "Leave the key out, and set Configuration.repositoryKey in that process.")
          }
          return try await body(.remote(remote))
        }
        // The owner may be about to listen, or just closing.
        attempt += 1
        guard attempt <= 5 else {
          error.remedy = "That process does not answer on a control socket. " + error.remedy
          throw error
        }
        try await Task.sleep(nanoseconds: 100_000_000)
      }
    }
  }
}

/// The database that a verb works on.
struct DatabaseArgument: ParsableArguments {
  @Argument(help: "The database directory.", completion: .directory)
  var database: String
}

/// The database and collection that a verb works on.
struct CollectionArguments: ParsableArguments {
  @Argument(help: "The database directory.", completion: .directory)
  var database: String

  @Argument(help: "The collection's name.")
  var collection: String
}

extension Metric: ExpressibleByArgument {}
extension VectorCodes: ExpressibleByArgument {}
extension VectorFormat: ExpressibleByArgument {}
extension RestoreVerification: ExpressibleByArgument {}

/// A filter given as text; a mistake in it is wrong usage.
func parseFilter(_ text: String?) throws -> Filter? {
  guard let text else { return nil }
  do { return try Filter(parsing: text) } catch let error as VecDBError {
    throw UsageError(
      message: "the filter cannot be read: \(error.message)"
        + (error.location.isEmpty ? "" : " (\(error.location))"),
      remedy: error.remedy.isEmpty
        ? "Write it like: year >= 2020 and lang in ('de','en')." : error.remedy)
  }
}
