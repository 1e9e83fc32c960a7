import Foundation
import Logging
import Testing
import VecDB
import VecDBBytes

/// Opening and closing: off the threads of tasks, and within a scope.
@Suite struct OpeningTests {
  /// Remembers whether anything was logged by a task.
  private struct TaskDetector: LogHandler {
    let isOnTask: Guarded<[Bool]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let isTask = withUnsafeCurrentTask { $0 != nil }
      isOnTask.withLock { $0.append(isTask) }
    }
  }

  private static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    return configuration
  }

  @Test func openingRunsOnNoThreadOfTasks() async throws {
    let directory = try TemporaryDirectory()
    let seen = Guarded<[Bool]>([])
    var configuration = Self.configuration
    configuration.logger = Logger(label: "test") { _ in TaskDetector(isOnTask: seen) }
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let onTask = seen.withLock { $0 }
    #expect(onTask == [false], "logged by a task: \(onTask)")
    try await database.close()
  }

  @Test func aScopeClosesTheDatabase() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let kept = try await Database.withDatabase(at: path, configuration: Self.configuration) {
      try await $0.createCollection("items", dimensions: 2, metric: .l2)
    }
    await expectError(.closed) { _ = try kept.get("k") }
    let count = try await Database.withDatabase(at: path, configuration: Self.configuration) {
      try $0.collections().count
    }
    #expect(count == 1)
  }

  @Test func aScopeThatFailsClosesTheDatabase() async throws {
    struct Failure: Error {}
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let kept = Guarded<Database?>(nil)
    await #expect(throws: Failure.self) {
      try await Database.withDatabase(at: path, configuration: Self.configuration) { database in
        kept.withLock { $0 = database }
        throw Failure()
      }
    }
    await expectError(.closed) { _ = try kept.withLock({ $0 })?.collections() }
  }

  @Test func aScopeThatIsCancelledClosesTheDatabase() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let task = Task {
      try await Database.withDatabase(at: path, configuration: Self.configuration) { _ in
        try await Task.sleep(for: .seconds(3_600))
      }
    }
    while !FileManager.default.fileExists(atPath: path + "/log") {
      try await Task.sleep(for: .milliseconds(2))
    }
    task.cancel()
    _ = await task.result
    let database = try await Database.open(at: path, configuration: Self.configuration)
    try await database.close()
  }

  @Test func aCancelledTaskOpensNothing() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await Database.open(at: path, configuration: Self.configuration)
    }
    await expectError(.cancelled) { _ = try await task.value }
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}
