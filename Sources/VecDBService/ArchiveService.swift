#if Service
  import ServiceLifecycle
  import VecDB

  /// Sends the log of a database to a repository every few seconds, as a service.
  ///
  /// ``DatabaseConfiguration/archive`` does the same without a service. Use this one for a second
  /// repository, or where the archive is to be started and stopped by itself. Name it after the
  /// database in a service group: it then ends before the database is closed.
  public final class ArchiveService: Service {
    private let database: @Sendable () async throws -> Database
    private let options: ArchiveOptions

    /// Archives the database of a service.
    public convenience init(_ service: DatabaseService, options: ArchiveOptions) {
      self.init(options: options) { try await service.database }
    }

    /// Archives a database that somebody else has opened and closes.
    public convenience init(_ database: Database, options: ArchiveOptions) {
      self.init(options: options) { database }
    }

    private init(
      options: ArchiveOptions, _ database: @escaping @Sendable () async throws -> Database
    ) {
      self.options = options
      self.database = database
    }

    /// Archives until a graceful shutdown or cancellation, and then once more what is new. A
    /// repository that has no room or cannot be reached for a while is tried again.
    ///
    /// - Throws: ``VecDBError``: what ``Database/archive(to:)`` throws and does not pass by itself.
    ///   Cancellation is no error.
    public func run() async throws {
      let database: Database
      do { database = try await self.database() } catch let error as VecDBError
        where error.code == .cancelled
      { return }
      let options = options
      do {
        _ = try await cancelWhenGracefulShutdown {
          try await database.archiveContinuously(
            to: options.repository, intervalMilliseconds: options.intervalMilliseconds,
            progress: nil)
        }
      } catch let error as VecDBError where error.code == .cancelled {
        // Told to stop before the first pass had ended.
      }
      try await database.archive(to: options.repository)
    }
  }
#endif
