import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedBucket

/// What repositories in a bucket cost, and what happens where the store misbehaves.
@Suite struct BucketRequestTests {
  private static func settings(_ change: (inout BucketHandle.Settings) -> Void = { _ in })
    -> BucketHandle.Settings
  {
    var settings = BucketHandle.Settings()
    change(&settings)
    return settings
  }

  private static func fill(_ database: Database, _ count: Int, seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    let known = try? database.collection("items")
    let items: VectorCollection
    if let known {
      items = known
    } else {
      items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    }
    for _ in 0..<max(1, count / 1_000) {
      let records = (0..<100).map { _ in
        VectorRecord(
          key: "\(UInt64.random(in: 0...UInt64.max, using: &generator))",
          vector: generator.vector(8))
      }
      try await items.upsert(records)
    }
  }

  /// n blocks: at most n puts and n/1,000 lists and 10 requests; nothing new: at most one list for each
  /// 1,000 objects and 3 requests.
  @Test func backupsMakeFewRequests() async throws {
    let directory = try TemporaryDirectory()
    let bucket = SimulatedBuckets.make("requests")
    bucket.change { $0.pageObjects = 10 }
    let database = try await Database.open(at: directory.file("db"))
    try await Self.fill(database, 3_000, seed: 1)
    try await database.checkpoint()
    let first = try await database.backup(to: "sim://requests")
    let made = bucket.requests
    let logPieces = bucket.objects.keys.count { $0.hasPrefix("log/") }
    #expect(
      made.puts + made.gets + made.deletes + made.lists
        <= first.blocks + logPieces + first.blocks / 10 + 10)
    #expect(made.gets == 0 && first.blocks > 10)
    #expect(first.requests?.puts == made.puts && first.requests?.bytesSent == made.bytesSent)

    bucket.resetRequests()
    let second = try await database.backup(to: "sim://requests")
    #expect(second.lsn == first.lsn && second.newBlocks == 0)
    let objects = bucket.objects.count
    let then = bucket.requests
    #expect(then.puts == 0 && then.deletes == 0)
    #expect(then.lists <= (objects + 9) / 10)
    #expect(then.gets <= 3)

    // And a few changes send a few objects.
    bucket.resetRequests()
    try await database.collection("items").upsert(
      VectorRecord(key: "new", vector: [Float](repeating: 0.5, count: 8)))
    let third = try await database.backup(to: "sim://requests")
    #expect(bucket.requests.puts <= third.newBlocks + 4)
    try await database.close()
    SimulatedBuckets.remove("requests")
  }

  @Test func aPassOfTheArchiverMakesFewRequests() async throws {
    let directory = try TemporaryDirectory()
    let bucket = SimulatedBuckets.make("archive")
    var configuration = DatabaseConfiguration()
    var archive = ArchiveOptions(repository: "sim://archive")
    archive.intervalMilliseconds = 10_000_000
    configuration.archive = archive
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    try await Self.fill(database, 1_000, seed: 2)
    _ = try await database.backup(to: "sim://archive")
    bucket.resetRequests()
    try await database.close()
    SimulatedBuckets.remove("archive")
    // Closing archives what is left: here nothing.
    #expect(bucket.requests.puts <= 2)
  }

  /// The first answers to creates are lost: the client asks again and is told that the object is there.
  @Test func lostRepliesDoNoHarm() async throws {
    let directory = try TemporaryDirectory()
    let calls = Guarded(0)
    SimulatedBuckets.make(
      "lost",
      Self.settings {
        $0.losesReply = {
          calls.withLock { calls in
            calls += 1
            return calls % 3 == 0
          }
        }
      })
    let database = try await Database.open(at: directory.file("db"))
    try await Self.fill(database, 2_000, seed: 3)
    let backup = try await database.backup(to: "sim://lost")
    try await Self.fill(database, 1_000, seed: 4)
    let later = try await database.backup(to: "sim://lost")
    #expect(later.lsn > backup.lsn)
    let digest = try database.stats().dataDigest
    try await database.close()
    let restored = try await Database.restore(from: "sim://lost", to: directory.file("copy"))
    #expect(restored.dataDigest == digest && restored.requests?.puts == 0)
    #expect(try await Database.verify(repository: "sim://lost").problems == [])
    SimulatedBuckets.remove("lost")
  }

  @Test func aStoreThatIgnoresConditionsIsRefused() async throws {
    let directory = try TemporaryDirectory()
    let bucket = SimulatedBuckets.make("ignores")
    bucket.change { $0.ignoresConditions = true }
    let database = try await Database.open(at: directory.file("db"))
    try await Self.fill(database, 1_000, seed: 5)
    let error = await expectError(.invalidArgument) {
      _ = try await database.backup(to: "sim://ignores")
    }
    #expect(error?.message.contains("If-None-Match") == true)
    #expect(bucket.objects.isEmpty)

    // Also where the repository was made before.
    bucket.change { $0.ignoresConditions = false }
    _ = try await database.backup(to: "sim://ignores")
    let before = bucket.objects
    bucket.change { $0.ignoresConditions = true }
    try await Self.fill(database, 1_000, seed: 6)
    await expectError(.invalidArgument) { _ = try await database.backup(to: "sim://ignores") }
    #expect(bucket.objects.mapValues(\.bytes) == before.mapValues(\.bytes))
    try await database.close()
    SimulatedBuckets.remove("ignores")
  }

  /// What a lock keeps is told of, and is still a restore point that restores.
  @Test func lockedObjectsAreRetained() async throws {
    let directory = try TemporaryDirectory()
    let bucket = SimulatedBuckets.make("locked")
    let database = try await Database.open(at: directory.file("db"))
    for round in 0..<4 {
      try await Self.fill(database, 1_000, seed: 10 + UInt64(round))
      _ = try await database.backup(to: "sim://locked")
    }
    try await database.close()
    bucket.change {
      $0.lockedPrefixes = ["manifests/", "log/"]
    }
    var policy = RetentionPolicy()
    policy.keepLast = 1
    let now = MachineClock.nowMilliseconds()
    for round in 0..<3 {
      let report = try await Database.prune(
        repository: "sim://locked", keeping: policy, graceSeconds: 3_600, dryRun: false,
        force: false, nowMilliseconds: now + Int64(round) * 8_000_000)
      #expect(report.retainedObjects > 0 && report.blocksDeleted == 0)
    }
    let points = try Database.backups(in: "sim://locked")
    #expect(points.count == 4)
    for point in points {
      _ = try await Database.restore(
        from: "sim://locked", to: directory.file("copy \(point.lsn)"), target: .lsn(point.lsn))
    }
    // When the lock is over, all of it goes.
    bucket.change { $0.lockedPrefixes = [] }
    for round in 4..<7 {
      let report = try await Database.prune(
        repository: "sim://locked", keeping: policy, graceSeconds: 3_600, dryRun: false,
        force: false, nowMilliseconds: now + Int64(round) * 8_000_000)
      #expect(report.retainedObjects == 0)
    }
    #expect(try Database.backups(in: "sim://locked").count == 1)
    #expect(try await Database.verify(repository: "sim://locked").problems == [])
    SimulatedBuckets.remove("locked")
  }

  /// Names that are not ours, with dots too, are left alone and change nothing.
  @Test func namesOfOthersAreLeftAlone() async throws {
    let directory = try TemporaryDirectory()
    let bucket = SimulatedBuckets.make("others")
    let database = try await Database.open(at: directory.file("db"))
    try await Self.fill(database, 1_000, seed: 20)
    _ = try await database.backup(to: "sim://others")
    try await database.close()
    let strange = [
      "../outside", "blocks/../repository", "blocks/", "manifests/x/y", "log/..", "epochs/seven",
      "blocks/\(String(repeating: "a", count: 63))", "keys.x", "./.", "é", "manifests/1/2/3/4",
      "log/00000000000000000001/00000000000000000009-00000000000000000001",
    ]
    for name in strange { bucket.set(name, [1, 2, 3], at: 5) }
    var policy = RetentionPolicy()
    policy.keepLast = 1
    _ = try await Database.prune(repository: "sim://others", keeping: policy)
    #expect(try await Database.verify(repository: "sim://others").problems == [])
    _ = try await Database.restore(from: "sim://others", to: directory.file("copy"))
    for name in strange { #expect(bucket.objects[name] != nil, "\(name)") }
    SimulatedBuckets.remove("others")
  }
}
