import Foundation
import Testing
import VecDB

/// Moving a collection to another vector space while the old one serves.
@Suite struct MigrationTests {
  /// The new model: twice as many components.
  private static func embed(_ record: VectorRecord) -> [Float] {
    record.vector + record.vector.map { 0.5 * $0 + 0.1 }
  }

  private static func supplyAll(_ migration: Migration) async throws {
    var cursor: String?
    repeat {
      let page = try migration.pending(after: cursor, limit: 400)
      try await migration.supply(page.records.map { ($0.key, embed($0)) }, asOf: page.lsn)
      cursor = page.next
    } while cursor != nil
  }

  @Test func `a migration keeps up with writes and swaps at once`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    var database = try await Database.open(at: path, configuration: RebuildTests.stepped())
    var items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 2_000)
    var migration = try await database.beginMigration(
      of: "items", dimensions: 2 * RebuildTests.dimensions, metric: .cosine)
    #expect(try database.collections().map(\.name) == ["items"])
    await expectError(.alreadyExists) {
      _ = try await database.beginMigration(of: "items", dimensions: 3, metric: .l2)
    }
    // Half of it, then a restart.
    let page = try migration.pending(limit: 600)
    #expect(page.records.count == 600 && page.next != nil)
    try await migration.supply(page.records.map { ($0.key, Self.embed($0)) }, asOf: page.lsn)
    try await database.close()
    database = try await Database.open(at: path, configuration: RebuildTests.stepped())
    items = try database.collection("items")
    migration = try #require(try database.migration(of: "items"))
    let refusal = await expectError(.verificationFailed) { _ = try await migration.finish() }
    #expect(refusal?.message.contains("records have no vector of the new space") == true)
    try await Self.supplyAll(migration)
    #expect(try migration.pending().records.isEmpty)
    // The old space goes on: new, changed and deleted records.
    let old = try #require(try items.scroll(limit: 3).records.first)
    try await items.upsert(RebuildTests.records(5_000..<5_050))
    var changed = old
    changed.metadata = ["group": .integer(99)]
    try await items.upsert(changed)
    let gone = try #require(try items.scroll(limit: 3).records.last)
    try await items.delete(gone.key)
    #expect(try migration.pending().records.count == 51)
    // A vector of what was read before a change does not count.
    let late = try await migration.supply([(old.key, Self.embed(old))], asOf: page.lsn)
    #expect(late == 0)
    try await Self.supplyAll(migration)
    let report = try await migration.finish()
    #expect(report.records == items.runtimeCount(in: database) && report.newRecall > 0.9)
    // The name stands for the new space, with the same keys and metadata.
    await expectError(.closed) { _ = try items.search(old.vector) }
    let moved = try database.collection("items")
    #expect(moved.dimensions == 2 * RebuildTests.dimensions && moved.metric == .cosine)
    #expect(try moved.get(old.key)?.metadata == changed.metadata)
    #expect(try moved.get(gone.key) == nil)
    let hit = try moved.search(Self.embed(old), k: 1).hits.first
    #expect(hit?.key == old.key)
    #expect(try await database.check().problems.isEmpty)
    try await database.close()
    database = try await Database.open(at: path, configuration: RebuildTests.stepped())
    #expect(try database.collection("items").dimensions == 2 * RebuildTests.dimensions)
    // Nothing was written since: back, and forth again, and the old space goes.
    try await database.rollBackMigration(of: "items")
    #expect(try database.collection("items").dimensions == RebuildTests.dimensions)
    let again = try #require(try database.migration(of: "items"))
    try await again.finish()
    try await database.collection("items").upsert(
      VectorRecord(key: "new", vector: Array(repeating: 1, count: 2 * RebuildTests.dimensions)))
    await expectError(.invalidArgument) { try await database.rollBackMigration(of: "items") }
    try await database.retireMigration(of: "items")
    #expect(try database.stats().collections.count == 1)
    try await database.close()
  }
}

extension VectorCollection {
  fileprivate func runtimeCount(in database: Database) -> Int {
    (try? database.collection(name).count) ?? -1
  }
}
