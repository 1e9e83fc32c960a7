import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBFiles

/// Pruning a repository: what the policy keeps restores, and nothing else stays.
@Suite(.inEveryKindOfRepository) struct RetentionTests {
  private static let day: Int64 = 86_400_000

  /// A repository of churned backups with some marks, and the data digest at each LSN that matters.
  private struct Fixture {
    let directory: TemporaryDirectory
    var repository: String { directory.file("repo") }
    var digests: [UInt64: String] = [:]
    var marks: [MarkInfo] = []

    init(seed: UInt64, rounds: Int) async throws {
      directory = try TemporaryDirectory()
      var generator = SeededGenerator(seed: seed)
      let database = try await Database.open(at: directory.file("db"))
      let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
      for round in 0..<rounds {
        for _ in 0..<3 {
          try await items.upsert(
            (0..<60).map { _ in
              VectorRecord(
                key: "\(Int.random(in: 0..<300, using: &generator))",
                vector: generator.vector(8))
            })
          try await items.delete(["\(Int.random(in: 0..<300, using: &generator))"])
          digests[database.lsn] = try database.stats().dataDigest
        }
        if round % 3 == 1 {
          marks.append(try await database.mark("mark \(round)"))
          digests[database.lsn] = try database.stats().dataDigest
          try await items.upsert(VectorRecord(key: "after \(round)", vector: generator.vector(8)))
        }
        let report = try await database.backup(to: repository)
        digests[report.lsn] = try database.stats().dataDigest
      }
      try await database.close()
    }

    func prune(
      _ policy: RetentionPolicy, at now: Int64, dryRun: Bool = false, force: Bool = false
    ) async throws -> PruneReport {
      try await Database.prune(
        repository: repository, keeping: policy, graceSeconds: 3_600, dryRun: dryRun,
        force: force, nowMilliseconds: now)
    }

    /// Everything that the report promises restores to the digest that it had.
    func proveKept(_ report: PruneReport, _ name: String) async throws {
      let wanted =
        report.restorePoints.filter { !$0.keptFor.isEmpty }.map(\.lsn) + report.marks.map(\.lsn)
      for lsn in wanted {
        let path = directory.file("copy \(name) \(lsn)")
        let restored = try await Database.restore(
          from: repository, to: path, target: .lsn(lsn), verification: .quick)
        #expect(restored.lsn == lsn && restored.dataDigest == digests[lsn], "LSN \(lsn)")
      }
      let verified = try await Database.verify(repository: repository)
      #expect(verified.problems == [])
      #expect(
        verified.restorePoints == report.restorePoints.count { !$0.keptFor.isEmpty })
    }

    /// Blocks in the repository that no restore point names.
    func unusedBlocks() throws -> Int {
      try RepositoryVerifier(
        try StoredRepository.open(repository, fileSystem: PosixFileSystem())
      ).verify().unusedBlocks
    }
  }

  @Test func whatIsPromisedStaysAndNothingElse() async throws {
    let fixture = try await Fixture(seed: 11, rounds: 8)
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    var policy = RetentionPolicy()
    policy.keepLast = 2
    let before = try Database.backups(in: fixture.repository)
    let dry = try await fixture.prune(policy, at: now, dryRun: true)
    #expect(try Database.backups(in: fixture.repository) == before)
    let first = try await fixture.prune(policy, at: now)
    #expect(first.restorePoints == dry.restorePoints)
    #expect(first.logPiecesRemoved == dry.logPiecesRemoved)
    #expect(first.marks == fixture.marks && first.droppedMarks.isEmpty)
    #expect(first.restorePoints.suffix(2).allSatisfy { $0.keptFor.contains("last") })
    #expect(first.restorePoints.contains { $0.keptFor.isEmpty })
    #expect(first.blocksCondemned > 0 && first.blocksDeleted == 0)
    #expect(try fixture.unusedBlocks() == first.blocksWaiting)
    try await fixture.proveKept(first, "first")

    // Not yet.
    let early = try await fixture.prune(policy, at: now + 3_599_000)
    #expect(early.blocksDeleted == 0 && early.blocksCondemned == 0)
    let late = try await fixture.prune(policy, at: now + 3_600_000)
    #expect(late.blocksDeleted == first.blocksCondemned && late.blocksWaiting == 0)
    #expect(try fixture.unusedBlocks() == 0)
    try await fixture.proveKept(late, "late")

    // Marks go only by force.
    let forced = try await fixture.prune(policy, at: now, force: true)
    #expect(!forced.droppedMarks.isEmpty)
    #expect(forced.restorePoints.count { !$0.keptFor.isEmpty } == 2)
    try await fixture.proveKept(forced, "forced")
    #expect(Set(try Database.marks(in: fixture.repository)) == Set(forced.marks))
  }

  @Test func aBackupSavesWhatIsCondemned() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repo")
    var generator = SeededGenerator(seed: 12)
    let records = (0..<200).map { VectorRecord(key: "\($0)", vector: generator.vector(8)) }
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    try await items.upsert(records)
    _ = try await database.backup(to: repository)
    // All blocks of the restore point are condemned by hand, as a prune that is wrong about the
    // future would: the next backup needs most of them.
    let source = try StoredRepository.open(repository, fileSystem: PosixFileSystem())
    try source.replaceCondemnedBlocks(
      with: try source.blocks().map {
        CondemnedBlock(
          hash: $0, condemnedMilliseconds: 0,
          modifiedMilliseconds: try source.blockInfo($0)?.modifiedMilliseconds ?? 0)
      })
    let newest = try #require(try source.newestManifest())
    try source.notePruned(Publications(points: [newest], log: []))
    try source.deleteManifest(newest)
    try await Task.sleep(nanoseconds: 20_000_000)
    try await items.upsert(VectorRecord(key: "new", vector: generator.vector(8)))
    let backup = try await database.backup(to: repository)
    var policy = RetentionPolicy()
    policy.keepLast = 1
    let report = try await Database.prune(repository: repository, keeping: policy)
    #expect(report.blocksDeleted > 0)
    let verified = try await Database.verify(repository: repository)
    #expect(verified.problems == [] && verified.restorePoints == 1)
    let restored = try await Database.restore(from: repository, to: directory.file("copy"))
    #expect(restored.lsn == backup.lsn)
    try await database.close()
  }

  @Test func refusals() async throws {
    let fixture = try await Fixture(seed: 13, rounds: 3)
    var policy = RetentionPolicy()
    await expectError(.invalidArgument) { _ = try await fixture.prune(policy, at: 0) }
    policy.keepLast = 1
    await expectError(.invalidArgument) {
      _ = try await Database.prune(
        repository: fixture.repository, keeping: policy, grace: .seconds(60))
    }
    let source = try StoredRepository.open(fixture.repository, fileSystem: PosixFileSystem())
    let lock = try source.lockForPruning(owner: "a test")
    await expectError(.locked) { _ = try await fixture.prune(policy, at: 0) }
    lock.unlock()
    // A list that cannot be read: nobody knows what is needed, so nothing is removed.
    let newest = try source.getManifest(try #require(try source.newestManifest()))
    let list = try #require(newest.namedArrays.first).array.list
    try source.deleteBlock(list)
    let before = try source.manifests()
    await expectError(.notFound) { _ = try await fixture.prune(policy, at: 0) }
    #expect(try source.manifests() == before)
  }
}
