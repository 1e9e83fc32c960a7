#if Service
  import Foundation
  import Logging
  import ServiceLifecycle
  import ServiceLifecycleTestKit
  import Testing
  import VecDB
  import VecDBReplication
  import VecDBService

  /// Databases, nodes and archives end with their services, and lose nothing then.
  @Suite struct ServiceTests {
    private static func inDirectory(_ body: (String) async throws -> Void) async throws {
      let path = NSTemporaryDirectory() + "vecdb-service-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: path) }
      try await body(path)
    }

    private static var configuration: DatabaseConfiguration {
      var configuration = DatabaseConfiguration()
      configuration.controlSocket = false
      configuration.logger.logLevel = .critical
      return configuration
    }

    private static func write(_ count: Int, to database: Database) async throws {
      let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
      try await items.upsert(
        (0..<count).map { VectorRecord(key: "k\($0)", vector: [Float($0), 1]) })
    }

    private static func count(_ path: String) async throws -> Int {
      let database = try await Database.open(at: path, configuration: configuration)
      let count = try database.collection("items").count
      try await database.close()
      return count
    }

    @Test func aGracefulShutdownClosesTheDatabase() async throws {
      try await Self.inDirectory { path in
        let service = DatabaseService(at: path + "/db", configuration: Self.configuration)
        try await testGracefulShutdown { trigger in
          try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await service.run() }
            let database = try await service.database
            try await Self.write(50, to: database)
            trigger.triggerGracefulShutdown()
            try await tasks.waitForAll()
            #expect(throws: VecDBError.self) { try database.collections() }
          }
        }
        do {
          _ = try await service.database
          Issue.record("a service that has ended gives its database")
        } catch let error as VecDBError { #expect(error.code == .closed) }
        #expect(try await Self.count(path + "/db") == 50)
      }
    }

    @Test func cancellationClosesTheDatabaseToo() async throws {
      try await Self.inDirectory { path in
        let service = DatabaseService(at: path + "/db", configuration: Self.configuration)
        let running = Task { try await service.run() }
        try await Self.write(20, to: try await service.database)
        running.cancel()
        try await running.value
        #expect(try await Self.count(path + "/db") == 20)
      }
    }

    @Test func whoWaitsLearnsThatOpeningFailed() async throws {
      try await Self.inDirectory { path in
        var configuration = Self.configuration
        configuration.createIfMissing = false
        let service = DatabaseService(at: path + "/nothing", configuration: configuration)
        async let waiting = service.database
        do {
          try await service.run()
          Issue.record("a database was opened that is not there")
        } catch let error as VecDBError { #expect(error.code == .notFound) }
        do {
          _ = try await waiting
          Issue.record("a database was opened that is not there")
        } catch let error as VecDBError { #expect(error.code == .notFound) }
      }
    }

    @Test func waitingCanBeCancelledAndRunsAreOnce() async throws {
      try await Self.inDirectory { path in
        let service = DatabaseService(at: path + "/db", configuration: Self.configuration)
        let waiting = Task { try await service.database }
        waiting.cancel()
        do {
          _ = try await waiting.value
          Issue.record("there is no database yet")
        } catch let error as VecDBError { #expect(error.code == .cancelled) }
        let running = Task { try await service.run() }
        _ = try await service.database
        do {
          try await service.run()
          Issue.record("a service ran twice at a time")
        } catch let error as VecDBError { #expect(error.code == .invalidArgument) }
        running.cancel()
        try await running.value
      }
    }

    @Test func aGroupEndsArchiveBeforeDatabase() async throws {
      try await Self.inDirectory { path in
        let service = DatabaseService(at: path + "/db", configuration: Self.configuration)
        let archive = ArchiveService(
          service,
          options: ArchiveOptions(repository: path + "/repository", interval: .seconds(3_600))
        )
        var logger = Logger(label: "services")
        logger.logLevel = .critical
        let group = ServiceGroup(services: [service, archive], logger: logger)
        let running = Task { try await group.run() }
        let database = try await service.database
        _ = try await database.backup(to: path + "/repository")
        // In the log alone, and the next pass of the archive is an hour away.
        try await Self.write(30, to: database)
        let lsn = database.lsn
        await group.triggerGracefulShutdown()
        try await running.value
        let points = try Database.backups(in: path + "/repository")
        #expect(points.last?.replayableThroughLSN == lsn)
      }
    }

    @Test func aNodeServesWhileItsServiceRuns() async throws {
      try await Self.inDirectory { path in
        let database = try await Database.open(
          at: path + "/db", configuration: Self.configuration)
        try await database.close()
        var options = ReplicationOptions(
          name: "a", listen: NodeAddress(host: "127.0.0.1", port: 0), security: .insecureLoopback)
        options.logger.logLevel = .critical
        let service = ReplicationService(
          at: path + "/db", options: options, configuration: Self.configuration)
        let running = Task { try await service.run() }
        let node = try await service.node
        #expect(node.role == .primary && (node.listeningPort ?? 0) > 0)
        try await Self.write(10, to: try node.database)
        running.cancel()
        try await running.value
        #expect(try await Self.count(path + "/db") == 10)
      }
    }
  }
#endif
