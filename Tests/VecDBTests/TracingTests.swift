import InMemoryTracing
import Testing
import Tracing
import VecDB

/// Every long operation gets a span, with OpenTelemetry's attributes, under the span of its caller.
@Suite struct TracingTests {
  private static func configuration(_ tracer: InMemoryTracer) -> DatabaseConfiguration {
    withTracer(tracer) {
      var configuration = DatabaseConfiguration()
      configuration.controlSocket = false
      configuration.logger.logLevel = .critical
      configuration.rebuildPolicy = .off
      configuration.rebuildsInBackground = false
      return configuration
    }
  }

  private static func records(_ count: Int) -> [VectorRecord] {
    var generator = SeededGenerator(seed: 17)
    return (0..<count).map { VectorRecord(key: "k\($0)", vector: generator.vector(8)) }
  }

  private static func text(_ span: FinishedInMemorySpan, _ name: String) -> String? {
    if case .string(let text) = span.attributes.get(name) { return text }
    return nil
  }

  private static func number(_ span: FinishedInMemorySpan, _ name: String) -> Int64? {
    switch span.attributes.get(name) {
    case .int32(let number): Int64(number)
    case .int64(let number): number
    default: nil
    }
  }

  private static func step(_ database: Database) async throws -> Bool {
    try await onThread { database.stepRebuilds() }
  }

  @Test func operationsHaveSpans() async throws {
    let directory = try TemporaryDirectory()
    let tracer = InMemoryTracer()
    var configuration = Self.configuration(tracer)
    configuration.slowSearch = .zero
    let path = directory.file("db")
    let database = try await Database.open(at: path, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    try await items.upsert(Self.records(2_000))
    _ = try items.search([Float](repeating: 0.5, count: 8), k: 5)
    try await database.checkpoint()
    _ = try await database.backup(
      to: directory.file("repository"), options: BackupOptions(isLowPriority: false))
    var options = RebuildOptions(m: 12)
    options.gate.minimumRecall = 0
    options.gate.latencyFactor = 1_000_000
    try await items.beginRebuild(options)
    while try items.rebuildStatus().stage != .grace { _ = try await Self.step(database) }
    try await database.close()
    _ = try await Database.restore(
      from: directory.file("repository"), to: directory.file("copy"), configuration: configuration)

    let spans = tracer.finishedSpans
    for name in [
      "open", "commit", "checkpoint", "backup", "rebuild items", "search items", "restore",
    ] {
      let span = try #require(spans.first { $0.operationName == name }, "\(name)")
      #expect(Self.text(span, "db.system.name") == "vecdb")
      #expect(
        Self.text(span, "db.operation.name") == name.split(separator: " ").first.map(String.init))
      #expect(span.errors.isEmpty && span.status == nil, "\(name): \(String(describing: span))")
    }
    #expect(tracer.activeSpans.isEmpty)
    let open = try #require(spans.first { $0.operationName == "open" })
    #expect(Self.text(open, "db.namespace")?.hasSuffix("/db") == true)
    #expect(Self.number(open, "vecdb.open.replayed_batches") == 0)
    let search = try #require(spans.first { $0.operationName == "search items" })
    #expect(Self.text(search, "db.collection.name") == "items")
    #expect(Self.number(search, "db.response.returned_rows") == 5)
    #expect(Self.number(search, "vecdb.search.k") == 5)
    let backup = try #require(spans.first { $0.operationName == "backup" })
    #expect((Self.number(backup, "vecdb.backup.new_bytes") ?? 0) > 0)
  }

  @Test func spansBelongToTheCaller() async throws {
    let directory = try TemporaryDirectory()
    let tracer = InMemoryTracer()
    var configuration = Self.configuration(tracer)
    configuration.slowSearch = .zero
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    tracer.clearAll()
    let parent = tracer.startSpan("request")
    try await InstrumentationContext.$current.withValue(parent.context) {
      try await items.upsert(Self.records(10))
      _ = try await items.nearest([Float](repeating: 0.5, count: 8), k: 3)
      try await database.checkpoint()
    }
    parent.end()
    for name in ["commit", "search items", "checkpoint"] {
      let span = try #require(tracer.finishedSpans.first { $0.operationName == name }, "\(name)")
      #expect(span.parentSpanID == parent.spanID, "\(name)")
    }
    try await database.close()
  }

  @Test func callersThatShareACommitAreLinked() async throws {
    let directory = try TemporaryDirectory()
    let tracer = InMemoryTracer()
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration(tracer))
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    tracer.clearAll()
    let all = Self.records(200)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for record in all {
        tasks.addTask {
          let request = tracer.startSpan("request")
          defer { request.end() }
          try await InstrumentationContext.$current.withValue(request.context) {
            _ = try await items.upsert(record)
          }
        }
      }
      try await tasks.waitForAll()
    }
    let commits = tracer.finishedSpans.filter { $0.operationName == "commit" }
    #expect(commits.count < 200, "no two callers shared a commit group")
    // Every request is the parent of a commit or linked to one, but for the links beyond the limit.
    let requests = Set(
      tracer.finishedSpans.filter { $0.operationName == "request" }.map(\.spanID))
    let known = Set(
      commits.flatMap { commit in
        [commit.parentSpanID].compactMap { $0 }
          + commit.links.compactMap { $0.context.inMemorySpanContext?.spanID }
      })
    #expect(known.isSubset(of: requests) && known.count >= min(200, commits.count + 100))
    #expect(commits.reduce(0) { $0 + (Self.number($1, "db.operation.batch.size") ?? 0) } == 200)
    try await database.close()
  }

  @Test func whatFailsSaysSoInItsSpan() async throws {
    let directory = try TemporaryDirectory()
    let tracer = InMemoryTracer()
    var configuration = Self.configuration(tracer)
    configuration.createIfMissing = false
    let wanted = configuration
    await expectError(.notFound) {
      _ = try await Database.open(at: directory.file("nothing"), configuration: wanted)
    }
    let span = try #require(tracer.finishedSpans.first)
    #expect(span.operationName == "open" && span.errors.count == 1)
    #expect(span.status?.code == .error)
    #expect(Self.text(span, "error.type") == "notFound")
  }

  @Test func fastSearchesHaveNone() async throws {
    let directory = try TemporaryDirectory()
    let tracer = InMemoryTracer()
    var configuration = Self.configuration(tracer)
    configuration.slowSearch = .seconds(60)
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    try await items.upsert(Self.records(100))
    for _ in 0..<10 { _ = try items.search([Float](repeating: 0.5, count: 8)) }
    #expect(!tracer.finishedSpans.contains { $0.operationName.hasPrefix("search") })
    try await database.close()
  }
}
