import Foundation
import Testing
import VecDB
import VecDBLogStore

/// Two lines of one history in one repository: a primary that went on alone, and its replica that was
/// promoted from an earlier point. And copies, which are databases of their own.
@Suite(.inEveryKindOfRepository) struct EpochRestoreTests {
  private static func open(_ path: String) async throws -> Database {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.maintenanceMinimum = .max
    configuration.logger.logLevel = .critical
    return try await Database.open(at: path, configuration: configuration)
  }

  /// Writes batches and returns the digest after each, by LSN.
  private static func write(
    _ count: Int, to database: Database, _ generator: inout SeededGenerator
  ) async throws -> [UInt64: String] {
    let items = try database.collection("items")
    var digests: [UInt64: String] = [:]
    for _ in 0..<count {
      try await items.upsert(
        Dictionary(
          (0..<20).map { _ in
            let key = "k\(Int.random(in: 0..<300, using: &generator))"
            return (key, VectorRecord(key: key, vector: generator.vector(16)))
          }, uniquingKeysWith: { $1 }
        ).values.sorted { $0.key < $1.key })
      digests[database.lsn] = try database.stats().dataDigest
    }
    return digests
  }

  /// What a promotion does, without a cluster around it.
  private static func promote(_ database: Database) async throws {
    let position = database.logEnd
    let parent = database.logIdentity.currentEpoch
    let epoch = Epoch(
      counter: parent.counter + 1, id: UniqueID(high: 7, low: parent.counter), parentID: parent.id,
      beganAtLSN: position.lsn, beganAtChain: position.chain)
    try await database.openEpoch(epoch, at: position, policy: [])
  }

  @Test func `both lines of a history can be restored, the newest first`() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var generator = SeededGenerator(seed: 61)
    var old = try await Self.open(directory.file("old"))
    try await old.createCollection("items", dimensions: 16, metric: .l2)
    var digests = try await Self.write(20, to: old, &generator)
    let first = try await old.backup(to: repository)
    digests.merge(try await Self.write(10, to: old, &generator)) { $1 }
    let branch = old.lsn
    try await old.close()
    try copyTree(atPath: directory.file("old"), toPath: directory.file("new"))

    // The old primary goes on alone, and its last restore point lies behind the branch.
    old = try await Self.open(directory.file("old"))
    let lost = try await Self.write(7, to: old, &generator)
    let behind = try await old.backup(to: repository)
    #expect(behind.lsn == branch + 7)

    // The promoted one: at first only its log reaches the repository.
    let new = try await Self.open(directory.file("new"))
    try await Self.promote(new)
    digests.merge(try await Self.write(12, to: new, &generator)) { $1 }
    _ = try await new.archive(to: repository)
    func expectLine(_ target: RestoreTarget, _ lsn: UInt64, base: UInt64? = nil) async throws {
      var options = RestoreOptions()
      options.base = base
      options.verification = .quick
      let path = directory.file("copy")
      let report = try await Database.restore(
        from: repository, to: path, target: target, options: options)
      let expected = base == behind.lsn ? lost[lsn] : digests[lsn]
      #expect(report.lsn == lsn && report.dataDigest == expected, "\(target), \(report)")
      let copy = try await Self.open(path)
      #expect(try await copy.check().problems == [])
      try await copy.close()
      try FileManager.default.removeItem(atPath: path)
    }
    func expectBoth(latest: UInt64) async throws {
      try await expectLine(.latest, latest)
      for lsn in [first.lsn, branch - 1, branch, branch + 1, behind.lsn, behind.lsn + 1] {
        try await expectLine(.lsn(lsn), lsn)
      }
      try await expectLine(.lsn(behind.lsn), behind.lsn, base: behind.lsn)
    }
    try await expectBoth(latest: branch + 12)

    // Then its restore points too. The old one is told that it is not the primary any more.
    let point = try await new.backup(to: repository)
    #expect(point.epoch == behind.epoch + 1 && point.lsn == branch + 12)
    let refusal = await expectError(.invalidArgument) {
      _ = try await old.backup(to: repository)
    }
    #expect(refusal?.message.contains("another copy has become the primary") == true)
    digests.merge(try await Self.write(5, to: new, &generator)) { $1 }
    _ = try await new.backup(to: repository)
    try await expectBoth(latest: branch + 17)
    #expect(try await Database.verify(repository: repository, samples: 4).problems == [])

    // And once more: a line that ends is not the newest, whatever its LSN.
    try await old.close()
    try await Self.promote(new)
    digests.merge(try await Self.write(3, to: new, &generator)) { $1 }
    _ = try await new.backup(to: repository)
    try await expectBoth(latest: branch + 20)
    try await new.close()
  }

  @Test func `a copy goes on as a database of its own`() async throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 62)
    var path = directory.file("db0")
    var database = try await Self.open(path)
    try await database.createCollection("items", dimensions: 16, metric: .l2)
    var digests = try await Self.write(8, to: database, &generator)
    for turn in 1...3 {
      let repository = directory.file("repository\(turn)")
      _ = try await database.backup(to: repository)
      digests.merge(try await Self.write(6, to: database, &generator)) { $1 }
      _ = try await database.archive(to: repository)
      // From the middle of the log: what came after it belongs to the original alone.
      let target = database.lsn - 2
      path = directory.file("db\(turn)")
      let report = try await Database.restore(
        from: repository, to: path, target: .lsn(target))
      #expect(report.lsn == target && report.dataDigest == digests[target])
      let copy = try await Self.open(path)
      await expectError(.invalidArgument) { _ = try await copy.backup(to: repository) }
      #expect(copy.logIdentity.databaseID != database.logIdentity.databaseID)
      try await database.close()
      database = copy
      digests = digests.filter { $0.key <= target }
      digests.merge(try await Self.write(4, to: database, &generator)) { $1 }
      // The next repository gets the log of two epochs at once.
      try await Self.promote(database)
      digests.merge(try await Self.write(3, to: database, &generator)) { $1 }
    }
    let last = database.lsn
    let final = directory.file("final")
    _ = try await database.backup(to: directory.file("last"))
    try await database.close()
    let report = try await Database.restore(from: directory.file("last"), to: final)
    #expect(report.lsn == last && report.dataDigest == digests[last] && report.epoch == 8)
  }
}
