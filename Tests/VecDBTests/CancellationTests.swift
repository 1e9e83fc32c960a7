import Foundation
import Testing
import VecDB
import VecDBBytes

/// A task that is cancelled ends soon, with an error that says what is durable.
@Suite struct CancellationTests {
  private static func record(_ number: Int, dimensions: Int = 4) -> VectorRecord {
    VectorRecord(key: "k\(number)", vector: [Float](repeating: Float(number), count: dimensions))
  }

  private static func fill(_ database: Database, _ count: Int) async throws {
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    try await items.upsert((0..<count).map { record($0) })
  }

  /// Runs work whose progress cancels it, and says how it ended and how long that took.
  private static func cancelled(
    _ work: @escaping @Sendable (@escaping ProgressHandler) async throws -> Void
  ) async throws -> (VecDBError?, Duration) {
    let task = Guarded<Task<Void, any Error>?>(nil)
    let when = Guarded<ContinuousClock.Instant?>(nil)
    let made = Task {
      // Not before it can be cancelled.
      while task.withLock({ $0 }) == nil { try await Task.sleep(nanoseconds: 1_000_000) }
      try await work { _ in
        when.withLock { $0 = $0 ?? .now }
        task.withLock { $0?.cancel() }
      }
    }
    task.withLock { $0 = made }
    let error: VecDBError?
    do {
      try await made.value
      error = nil
    } catch let caught as VecDBError {
      error = caught
    }
    let began = when.withLock { $0 } ?? .now
    return (error, ContinuousClock.now - began)
  }

  @Test func anIngestionThatIsCancelledSaysSo() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    let (stream, source) = AsyncStream.makeStream(of: VectorRecord.self)
    let task = Task { try await items.upsert(stream, batchSize: 100) }
    for number in 0..<250 { source.yield(Self.record(number)) }
    while items.count < 200 { try await Task.sleep(nanoseconds: 1_000_000) }
    task.cancel()
    let error = await expectError(.cancelled) { _ = try await task.value }
    #expect(items.count == 200)
    #expect(
      error?.message.contains("200 records in 2 batches") == true, "\(String(describing: error))")
    try await database.close()
  }

  @Test func aCallOfManyBatchesIsCancelledBetweenThem() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 4_096, metric: .l2)
    let records = (0..<6_000).map { Self.record($0, dimensions: 4_096) }
    let task = Task { try await items.upsert(records) }
    while items.count == 0 { try await Task.sleep(nanoseconds: 1_000_000) }
    task.cancel()
    let error = await expectError(.cancelled) { _ = try await task.value }
    #expect(items.count > 0 && items.count < 6_000)
    #expect(error?.message.contains("\(items.count) records") == true)
    // One that is cancelled before it begins writes nothing.
    let late = Task { () -> UpsertResult in
      while !Task.isCancelled { await Task.yield() }
      return try await items.upsert(Self.record(9_999, dimensions: 4_096))
    }
    late.cancel()
    await expectError(.cancelled) { _ = try await late.value }
    #expect(try items.get("k9999") == nil)
    try await database.close()
  }

  @Test func restoresAndChecksEndSoon() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let database = try await Database.open(at: directory.file("db"))
    try await Self.fill(database, 20_000)
    _ = try await database.backup(to: repository)
    try await database.collection("items").upsert((0..<5_000).map { Self.record($0 + 100_000) })
    _ = try await database.archive(to: repository)
    let copy = directory.file("copy")
    let works: [(String, @Sendable (@escaping ProgressHandler) async throws -> Void)] = [
      (
        "restore",
        {
          _ = try await Database.restore(
            from: repository, to: copy, options: RestoreOptions(), progress: $0)
        }
      ),
      ("verify", { _ = try await Database.verify(repository: repository, progress: $0) }),
      ("check", { _ = try await database.check(progress: $0) }),
    ]
    for (what, work) in works {
      let (error, taken) = try await Self.cancelled(work)
      #expect(error?.code == .cancelled, "\(what): \(String(describing: error))")
      #expect(taken < .seconds(3), "\(what): \(taken)")
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
    #expect(left == ["db", "repository"])
    #expect(try await database.check().problems == [])
    try await database.close()
  }
}
