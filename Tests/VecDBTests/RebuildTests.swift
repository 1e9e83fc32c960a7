import Foundation
import Testing
import VecDB

/// Rebuilds that keep serving.
@Suite struct RebuildTests {
  static let dimensions = 24

  /// A configuration whose rebuilds are worked on by `stepRebuilds` alone.
  static func stepped() -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.rebuildsInBackground = false
    configuration.controlSocket = false
    configuration.buildThreads = 2
    configuration.logger.logLevel = .critical
    return configuration
  }

  static func records(_ range: Range<Int>, seed: UInt64 = 1) -> [VectorRecord] {
    range.map { number in
      var generator = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(number))
      return VectorRecord(
        key: "k\(number)", vector: generator.vector(dimensions),
        metadata: ["group": .integer(Int64(number % 7))])
    }
  }

  /// Fills a collection with updates and deletes among the inserts.
  static func fill(_ items: VectorCollection, count: Int) async throws {
    try await items.upsert(records(0..<count))
    try await items.upsert(records(0..<count / 4, seed: 2))
    try await items.delete((0..<count / 5).map { "k\($0 * 3)" })
  }

  /// What searches must find: the same answers from the graph and the exact scan.
  static func recall(_ items: VectorCollection, queries: Int = 40) throws -> Double {
    var generator = SeededGenerator(seed: 77)
    var (found, wanted) = (0, 0)
    for _ in 0..<queries {
      let query = generator.vector(dimensions)
      var exact = SearchOptions()
      exact.exact = true
      let truth = try items.search(query, k: 10, options: exact).hits
      let hits = try items.search(query, k: 10).hits
      let worst = truth.last?.distance ?? 0
      found += hits.count { $0.distance <= worst }
      wanted += truth.count
    }
    return Double(found) / Double(max(1, wanted))
  }

  @Test(arguments: [0, 1, 300, 900, 4_000])
  func `a rebuild changes the parameters and nothing else`(count: Int) async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"), configuration: Self.stepped())
    let items = try await database.createCollection(
      "items", dimensions: Self.dimensions, metric: .l2, index: .init(m: 8, efConstruction: 64))
    if count > 0 { try await Self.fill(items, count: count) }
    let before = try database.stats()
    var options = RebuildOptions(m: 12, efConstruction: 80)
    options.gate.latencyFactor = 50
    let status = try await items.beginRebuild(options)
    #expect(status.stage == "preparing" && status.generation == 2)
    var steps = 0
    while try items.rebuildStatus().stage != "grace", steps < 2_000 {
      #expect(database.stepRebuilds())
      // Writes go on.
      if steps % 5 == 0 {
        try await items.upsert(Self.records(10_000 + steps..<10_003 + steps))
        if steps > 5 { try await items.delete("k\(10_000 + steps - 5)") }
      }
      steps += 1
    }
    let swapped = try items.rebuildStatus()
    #expect(swapped.stage == "grace" && swapped.gate?.refusals.isEmpty ?? false)
    let after = try database.stats()
    #expect(after.collections[0].m == 12 && before.collections[0].m == 8)
    #expect(try Self.recall(items) > 0.95)
    let check = try await database.check()
    #expect(check.problems.isEmpty, "\(check.problems)")
    // The old generation follows and takes over again.
    try await items.upsert(Self.records(20_000..<20_600))
    try await items.delete(["k20001", "k2"])
    let written = try database.stats()
    try await items.rollBackRebuild()
    let back = try database.stats()
    #expect(back.dataDigest == written.dataDigest)
    #expect(back.collections[0].m == 8 && back.collections[0].count == written.collections[0].count)
    #expect(try Self.recall(items) > 0.95)
    #expect(try await database.check().problems.isEmpty)
    try await database.close()
    let reopened = try await Database.open(
      at: directory.file("db"), configuration: Self.stepped())
    #expect(try reopened.stats().dataDigest == written.dataDigest)
    #expect(try await reopened.check().problems.isEmpty)
    try await reopened.close()
  }
}
