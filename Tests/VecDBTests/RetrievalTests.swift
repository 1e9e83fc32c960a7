import Foundation
import Testing
import VecDB

/// Searches made of searches, against a plain look at all records.
@Suite struct RetrievalTests {
  private static let dimensions = 8

  private struct Content {
    var database: Database
    var items: VectorCollection
    var records: [VectorRecord]
    /// Keeps the files.
    var directory: TemporaryDirectory

    /// All records that match, nearest first, with the collection's own exact distances.
    func ranked(_ query: [Float], _ filter: Filter? = nil) throws -> [Hit] {
      let options = SearchOptions(filter: filter, exact: true, includeMetadata: true)
      return try items.search(query, k: max(1, records.count), options: options).hits
    }
  }

  private static func content(
    _ metric: Metric, count: Int, seed: UInt64, metadata: (Int) -> Metadata = { _ in [:] }
  ) async throws -> Content {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection(
      "items", dimensions: dimensions, metric: metric)
    var generator = SeededGenerator(seed: seed)
    let records = (0..<count).map { number in
      let vector = generator.vector(dimensions)
      return VectorRecord(
        key: "k\(number)", vector: metric == .hamming ? vector.map { $0 > 0 ? 1 : 0 } : vector,
        metadata: metadata(number))
    }
    try await items.upsert(records)
    return Content(database: database, items: items, records: records, directory: directory)
  }

  private static func query(_ metric: Metric, _ generator: inout SeededGenerator) -> [Float] {
    let vector = generator.vector(dimensions)
    return metric == .hamming ? vector.map { $0 > 0 ? 1 : 0 } : vector
  }

  // MARK: Range

  @Test(arguments: Metric.allCases)
  func aRangeHasAllWithinIt(metric: Metric) async throws {
    let content = try await Self.content(metric, count: 3_000, seed: 3)
    var generator = SeededGenerator(seed: 4)
    var (found, wanted) = (0, 0)
    for rank in [0, 1, 9, 31, 64, 200, 900, 2_999] {
      let query = Self.query(metric, &generator)
      let all = try content.ranked(query)
      let distance = all[rank].distance
      let within = all.filter { $0.distance <= distance }.map(\.key)
      var options = SearchOptions(exact: true)
      #expect(
        try content.items.search(query, within: distance, options: options).hits.map(\.key)
          == within, "rank \(rank)")
      options.exact = false
      let result = try content.items.search(query, within: distance, options: options)
      #expect(result.hits.allSatisfy { $0.distance <= distance })
      #expect(zip(result.hits, result.hits.dropFirst()).allSatisfy { $0.distance <= $1.distance })
      found += Set(result.hits.map(\.key)).intersection(within).count
      wanted += within.count
      let limited = try content.items.search(query, within: distance, limit: 5, options: options)
      #expect(limited.hits.count == min(5, within.count), "rank \(rank)")
    }
    #expect(Double(found) >= 0.98 * Double(wanted), "\(found) of \(wanted)")
    try await content.database.close()
  }

  @Test func aRangeIsNotNegativeAndBounded() async throws {
    let content = try await Self.content(.l2, count: 100, seed: 5)
    let query = [Float](repeating: 0, count: Self.dimensions)
    for distance in [-1, Float.nan] {
      await expectError(.invalidArgument) { _ = try content.items.search(query, within: distance) }
    }
    for limit in [0, -1, 65_537] {
      await expectError(.invalidArgument) {
        _ = try content.items.search(query, within: 1, limit: limit)
      }
    }
    #expect(try content.items.search(query, within: .infinity).hits.count == 100)
    #expect(try content.items.search(query, within: 0).hits.isEmpty)
    try await content.database.close()
    let dot = try await Self.content(.dot, count: 100, seed: 5)
    #expect(try dot.items.search(dot.records[0].vector, within: -0.1).hits.count < 100)
    try await dot.database.close()
  }

  // MARK: Groups

  /// One document has half of all chunks, and they are the nearest ones.
  @Test(arguments: [Metric.l2, .cosine, .dot])
  func noGroupIsMissing(metric: Metric) async throws {
    let content = try await Self.content(metric, count: 2_000, seed: 6) { number in
      ["document": .integer(Int64(number < 1_000 ? 0 : number % 37)), "n": .integer(Int64(number))]
    }
    var generator = SeededGenerator(seed: 7)
    for (groups, perGroup) in [(1, 1), (5, 3), (37, 2), (50, 40), (3, 500)] {
      let query = Self.query(metric, &generator)
      for filter in [nil, Filter.comparison(field: "n", .less, .integer(1_200))] {
        let all = try content.ranked(query, filter)
        var expected: [(value: MetadataValue, hits: [String])] = []
        for hit in all {
          let value = try #require(hit.metadata?["document"])
          if let place = expected.firstIndex(where: { $0.value == value }) {
            if expected[place].hits.count < perGroup { expected[place].hits.append(hit.key) }
          } else if expected.count < groups {
            expected.append((value, [hit.key]))
          }
        }
        let result = try content.items.search(
          query, groupedBy: "document", groups: groups, perGroup: perGroup,
          options: SearchOptions(filter: filter, exact: true))
        #expect(result.groups.map(\.value) == expected.map(\.value))
        #expect(result.groups.map { $0.hits.map(\.key) } == expected.map(\.hits))
        #expect(result.groups.allSatisfy { $0.hits.allSatisfy { $0.metadata == nil } })
        // Through the graph as many groups, and as full.
        let walked = try content.items.search(
          query, groupedBy: "document", groups: groups, perGroup: perGroup,
          options: SearchOptions(filter: filter))
        #expect(walked.groups.count == expected.count)
        let sizes = walked.groups.map { $0.hits.count }.sorted()
        let expectedSizes = expected.map { $0.hits.count }.sorted()
        #expect(sizes == expectedSizes)
      }
    }
    try await content.database.close()
  }

  @Test func whatIsEqualInAFilterIsOneGroup() async throws {
    let values: [Metadata] = [
      ["f": 1], ["f": 1.0], ["f": "1"], ["f": nil], [:], ["f": [1, 2]], ["f": [1.0, 2]],
      ["f": true], ["f": -0.0], ["f": 0], ["f": 0.5],
    ]
    let content = try await Self.content(.l2, count: 220, seed: 8) { values[$0 % values.count] }
    let query = [Float](repeating: 0.1, count: Self.dimensions)
    let result = try content.items.search(query, groupedBy: "f", groups: 20, perGroup: 100)
    let counts = Dictionary(
      uniqueKeysWithValues: result.groups.map { ($0.value, $0.hits.count) })
    #expect(
      counts == [
        .integer(1): 40, .string("1"): 20, .array([.integer(1), .integer(2)]): 40,
        .bool(true): 20, .integer(0): 40, .double(0.5): 20,
      ])
    await expectError(.invalidArgument) {
      _ = try content.items.search(query, groupedBy: "g")
    }
    for (groups, perGroup) in [(0, 1), (1, 0), (1_001, 1), (1, 1_001), (1_000, 100)] {
      await expectError(.invalidArgument) {
        _ = try content.items.search(query, groupedBy: "f", groups: groups, perGroup: perGroup)
      }
    }
    // Nothing matches, and that is no error.
    let none = try content.items.search(
      query, groupedBy: "f",
      options: SearchOptions(filter: .comparison(field: "f", .equal, "no such value")))
    #expect(none.groups.isEmpty)
    try await content.database.close()
  }

  // MARK: Diversity

  /// The definition, written down once more.
  private static func diverse(
    _ k: Int, _ candidates: [[Float]], _ query: [Float], _ lambda: Double
  ) -> [Int] {
    func cosine(_ a: [Float], _ b: [Float]) -> Double {
      let product = zip(a, b).map { Double($0) * Double($1) }.reduce(0, +)
      let norms = [a, b].map { $0.map { Double($0) * Double($0) }.reduce(0, +).squareRoot() }
      return product / (norms[0] * norms[1])
    }
    var chosen: [Int] = []
    while chosen.count < min(k, candidates.count) {
      let scores = candidates.indices.map { index -> Double in
        guard !chosen.contains(index) else { return -.infinity }
        let worst = chosen.map { cosine(candidates[index], candidates[$0]) }.max() ?? 0
        return lambda * cosine(candidates[index], query) - (1 - lambda) * worst
      }
      chosen.append(scores.firstIndex(of: scores.max() ?? 0) ?? 0)
    }
    return chosen
  }

  @Test(arguments: [Metric.l2, .cosine, .dot])
  func unlikeRecordsAreChosenByTheDefinition(metric: Metric) async throws {
    let content = try await Self.content(metric, count: 400, seed: 9)
    var generator = SeededGenerator(seed: 10)
    for lambda in [0, 0.3, 0.5, 0.9, 1] {
      let query = Self.query(metric, &generator)
      let nearest = try content.items.search(
        query, k: 60, options: SearchOptions(exact: true, includeVector: true)
      ).hits
      let expected = Self.diverse(12, nearest.map { $0.vector ?? [] }, query, lambda)
      let result = try content.items.search(
        query, k: 12, lambda: lambda, candidates: 60, options: SearchOptions(exact: true))
      #expect(result.hits.map(\.key) == expected.map { nearest[$0].key }, "lambda \(lambda)")
      #expect(result.hits.allSatisfy { $0.vector == nil })
      if lambda == 1, metric == .cosine {
        #expect(result.hits.map(\.key) == nearest.prefix(12).map(\.key))
      }
    }
    let query = Self.query(metric, &generator)
    for lambda in [-0.1, 1.1, .nan] {
      await expectError(.invalidArgument) { _ = try content.items.search(query, lambda: lambda) }
    }
    await expectError(.invalidArgument) {
      _ = try content.items.search(query, k: 10, lambda: 0.5, candidates: 9)
    }
    #expect(try content.items.search(query, k: 1_000, lambda: 0.5).hits.count == 400)
    try await content.database.close()
  }

  // MARK: Examples

  @Test func examplesAreNotInTheirAnswer() async throws {
    let content = try await Self.content(.cosine, count: 500, seed: 11)
    let like = try content.items.search(like: "k7", k: 10, options: SearchOptions(exact: true))
    let plain = try content.ranked(content.records[7].vector)
    #expect(like.hits.map(\.key) == plain.dropFirst().prefix(10).map(\.key))
    let unit = content.records.prefix(4).map { record in
      let length = record.vector.map { $0 * $0 }.reduce(0, +).squareRoot()
      return record.vector.map { $0 / length }
    }
    let query = (0..<Self.dimensions).map { place in
      let near = (unit[0][place] + unit[1][place]) / 2
      return near + near - (unit[2][place] + unit[3][place]) / 2
    }
    let moved = try content.items.search(
      near: ["k0", "k1"], awayFrom: ["k2", "k3"], k: 20, options: SearchOptions(exact: true))
    let expected = try content.ranked(query).map(\.key).filter {
      !["k0", "k1", "k2", "k3"].contains($0)
    }
    #expect(moved.hits.map(\.key) == Array(expected.prefix(20)))
    let error = await expectError(.notFound) {
      _ = try content.items.search(near: ["k1", "no such key"])
    }
    #expect(error?.location.contains("no such key") == true)
    await expectError(.invalidArgument) { _ = try content.items.search(near: []) }
    await expectError(.invalidArgument) { _ = try content.items.search(like: "k1", k: 65_536) }
    try await content.database.close()
    let bits = try await Self.content(.hamming, count: 100, seed: 12)
    #expect(try bits.items.search(near: ["k1", "k2", "k3"], k: 5).hits.count == 5)
    try await bits.database.close()
  }

  // MARK: Many queries

  @Test func manyQueriesAreAnsweredInOrder() async throws {
    let content = try await Self.content(.l2, count: 1_000, seed: 13)
    var generator = SeededGenerator(seed: 14)
    let queries = (0..<57).map { _ in Self.query(.l2, &generator) }
    let single = try queries.map { try content.items.search($0, k: 7).hits }
    for threads in [nil, 1, 3, 100] {
      #expect(
        try content.items.search(batch: queries, k: 7, threads: threads).map(\.hits) == single)
    }
    #expect(try await content.items.nearest(batch: queries, k: 7).map(\.hits) == single)
    #expect(try content.items.search(batch: []).isEmpty)
    var wrong = queries
    wrong[40] = [1]
    let failing = wrong
    let error = await expectError(.invalidArgument) {
      _ = try content.items.search(batch: failing, k: 7)
    }
    #expect(error?.message.contains("1 components") == true)
    await expectError(.invalidArgument) {
      _ = try await content.items.nearest(batch: failing, k: 7)
    }
    await expectError(.invalidArgument) {
      _ = try content.items.search(batch: queries, threads: 0)
    }
    try await content.database.close()
  }
}
