import ArgumentParser
import VecDB

/// Opens a database for one verb and closes it again.
enum Session {
  /// Runs `body` on the database at `path`, which must exist unless `create` is set. It is closed
  /// in any case; an error of `body` wins over one of closing.
  ///
  /// Another command that has the database for a moment is waited for. `isBrief` says that this one
  /// is such a command. Where another process has it for longer, `remotely` is run with the connection
  /// to it, if that is given.
  static func run<Result>(
    _ path: String, create: Bool = false, buildThreads: Int = 0, isBrief: Bool = true,
    remotely: ((RemoteDatabase) async throws -> Result)? = nil,
    _ body: (Database) async throws -> Result
  ) async throws -> Result {
    let configuration = configuration(
      create: create, buildThreads: buildThreads, isBrief: isBrief, key: nil)
    let waiting = Waiting(path)
    while true {
      let locked: VecDBError
      do {
        return try await open(path, configuration, body)
      } catch let error as VecDBError where error.code == .locked { locked = error }
      let owner: RemoteDatabase?
      do { owner = try remote(path) } catch {
        // It has no room for another connection, or went away.
        try await waiting.forTurn(locked)
        continue
      }
      guard let owner else {
        try await waiting.forSilence(locked)
        continue
      }
      guard owner.hello.isBrief == true else {
        guard let remotely else { throw locked }
        return try await remotely(owner)
      }
      try await waiting.forTurn(locked)
    }
  }

  /// Opens the database, or what can be read of it where nothing can be written.
  fileprivate static func open<Result>(
    _ path: String, _ configuration: DatabaseConfiguration,
    _ body: (Database) async throws -> Result
  ) async throws -> Result {
    let database: Database
    do { database = try Database.openNow(at: path, configuration: configuration) } catch let
      error as VecDBError
      where error.code == .inputOutput && Database.isOnReadOnlyFileSystem(path)
    {
      let scratch = try TemporaryDirectory()
      defer { scratch.remove() }
      let copy = try await Database.openCopy(
        of: path, in: scratch.path, configuration: configuration)
      return try await run(copy, body)
    }
    return try await run(database, body)
  }

  fileprivate static func configuration(
    create: Bool, buildThreads: Int, isBrief: Bool, key: (any RepositoryKey)?
  ) -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.createIfMissing = create
    configuration.buildThreads = buildThreads
    configuration.repositoryKey = key
    configuration.isBrief = isBrief
    configuration.maintenanceOnClose = .seconds(3)
    // A command is over too soon for a scrub to be of use; `check` reads everything at once.
    configuration.scrubBytesPerSecond = nil
    // So that a restored copy can be looked at as it was.
    configuration.removesExpired = !isBrief
    return configuration
  }

  fileprivate static func run<Result>(
    _ database: Database, _ body: (Database) async throws -> Result
  ) async throws -> Result {
    let result: Result
    do { result = try await body(database) } catch {
      do { try await database.close() } catch {
        Terminal.message("vecdb: closing failed: \(error)")
      }
      throw error
    }
    do { try await database.close() } catch let error as VecDBError where error.code == .diskFull {
      // All that was done is in the log; what could not be written is only the checkpoint.
      Terminal.message("vecdb: no checkpoint on closing: \(error)")
    }
    return result
  }

  /// The process that has the database open; nil if none answers.
  private static func remote(_ path: String) throws -> RemoteDatabase? {
    try RemoteDatabase(path: path)
  }
}

/// Waits between attempts to reach a database that others have for a moment.
private struct Waiting {
  private let path: String
  private let start = ContinuousClock.now

  /// For commands before this one.
  private static let patience = Duration.seconds(60)
  /// For an owner that does not answer: it may be about to listen, or just closing.
  private static let silencePatience = Duration.seconds(5)

  init(_ path: String) { self.path = path }

  func forTurn(_ error: VecDBError) async throws {
    guard ContinuousClock.now - start < Self.patience else { throw error }
    try await pause()
  }

  func forSilence(_ error: VecDBError) async throws {
    guard ContinuousClock.now - start < Self.silencePatience else {
      var error = error
      error.remedy = "That process does not answer on its control socket. " + error.remedy
      throw error
    }
    try await pause()
  }

  /// Of uneven length, so that those who wait do not come all at once.
  private func pause() async throws {
    guard !Interruption.requested else {
      throw VecDBError(.cancelled, "interrupted while waiting for the database", at: path)
    }
    try await Task.sleep(nanoseconds: .random(in: 5_000_000...40_000_000))
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
  /// connection to that process. Where that process closes the database meanwhile, `body` is run
  /// again, unless it has printed something or `repeats` is false and it may have been done.
  ///
  /// A key of a repository is of use only where this command opens the database itself.
  static func runShared<Result>(
    _ path: String, key: (any RepositoryKey)? = nil, repeats: Bool = true,
    _ body: (Access) async throws -> Result
  ) async throws -> Result {
    let configuration = configuration(create: false, buildThreads: 0, isBrief: true, key: key)
    let waiting = Waiting(path)
    while true {
      let locked: VecDBError
      do {
        return try await open(path, configuration) { try await body(.own($0)) }
      } catch let error as VecDBError where error.code == .locked { locked = error }
      let owner: RemoteDatabase?
      do { owner = try remote(path) } catch {
        // It has no room for another connection, or went away.
        try await waiting.forTurn(error as? VecDBError ?? locked)
        continue
      }
      guard let owner else {
        try await waiting.forSilence(locked)
        continue
      }
      guard key == nil else {
        if owner.hello.isBrief == true {
          try await waiting.forTurn(locked)
          continue
        }
        throw VecDBError(
          .invalidArgument,
          "another process has the database open, and encrypts with its own key", at: path,
          remedy: "Leave the key out, and set DatabaseConfiguration.repositoryKey in that process.")
      }
      let printed = Output.printedBytes
      do { return try await body(.remote(owner)) } catch let error as VecDBError
        where hasGone(owner, error, repeats: repeats) && Output.printedBytes == printed
      { try await waiting.forTurn(error) }
    }
  }

  /// Waits until a process that is no short command has the database open and answers.
  static func waitForOwner(_ path: String) async throws {
    while true {
      do {
        if let owner = try remote(path), owner.hello.isBrief != true { return }
      } catch let error as VecDBError
        where [.inputOutput, .closed, .limitExceeded].contains(error.code)
      {
        // It came and went, or has no room for another connection.
      }
      try await Task.sleep(nanoseconds: 500_000_000)
    }
  }

  /// Whether a request failed only because its owner closes the database.
  static func hasGone(_ owner: RemoteDatabase, _ error: VecDBError, repeats: Bool = true) -> Bool {
    error.code == .closed || repeats && (owner.isLost || error.code == .cancelled)
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
