#if Service
  import ServiceLifecycle
  import VecDB

  /// A database as a service: open while the service runs, and closed when it is told to stop.
  ///
  /// ```swift
  /// let photos = DatabaseService(at: "photos.vecdb")
  /// let group = ServiceGroup(
  ///   services: [photos, server], gracefulShutdownSignals: [.sigterm], logger: logger)
  /// try await group.run()
  /// ```
  ///
  /// A service group stops its services in the reverse order. So name the database before the
  /// services that use it: it is then closed after them, when the last of their writes is durable.
  public final class DatabaseService: Service {
    private let path: String
    private let configuration: DatabaseConfiguration
    private let opened = LaterValue<Database>()

    /// Opens nothing yet; `run` does.
    public init(at path: String, configuration: DatabaseConfiguration = DatabaseConfiguration()) {
      self.path = path
      self.configuration = configuration
    }

    /// The database; waits until the service has opened it.
    ///
    /// - Throws: ``VecDBError``: what opening throws; `closed` after the service has ended;
    ///   `cancelled` if the task that waits is cancelled.
    public var database: Database {
      get async throws { try await opened.value() }
    }

    /// Whether the database is open, for a probe of readiness. Does not wait.
    public var isOpen: Bool { opened.isThere }

    /// Opens the database, waits for a graceful shutdown or for cancellation, and closes the
    /// database, which waits for writes that are under way and writes a checkpoint.
    ///
    /// - Throws: ``VecDBError``: what opening and closing throw. Cancellation is no error.
    public func run() async throws {
      try opened.begin("the database service")
      let database: Database
      do {
        database = try await Database.open(at: path, configuration: configuration)
      } catch {
        opened.fail(error)
        throw error
      }
      opened.succeed(database)
      await StopSignal.wait()
      opened.fail(VecDBError(.closed, "the database service has ended", at: path))
      try await database.close()
    }
  }
#endif
