import Foundation
import InMemoryLogging
import Logging
import Metrics
import MetricsTestKit
import Testing
import VecDB

/// What a database logs and measures: through what the application gave it, in constant messages,
/// and once for a failure that repeats.
@Suite struct ReportingTests {
  private static func records(_ count: Int, from first: Int = 0) -> [VectorRecord] {
    (first..<first + count).map { VectorRecord(key: "k\($0)", vector: [Float($0), 1, 2, 3]) }
  }

  private static func logger(_ handler: InMemoryLogHandler, _ level: Logger.Level) -> Logger {
    var logger = Logger(label: "application") { _ in handler }
    logger.logLevel = level
    return logger
  }

  @Test func theCallersLoggerIsUsed() async throws {
    let directory = try TemporaryDirectory()
    let handler = InMemoryLogHandler()
    try await withLogger(Self.logger(handler, .debug)) { _ in
      let database = try await Database.open(at: directory.file("db"))
      try await database.createCollection("items", dimensions: 4, metric: .l2)
      try await database.close()
    }
    let messages = handler.entries.map { "\($0.message)" }
    #expect(messages.contains("opened the database") && messages.contains("wrote a checkpoint"))
    let opened = try #require(handler.entries.first { "\($0.message)" == "opened the database" })
    #expect(opened.level == .debug)
    #expect(opened.metadata["path"].map { "\($0)" }?.hasSuffix("/db") == true)
    #expect(opened.metadata["replayedBatches"] == "0")
  }

  @Test func ordinaryWorkIsSilent() async throws {
    let directory = try TemporaryDirectory()
    let handler = InMemoryLogHandler()
    var configuration = DatabaseConfiguration()
    configuration.logger = Self.logger(handler, .info)
    let path = directory.file("db")
    for turn in 0..<2 {
      let database = try await Database.open(at: path, configuration: configuration)
      let items =
        turn == 0
        ? try await database.createCollection("items", dimensions: 4, metric: .l2)
        : try database.collection("items")
      try await items.upsert(Self.records(300, from: turn * 300))
      _ = try items.search([1, 2, 3, 4])
      try await items.delete(["k1", "k2"])
      _ = try await database.backup(
        to: directory.file("repository"), options: BackupOptions(isLowPriority: false))
      try await database.close()
    }
    #expect(handler.entries.isEmpty, "\(handler.entries)")
  }

  @Test func aFailureThatRepeatsIsToldOnceAndThenCounted() async throws {
    let directory = try TemporaryDirectory()
    let handler = InMemoryLogHandler()
    let failure = RepeatedFailure("cannot do it", level: .warning)
    let logger = Self.logger(handler, .trace)
    for number in 1...120 {
      failure.note(VecDBError(.diskFull, "number \(number)"), logger, ["path": "here"])
    }
    failure.isOver(logger)
    failure.isOver(logger)
    failure.note(VecDBError(.diskFull, "again"), logger)
    let entries = handler.entries
    #expect(entries.map(\.level) == [.warning, .warning, .warning, .info, .warning])
    #expect(
      entries.map { "\($0.message)" } == [
        "cannot do it", "cannot do it", "cannot do it", "a failure is over", "cannot do it",
      ])
    #expect(entries.compactMap { $0.metadata["count"] } == ["1", "10", "100", "120", "1"])
    #expect(entries[1].metadata["error"] == "number 10" && entries[1].metadata["path"] == "here")
    _ = directory
  }

  @Test func anArchiveThatCannotBeReachedIsToldOnce() async throws {
    let directory = try TemporaryDirectory()
    let handler = InMemoryLogHandler()
    var configuration = DatabaseConfiguration()
    configuration.logger = Self.logger(handler, .info)
    // A file where the repository should be.
    let place = directory.file("repository")
    try Data("no".utf8).write(to: URL(fileURLWithPath: place))
    configuration.archive = ArchiveOptions(repository: place)
    configuration.archive?.intervalMilliseconds = 10
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    try await database.createCollection("items", dimensions: 4, metric: .l2)
    func told(_ message: String) -> [InMemoryLogHandler.Entry] {
      handler.entries.filter { "\($0.message)" == message }
    }
    while told("cannot archive the log").isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    try await Task.sleep(for: .milliseconds(200))
    // However often it was tried meanwhile.
    let counts = told("cannot archive the log").map { $0.metadata["count"] }
    #expect(counts == Array(["1", "10", "100", "1000"].prefix(counts.count)), "\(handler.entries)")
    try FileManager.default.removeItem(atPath: place)
    while told("a failure is over").isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    #expect(told("a failure is over")[0].metadata["failure"] == "cannot archive the log")
    try await database.close()
  }

  @Test func metricsGoToTheFactoryWithDimensionsAndUnits() async throws {
    let directory = try TemporaryDirectory()
    let metrics = TestMetrics()
    var configuration = DatabaseConfiguration()
    configuration.metricsFactory = metrics
    configuration.metricsDimensions = [("database", "photos")]
    configuration.controlSocket = false
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    try await items.upsert(Self.records(200))
    for _ in 0..<5 { _ = try items.search([1, 2, 3, 4], k: 3) }
    try await database.checkpoint()
    _ = try database.measureHealth(queries: 32)
    let all = [("database", "photos")]
    #expect(try metrics.expectCounter("vecdb_batches_total", all).totalValue == 2)
    #expect(try metrics.expectCounter("vecdb_checkpoints_total", all).totalValue >= 1)
    let searches = try metrics.expectTimer("vecdb_search_seconds", all)
    #expect(searches.values.count == 5)
    #expect(searches.displayUnit == .seconds)
    #expect(try metrics.expectTimer("vecdb_log_append_seconds", all).values.count == 2)
    let recall = try metrics.expectGauge(
      "vecdb_search_recall", all + [("collection", "items")])
    #expect((recall.lastValue ?? 0) > 0.9)
    try await database.close()
  }

  @Test func twoDatabasesOfAProcessAreToldApart() async throws {
    let directory = try TemporaryDirectory()
    let factories = [TestMetrics(), TestMetrics()]
    for (number, factory) in factories.enumerated() {
      try await withMetricsFactory(factory) {
        let database = try await Database.open(at: directory.file("db\(number)"))
        let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
        for turn in 0...number {
          try await items.upsert(Self.records(1, from: turn))
        }
        try await database.close()
      }
    }
    #expect(
      try factories.map { try $0.expectCounter("vecdb_batches_total").totalValue } == [2, 3])
  }
}
