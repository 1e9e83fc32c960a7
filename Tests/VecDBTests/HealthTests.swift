import Testing
import VecDB
import VecDBShapes

/// An index that answers badly is called so by everybody who is asked, is made up for at once, and is
/// built anew.
@Suite struct HealthTests {
  /// Cities far apart on 8-bit codes with one scale: what version 0.1 made of them.
  static func broken(
    _ database: Database, count: Int = 4_000, codes: VectorCodes = .bytes
  ) async throws -> VectorCollection {
    let shape = try #require(Shape.all.first { $0.name == "cities" })
    let data = ShapeData(shape, count: count, queries: 1).base
    let places = try await database.createCollection(
      "places", dimensions: 2, metric: .l2, index: IndexOptions(codes: codes))
    for start in stride(from: 0, to: count, by: 1_000) {
      try await places.upsert(
        (start..<min(start + 1_000, count)).map { VectorRecord(key: "\($0)", vector: data[$0]) })
    }
    return places
  }

  /// What searches with default options really find, for queries that are no records.
  static func trueRecall(_ places: VectorCollection, _ options: SearchOptions = .init()) throws
    -> Double
  {
    let shape = try #require(Shape.all.first { $0.name == "cities" })
    let queries = ShapeData(shape, count: 10, queries: 60).queries
    var (found, wanted) = (0, 0)
    for query in queries {
      let truth = try places.search(query, options: SearchOptions(exact: true)).hits
      let hits = try places.search(query, options: options).hits
      found += hits.count { $0.distance <= truth.last?.distance ?? 0 }
      wanted += truth.count
    }
    return Double(found) / Double(max(1, wanted))
  }

  @Test func `nobody calls a poor index healthy`() async throws {
    let directory = try TemporaryDirectory()
    var configuration = RebuildTests.stepped()
    configuration.rebuildPolicy = .suggest
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let places = try await Self.broken(database)
    // Before anything was measured nothing is claimed.
    let before = try database.stats().collections[0]
    #expect(before.codes == .bytes && before.codesInUse == "bytes")
    #expect(try database.stats().health == [])
    let canary = try database.measureRecall()
    #expect(canary.collections[0].isBelowFloor && canary.findings.count == 1)
    let health = try #require(try database.measureHealth().first)
    #expect(health.indexRecall < CollectionHealth.floor && !health.isGood)
    #expect(health.finding?.contains("recall@10 of 'places' is 0.") == true)
    #expect(try database.stats().health == [health])
    // Searches make up for it at once, and say so.
    #expect(health.recall >= CollectionHealth.floor)
    #expect(try Self.trueRecall(places) >= 0.9)
    let result = try places.search([10, 10])
    #expect(result.warning == health.finding)
    // So does whoever looks after rebuilds.
    database.adviseRebuilds()
    #expect(try places.rebuildStatus().proposal.contains("below 0.9"))
    // A backup says it, a restore says it, and so does a proof of the repository.
    let repository = directory.file("repository")
    let backup = try await database.backup(to: repository)
    #expect(backup.canary?.findings.isEmpty == false)
    let restored = try await Database.restore(from: repository, to: directory.file("copy"))
    #expect(restored.findings.count == 1, "\(restored.findings)")
    let verified = try await Database.verify(
      repository: repository, verification: .full, samples: 1)
    #expect(verified.problems.isEmpty && !verified.findings.isEmpty)
    try await database.close()
  }

  @Test func `a search of an index that nobody measured is preceded by a measurement`() async throws
  {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let places = try await Self.broken(database)
    #expect(try places.search([10, 10]).warning != nil)
    #expect(try Self.trueRecall(places) >= 0.9)
    try await database.close()
    // Also after the next opening.
    let reopened = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    #expect(try Self.trueRecall(try reopened.collection("places")) >= 0.9)
    try await reopened.close()
  }

  @Test func `the default policy builds a poor index anew, and the gate lets it pass`() async throws
  {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let places = try await Self.broken(database)
    database.adviseRebuilds()
    for _ in 0..<2_000 where try places.rebuildStatus().stage != "grace" {
      _ = database.stepRebuilds()
    }
    let status = try places.rebuildStatus()
    #expect(status.stage == "grace", "\(status)")
    let gate = try #require(status.gate)
    #expect(gate.oldRecall < 0.9 && gate.newRecall >= 0.95 && gate.isPassed)
    let stats = try database.stats().collections[0]
    #expect(stats.codes == .automatic && stats.codesInUse == "float32")
    let health = try #require(try database.measureHealth().first)
    #expect(health.isGood && health.compensation == .none)
    #expect(try places.search([10, 10]).warning == nil)
    #expect(try Self.trueRecall(places, SearchOptions(efSearch: 64)) >= 0.95)
    // It is not proposed again.
    try await places.retireRebuild()
    database.adviseRebuilds()
    #expect(try places.rebuildStatus().stage == "none")
    #expect(try places.rebuildStatus().proposal == "")
    try await database.close()
  }

  /// No candidate answers in a hundredth of the time, so only a poor index lets one pass.
  @Test(arguments: [VectorCodes.bytes, .automatic])
  func `the time of a poor index is no standard, that of a good one is`(codes: VectorCodes)
    async throws
  {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let places = try await Self.broken(database, codes: codes)
    var options = RebuildOptions(codes: .automatic)
    options.keepsRefused = true
    options.gate.latencyFactor = 0.01
    try await places.beginRebuild(options)
    for _ in 0..<2_000 where !["grace", "refused"].contains(try places.rebuildStatus().stage) {
      _ = database.stepRebuilds()
    }
    let status = try places.rebuildStatus()
    let gate = try #require(status.gate)
    if codes == .bytes {
      #expect(gate.oldRecall < 0.9 && gate.isPassed, "\(status)")
    } else {
      #expect(gate.oldRecall >= 0.95 && status.stage == "refused", "\(status)")
      let refusals = gate.refusals.joined(separator: "; ")
      #expect(refusals.contains("the limit is 0.01 times"), "\(refusals); \(gate)")
    }
    try await database.close()
  }

  /// Data that is hard for every graph is no reason for another build, and still is answered well
  /// with default options.
  @Test func `searches that name no effort walk as wide as they must`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let items = try await database.createCollection("items", dimensions: 96, metric: .l2)
    var random = SeededGenerator(seed: 4)
    try await items.upsert(
      (0..<6_000).map { VectorRecord(key: "\($0)", vector: random.vector(96)) })
    let health = try #require(try database.measureHealth().first)
    #expect(health.indexRecall < 0.9, "the data is too easy to tell anything")
    #expect(health.efSearch > 64 && health.compensation == .none && health.isGood, "\(health)")
    var (found, wanted, named) = (0, 0, 0)
    for _ in 0..<80 {
      let query = random.vector(96)
      let truth = try items.search(query, options: SearchOptions(exact: true)).hits
      let worst = truth.last?.distance ?? 0
      found += try items.search(query).hits.count { $0.distance <= worst }
      named += try items.search(query, options: SearchOptions(efSearch: 64)).hits
        .count { $0.distance <= worst }
      wanted += truth.count
    }
    #expect(Double(found) / Double(wanted) >= 0.88)
    #expect(named < found, "an effort that was named is used")
    database.adviseRebuilds()
    #expect(try items.rebuildStatus().stage == "none")
    try await database.close()
  }
}
