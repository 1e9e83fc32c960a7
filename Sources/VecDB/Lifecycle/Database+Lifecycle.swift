import Logging
import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Opening and closing: what a database consists of, and what works beside it.
extension Database {
  /// Opens the database at `path`, and creates it if there is none (see
  /// ``DatabaseConfiguration/createIfMissing``).
  ///
  /// Opening maps the newest checkpoint, which does not depend on the number of records, and
  /// replays the log behind it; after ``close()`` there is nothing to replay. That happens on a thread
  /// of its own, so that it delays no other task.
  ///
  /// A command that has the database for a moment, such as `vecdb stats`, is waited for.
  ///
  /// - Throws: ``VecDBError`` `locked`, naming the process that has it open; `corrupt`, naming the
  ///   file, with all files left as they were; `notFound`; `unknownVersion`; `inputOutput`;
  ///   `cancelled`, if the task was cancelled before the opening began or while it waited.
  public static func open(
    at path: String, configuration: DatabaseConfiguration = DatabaseConfiguration()
  ) async throws -> Database {
    let giveUp = ContinuousClock.now + BriefOwners.patience
    let tracing = DatabaseTracing(configuration, path: path)
    return try await VecDBError.translating {
      while true {
        try Task.checkCancellation()
        do {
          return try await onOwnThread(
            tracing.carrying { try openNow(at: path, configuration: configuration) })
        } catch let error as VecDBError
          where error.code == .locked && BriefOwners.holds(error.message)
          && ContinuousClock.now < giveUp
        { try await Task.sleep(nanoseconds: BriefOwners.pauseNanoseconds) }
      }
    }
  }

  /// Opens the database at `path`, runs `body` with it, and closes it, whether `body` returns, throws
  /// or is cancelled.
  ///
  /// ```swift
  /// let count = try await Database.withDatabase(at: "photos.vecdb") { database in
  ///   try database.collection("photos").count
  /// }
  /// ```
  ///
  /// - Returns: what `body` returns.
  /// - Throws: what ``open(at:configuration:)`` throws; what `body` throws; otherwise what ``close()``
  ///   throws.
  public static func withDatabase<Value>(
    at path: String, configuration: DatabaseConfiguration = DatabaseConfiguration(),
    isolation: isolated (any Actor)? = #isolation, _ body: (Database) async throws -> Value
  ) async throws -> Value {
    let database = try await open(at: path, configuration: configuration)
    let value: Value
    do { value = try await body(database) } catch {
      // Of two errors the caller gets that of the body.
      do { try await database.close() } catch let closing {
        configuration.logger.warning(
          "cannot close the database", metadata: ["path": "\(path)", "error": "\(closing)"])
      }
      throw error
    }
    try await database.close()
    return value
  }

  /// As ``open(at:configuration:)``, without waiting.
  package static func openNow(at path: String, configuration: DatabaseConfiguration) throws
    -> Database
  {
    try open(at: path, fileSystem: PosixFileSystem(), configuration: configuration)
  }

  /// As ``open(at:configuration:)``, on any file system.
  package static func open(
    at path: String, fileSystem: any FileSystem, configuration: DatabaseConfiguration
  ) throws -> Database {
    try VecDBError.translating {
      guard !path.isEmpty else {
        throw VecDBError(.invalidArgument, "the path is empty", remedy: "Name a directory.")
      }
      let trimmed = try DatabasePlace.resolve(path, fileSystem)
      let database = Database(
        engine: try OpenDatabases.afterThoseThatEnd(trimmed) {
          try Opening.open(trimmed, fileSystem: fileSystem, configuration: configuration)
        })
      database.discardAbandoned()
      database.startControl()
      database.rebuilds.wake()
      database.rebuilds.startAdvice()
      database.startScrub()
      if configuration.removesExpired, fileSystem is PosixFileSystem { database.startExpiry() }
      database.startArchiving()
      return database
    }
  }

  /// Waits for writes that are under way, writes a checkpoint (see
  /// ``DatabaseConfiguration/checkpointOnClose``), and closes the files. Further calls throw `closed`;
  /// closing twice is fine.
  public func close() async throws {
    try await VecDBError.translating {
      guard !closing.exchange(true, ordering: .acquiringAndReleasing) else { return }
      try await endWork()
      let failure = Guarded<VecDBError?>(nil)
      await writer.close { engine in
        do {
          engine.awaitCheckpoint()
          if engine.poison == nil, engine.configuration.checkpointOnClose {
            engine.maintainer.finish(engine, within: engine.configuration.maintenanceOnClose)
            _ = try engine.checkpointNow()
          }
        } catch {
          failure.withLock { $0 = VecDBError(wrapping: error) }
        }
        engine.shutDown()
      }
      if let failure = failure.withLock({ $0 }) { throw failure }
    }
  }

  /// Ends everything but searches, for a copy whose place another one is about to take: nothing in
  /// its directory changes any more. `closeNow` ends the searches as well.
  package func endWork() async throws {
    guard !isEnding.exchange(true, ordering: .acquiringAndReleasing) else { return }
    await companions.remove(ControlServer.self)?.stop()
    await rebuilds.stop()
    companions.remove(Expirer.self)?.abandon()
    let scrubber = companions.remove(Scrubber.self)
    try await onBackground { scrubber?.stop() }
    // The writer is idle when the last pass runs, so that it has everything.
    await writer.close { _ in }
    try await endArchiving()
  }

  /// Closes the files after `endWork`, without a checkpoint. Blocks for a moment.
  package func closeNow() {
    guard !closing.exchange(true, ordering: .acquiringAndReleasing) else { return }
    writer.closeNow { engine in
      engine.awaitCheckpoint()
      engine.shutDown()
    }
  }
}
