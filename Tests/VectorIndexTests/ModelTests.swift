import Testing
import VecDBIndex

/// Random histories of inserts, updates and deletes against a plain dictionary.
@Suite struct ModelTests {
  @Test(arguments: IndexParameters.Metric.ofFloats)
  func searchesSeeExactlyWhatIsAlive(metric: IndexParameters.Metric) throws {
    let parameters = try IndexParameters(
      dimensions: 6, metric: metric, degree: 8, efConstruction: 60)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    var log = TestLog(seed: 31) { _, random in random.vector(6) }
    var random = TestRandom(seed: 32)
    for round in 0..<60 {
      // Half-way nearly everything dies.
      log.append(
        births: round == 30 ? 0 : random.below(200),
        deaths: round == 30 ? log.live.count - 40 : random.below(90))
      try index.replay(log.batches.suffix(1))
      let live = Set(log.live)
      #expect(index.liveCount == live.count)
      for _ in 0..<4 {
        let query = random.vector(6)
        let k = 1 + random.below(60)
        let hits = try index.search(query, k: k, ef: 64).hits
        #expect(hits.count == min(k, live.count))
        #expect(hits.allSatisfy { live.contains($0.slot) })
        #expect(Set(hits.map(\.slot)).count == hits.count)
        let exact = try index.exactSearch(query, k: k).hits
        #expect(exact.count == min(k, live.count))
        // Distances are the same whichever way a record was found.
        let distances = Dictionary(uniqueKeysWithValues: exact.map { ($0.slot, $0.distance) })
        for hit in hits {
          if let distance = distances[hit.slot] { #expect(distance == hit.distance) }
        }
      }
    }
    #expect(index.checkInvariants() == [])
    #expect(
      try recall(index, queries: (0..<50).map { _ in random.vector(6) }, k: 10, ef: 100) > 0.95)
  }

  /// More queries than are compared at once, more slots than stay in the cache, and dead ones.
  @Test func exactAnswersOfManyQueriesAreThoseOfEach() throws {
    let parameters = try IndexParameters(dimensions: 600, metric: .l2)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    var random = TestRandom(seed: 21)
    let queries = (0..<23).map { _ in random.vector(600) }
    #expect(try index.exactSearch(queries, k: 5).map(\.hits) == queries.map { _ in [] })
    let births = (0..<1_300).map { testBirth($0, random.vector(600)) }
    try index.apply(lsn: 1, deaths: [], births: births)
    try index.apply(lsn: 2, deaths: (0..<100).map { UInt32($0 * 3) }, births: [])
    index.publish(lsn: 2)
    let each = try queries.map { try index.exactSearch($0, k: 7) }
    let all = try index.exactSearch(queries, k: 7)
    #expect(all.map(\.hits) == each.map(\.hits))
    #expect(all.map(\.distanceCount) == each.map(\.distanceCount))
    #expect(all.allSatisfy { $0.hits.count == 7 && $0.distanceCount == 1_200 })
    #expect(try index.exactSearch([[Float]](), k: 7).isEmpty)
    #expect(throws: IndexError.self) { try index.exactSearch(queries, k: 0) }
    #expect(throws: IndexError.self) { try index.exactSearch([[.nan]], k: 1) }
  }

  @Test func deletingAndInsertingAgainKeepsRecall() throws {
    let parameters = try IndexParameters(dimensions: 24, metric: .l2)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    var random = TestRandom(seed: 8)
    let vectors = (0..<8_000).map { _ in (0..<24).map { _ in random.normal() } }
    let queries = (0..<100).map { _ in (0..<24).map { _ in random.normal() } }
    try index.apply(
      lsn: 1, deaths: [], births: vectors.enumerated().map { testBirth($0.offset, $0.element) })
    index.publish(lsn: 1)
    let before = try recall(index, queries: queries, k: 10, ef: 60)
    let dead = (0..<1_600).map { UInt32($0 * 5) }
    try index.apply(lsn: 2, deaths: dead, births: [])
    index.publish(lsn: 2)
    let between = try recall(index, queries: queries, k: 10, ef: 60)
    try index.apply(
      lsn: 3, deaths: [], births: dead.map { testBirth(Int($0), vectors[Int($0)]) })
    index.publish(lsn: 3)
    let after = try recall(index, queries: queries, k: 10, ef: 60)
    #expect(after >= before - 0.005, "\(before), \(between), \(after)")
    #expect(between >= before - 0.01, "\(before), \(between), \(after)")
  }

  @Test(arguments: [3, 30, 300, 2_000, 6_000])
  func filtersOfAnySelectivity(matching: Int) throws {
    let parameters = try IndexParameters(dimensions: 12, metric: .l2)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    var random = TestRandom(seed: 81)
    let count = 8_100
    let births = (0..<count).map { testBirth($0, random.vector(12)) }
    try index.apply(lsn: 1, deaths: [], births: Array(births[..<8_000]))
    try index.apply(
      lsn: 2, deaths: (0..<200).map { UInt32($0 * 3) }, births: Array(births[8_000...]))
    index.publish(lsn: 2)
    var filter = SlotBitset(count: count)
    // Matching ones lie together, far from most queries, and one is in the tail.
    let nearest = try index.exactSearch([Float](repeating: 1, count: 12), k: matching).hits
    for hit in nearest.dropLast() { filter[Int(hit.slot)] = true }
    filter[count - 1] = true
    let queries = (0..<40).map { _ in random.vector(12) }
    #expect(try recall(index, queries: queries, k: 10, ef: 80, filter: filter) > 0.95)
    for query in queries {
      let hits = try index.search(query, k: 20, ef: 20, filter: filter).hits
      #expect(hits.count == min(20, filter.population))
      #expect(hits.allSatisfy { filter[Int($0.slot)] })
    }
    #expect(
      try index.search(queries[0], k: 5, ef: 9, filter: SlotBitset(count: count)).hits.isEmpty)
  }
}
