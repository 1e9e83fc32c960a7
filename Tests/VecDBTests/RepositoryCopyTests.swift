import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedBucket

/// Copies between repositories: complete, proven, and as good when they are broken off.
@Suite struct RepositoryCopyTests {
  /// A repository in a directory with some restore points, and the digest of each.
  private static func make(_ directory: TemporaryDirectory) async throws -> [UInt64: String] {
    var generator = SeededGenerator(seed: 31)
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    var digests: [UInt64: String] = [:]
    for round in 0..<4 {
      try await items.upsert(
        (0..<80).map { VectorRecord(key: "\(round)-\($0)", vector: generator.vector(8)) })
      digests[database.lsn] = try database.stats().dataDigest
      let report = try await database.backup(to: directory.file("source"))
      digests[report.lsn] = try database.stats().dataDigest
    }
    try await database.close()
    return digests
  }

  @Test func everythingArrives() async throws {
    let directory = try TemporaryDirectory()
    let digests = try await Self.make(directory)
    let bucket = SimulatedBuckets.make("copy")
    let first = try await Database.copyRepository(
      from: directory.file("source"), to: "sim://copy")
    #expect(first.copiedRestorePoints == 4 && first.restorePoints == 4 && first.logPieces > 0)
    #expect(try await Database.verify(repository: "sim://copy").problems == [])
    let before = bucket.objects
    let second = try await Database.copyRepository(
      from: directory.file("source"), to: "sim://copy")
    #expect(second.copiedRestorePoints == 0 && second.newBytes == 0)
    #expect(bucket.objects == before)
    // And back, to another place.
    _ = try await Database.copyRepository(from: "sim://copy", to: directory.file("back"))
    for (lsn, digest) in digests {
      for repository in ["sim://copy", directory.file("back")] {
        let place = directory.file("copy \(lsn) \(repository.hasPrefix("sim"))")
        let restored = try await Database.restore(from: repository, to: place, target: .lsn(lsn))
        #expect(restored.dataDigest == digest)
      }
    }
    let points = try Database.backups(in: directory.file("source"))
    #expect(try Database.backups(in: "sim://copy").map(\.lsn) == points.map(\.lsn))
    SimulatedBuckets.remove("copy")
  }

  /// Broken off after any number of requests it leaves a valid repository, and the next one goes on.
  @Test(arguments: [3, 9, 14, 20, 33, 50]) func brokenOffAndTakenUp(after requests: Int)
    async throws
  {
    let directory = try TemporaryDirectory()
    let digests = try await Self.make(directory)
    let name = "broken-\(requests)"
    let left = Guarded(requests)
    var settings = BucketHandle.Settings()
    settings.before = {
      let isOver = left.withLock { left in
        left -= 1
        return left < 0
      }
      if isOver { throw StoreError(.inputOutput, "the line broke") }
    }
    SimulatedBuckets.make(name, settings)
    do {
      _ = try await Database.copyRepository(from: directory.file("source"), to: "sim://\(name)")
    } catch let error as VecDBError { #expect(error.code == .inputOutput) }
    left.withLock { $0 = .max }
    _ = try await Database.copyRepository(from: directory.file("source"), to: "sim://\(name)")
    #expect(try await Database.verify(repository: "sim://\(name)").problems == [])
    let newest = try #require(digests.keys.max())
    let restored = try await Database.restore(
      from: "sim://\(name)", to: directory.file("copy"))
    #expect(restored.dataDigest == digests[newest])
    SimulatedBuckets.remove(name)
  }

  @Test func damageIsNotCopied() async throws {
    let directory = try TemporaryDirectory()
    _ = try await Self.make(directory)
    let blocks = directory.file("source/blocks")
    for name in try FileManager.default.contentsOfDirectory(atPath: blocks) {
      let file = URL(fileURLWithPath: blocks + "/" + name)
      var data = try Data(contentsOf: file)
      data[data.count / 2] ^= 1
      try data.write(to: file)
    }
    SimulatedBuckets.make("damage")
    await expectError(.corrupt) {
      _ = try await Database.copyRepository(from: directory.file("source"), to: "sim://damage")
    }
    #expect(try Database.backups(in: "sim://damage").isEmpty)
    SimulatedBuckets.remove("damage")
  }

  /// A database that was set back writes the same LSNs of the same epoch to another repository.
  @Test func anotherHistoryOfTheSameNamesIsRefused() async throws {
    let site = try await BranchTests.Site(seed: 9)
    try await site.write(2)
    try await site.snapshot("snapshot")
    try await site.write(3)
    let first = site.directory.file("first")
    let second = site.directory.file("second")
    let third = site.directory.file("third")
    _ = try await site.database.archive(to: first)
    _ = try await site.database.backup(to: first)
    try await site.setBack(to: "snapshot")
    try await site.write(4)
    _ = try await site.database.backup(to: second)
    _ = try await site.database.archive(to: third)
    let before = try Database.backups(in: second).map(\.lsn)
    for target in [second, third] {
      await expectError(.alreadyExists) {
        _ = try await Database.copyRepository(from: first, to: target)
      }
    }
    #expect(try Database.backups(in: second).map(\.lsn) == before)
    #expect(try await Database.verify(repository: second).problems == [])
    // One history at two LSNs is no obstacle.
    let fourth = site.directory.file("fourth")
    _ = try await Database.copyRepository(from: second, to: fourth)
    try await site.write(1)
    _ = try await site.database.backup(to: second)
    #expect(
      try await Database.copyRepository(from: second, to: fourth).copiedRestorePoints == 1)
    try await site.database.close()
  }

  @Test func whatTheTargetPrunedDoesNotComeBack() async throws {
    let directory = try TemporaryDirectory()
    _ = try await Self.make(directory)
    let (source, target) = (directory.file("source"), directory.file("target"))
    _ = try await Database.copyRepository(from: source, to: target)
    _ = try await Database.prune(repository: target, keeping: RetentionPolicy(keepLast: 1))
    let kept = try Database.backups(in: target).map(\.lsn)
    #expect(kept.count == 1)
    let again = try await Database.copyRepository(from: source, to: target)
    #expect(again.copiedRestorePoints == 0 && again.newBytes == 0)
    #expect(try Database.backups(in: target).map(\.lsn) == kept)
  }

  @Test func refusals() async throws {
    let directory = try TemporaryDirectory()
    _ = try await Self.make(directory)
    await expectError(.invalidArgument) {
      _ = try await Database.copyRepository(
        from: directory.file("source"), to: directory.file("source"))
    }
    let other = try await Database.open(at: directory.file("other"))
    _ = try await other.backup(to: directory.file("others"))
    try await other.close()
    await expectError(.invalidArgument) {
      _ = try await Database.copyRepository(
        from: directory.file("source"), to: directory.file("others"))
    }
    await expectError(.notFound) {
      _ = try await Database.copyRepository(from: directory.file("none"), to: directory.file("x"))
    }
    await expectError(.invalidArgument) {
      _ = try await Database.copyRepository(from: directory.file("source"), to: "ftp://x/y")
    }
  }
}
