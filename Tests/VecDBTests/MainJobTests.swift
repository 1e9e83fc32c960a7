import Foundation
import Testing
import VecDB

/// The main job from end to end: create, write, search, update, delete, reopen, back up, back up
/// again, restore, and get the same answers.
@Suite struct MainJobTests {
  private let dimensions = 24

  private func record(_ key: Int, _ generator: inout SeededGenerator) -> VectorRecord {
    VectorRecord(
      key: "k\(key)", vector: generator.vector(dimensions),
      metadata: ["group": .integer(Int64(key % 7)), "name": .string("record \(key)")])
  }

  @Test func endToEnd() async throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 1)
    let records = (0..<3_000).map { record($0, &generator) }
    let queries = (0..<50).map { _ in generator.vector(dimensions) }

    // Maintenance is logged whenever it is due, so an LSN could lie between any two calls below.
    var configuration = DatabaseConfiguration()
    configuration.maintenanceMinimum = .max
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: dimensions, metric: .l2)
    for start in stride(from: 0, to: records.count, by: 500) {
      let result = try await items.upsert(Array(records[start..<start + 500]))
      #expect(result.inserted == 500)
      #expect(result.batches == 1)
    }
    #expect(items.count == 3_000)
    let again = try await items.upsert(Array(records[0..<100]))
    #expect(again.unchanged == 100 && again.inserted == 0 && again.updated == 0)

    let full = try await database.backup(to: directory.file("repo"))
    #expect(full.newBlocks > 0)

    var changed = records[5]
    changed.vector[0] += 1
    #expect(try await items.upsert(changed).updated == 1)
    #expect(try await items.delete(["k6", "missing"]).deleted == 1)
    #expect(try await items.delete(where: Field("group") == 3).deleted > 400)
    #expect(try items.get("k5") == changed)
    #expect(try items.get("k6") == nil)

    let incremental = try await database.backup(to: directory.file("repo"))
    #expect(incremental.lsn > full.lsn)
    let unchanged = try await database.backup(to: directory.file("repo"))
    #expect(unchanged.newBytes == 0)
    #expect(
      try Database.backups(in: directory.file("repo")).map(\.lsn) == [full.lsn, incremental.lsn])

    let answers = try queries.map { try items.search($0, k: 10).hits }
    let stats = try database.stats(graphDigests: true)
    #expect(try await database.check().problems == [])
    try await database.close()
    await expectError(.closed) { _ = try items.search(queries[0]) }

    let reopened = try await Database.open(at: directory.file("db"))
    let same = try reopened.collection("items")
    #expect(try queries.map { try same.search($0, k: 10).hits } == answers)
    #expect(try reopened.stats(graphDigests: true).collections == stats.collections)
    // Arrays that were mapped from packs count like those that were written.
    let memory = try same.memory()
    #expect(memory.reduce(0) { $0 + $1.bytes } == stats.collections[0].indexBytes)
    let codes = try #require(memory.first { $0.name == "codes" })
    #expect(codes.residentBytes.map { $0 > 0 && $0 <= codes.bytes + 4_096 } ?? true)
    try await reopened.close()

    let report = try await Database.restore(
      from: directory.file("repo"), to: directory.file("copy"))
    #expect(report.lsn == incremental.lsn)
    #expect(report.dataDigest == stats.dataDigest)
    let copy = try await Database.open(at: directory.file("copy"))
    let restored = try copy.collection("items")
    #expect(try queries.map { try restored.search($0, k: 10).hits } == answers)
    #expect(try copy.stats(graphDigests: true).collections == stats.collections)
    #expect(try copy.stats().databaseID != stats.databaseID)
    try await restored.upsert(record(9_999, &generator))
    #expect(try await copy.check().problems == [])
    try await copy.close()
    #expect(try await Database.verify(repository: directory.file("repo")).problems == [])
  }

  @Test func restoresEveryPointInTime() async throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 2)
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 4, metric: .cosine)
    var digests: [UInt64: String] = [:]
    for step in 0..<30 {
      let key = "k\(Int.random(in: 0..<12, using: &generator))"
      if step % 5 == 4 {
        try await items.delete([key])
      } else {
        try await items.upsert(VectorRecord(key: key, vector: generator.vector(4)))
      }
      digests[database.lsn] = try database.stats().dataDigest
      if step == 7 || step == 20 || step == 29 {
        _ = try await database.backup(to: directory.file("repo"))
      }
    }
    try await database.close()
    let first = try #require(try Database.backups(in: directory.file("repo")).first)
    for lsn in first.lsn...(digests.keys.max() ?? 0) {
      let path = directory.file("at-\(lsn)")
      let report = try await Database.restore(
        from: directory.file("repo"), to: path, target: .lsn(lsn))
      #expect(report.lsn == lsn)
      #expect(report.dataDigest == digests[lsn], "LSN \(lsn)")
    }
    await expectError(.notFound) {
      _ = try await Database.restore(
        from: directory.file("repo"), to: directory.file("never"), target: .lsn(1_000))
    }
    #expect(!FileManager.default.fileExists(atPath: directory.file("never")))
  }
}
