import Foundation
import Testing
import VecDB

/// What is unusual but right: it must work, exactly, however few or many records there are.
@Suite struct EdgeCaseTests {
  private func withCollection(
    dimensions: Int, _ metric: Metric = .l2, m: Int = 8,
    _ body: (Database, VectorCollection) async throws -> Void
  ) async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection(
      "items", dimensions: dimensions, metric: metric, index: .init(m: m, efConstruction: 40))
    try await body(database, items)
    #expect(try await database.check().problems == [])
    try await database.close()
  }

  /// The inner product is the true one also where norms differ by orders of magnitude, and the
  /// longest vectors are the answers.
  @Test(arguments: [0.0, 0.25, 0.5, 1.5, 3])
  func innerProductsWithAnyNorms(spread: Double) async throws {
    try await withCollection(dimensions: 24, .dot, m: 16) { _, items in
      var generator = SeededGenerator(seed: 12)
      func normal() -> Double {
        (0..<12).reduce(-6) { sum, _ in sum + Double.random(in: 0..<1, using: &generator) }
      }
      let vectors = (0..<6_000).map { _ in
        let length = exp(spread * normal())
        return (0..<24).map { _ in Float(normal() * length) }
      }
      for start in stride(from: 0, to: vectors.count, by: 1_000) {
        try await items.upsert(
          (start..<start + 1_000).map { VectorRecord(key: "\($0)", vector: vectors[$0]) })
      }
      var found = 0
      for _ in 0..<50 {
        let query = (0..<24).map { _ in Float(normal()) }
        let products = vectors.map { vector in
          zip(vector, query).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        }
        let best = products.sorted(by: >).prefix(10)
        let exact = try items.search(query, k: 10, options: .init(exact: true)).hits
        for (hit, product) in zip(exact, best) {
          #expect(abs(Double(-hit.distance) - product) <= 1e-5 * max(1, abs(product)))
        }
        let farthest = try #require(exact.last).distance
        let hits = try items.search(query, k: 10, options: .init(efSearch: 100)).hits
        found += hits.filter { $0.distance <= farthest }.count
      }
      #expect(Double(found) / 500 >= 0.97, "recall at efSearch 100")
    }
  }

  @Test func oneDimension() async throws {
    try await withCollection(dimensions: 1) { _, items in
      try await items.upsert((0..<3_000).map { VectorRecord(key: "\($0)", vector: [Float($0)]) })
      #expect(try items.search([1_499.6], k: 3).hits.map(\.key) == ["1500", "1499", "1501"])
    }
  }

  @Test func theMostDimensions() async throws {
    try await withCollection(dimensions: 65_536, .cosine) { _, items in
      var generator = SeededGenerator(seed: 1)
      let vectors = (0..<12).map { _ in generator.vector(65_536) }
      try await items.upsert(
        vectors.enumerated().map { VectorRecord(key: "\($0.offset)", vector: $0.element) })
      #expect(try items.get("7")?.vector == vectors[7])
      #expect(try items.search(vectors[3], k: 1).hits.first?.key == "3")
    }
  }

  @Test func moreWantedThanThereIs() async throws {
    try await withCollection(dimensions: 3) { _, items in
      #expect(try items.search([1, 2, 3], k: 10).hits.isEmpty)
      #expect(try items.search([1, 2, 3], k: 10, options: .init(recall: 0.9)).hits.isEmpty)
      for count in [1, 100, 2_000] {
        try await items.upsert(
          (0..<count).map { VectorRecord(key: "\($0)", vector: [Float($0), 0, 1]) })
        for ef in [1, 7, 65_536] {
          let hits = try items.search([0, 0, 0], k: 65_536, options: .init(efSearch: ef)).hits
          #expect(hits.map(\.key) == (0..<count).map { "\($0)" })
        }
        // A walk narrower than k is as wide as k.
        #expect(
          try items.search([0, 0, 0], k: 50, options: .init(efSearch: 1)).hits.count
            == min(50, count))
      }
    }
  }

  @Test func thousandsOfEqualVectors() async throws {
    try await withCollection(dimensions: 4) { _, items in
      let same: [Float] = [1, 2, 3, 4]
      try await items.upsert(
        (0..<5_000).map {
          VectorRecord(key: "\($0)", vector: same, metadata: ["n": .integer(Int64($0))])
        }
      )
      try await items.upsert(VectorRecord(key: "other", vector: [9, 9, 9, 9]))
      #expect(try items.search(same, k: 6_000).hits.count == 5_001)
      #expect(try items.search([9, 9, 9, 9], k: 1).hits.first?.key == "other")
      let options = SearchOptions(filter: Field("n") >= 4_990)
      #expect(try items.search(same, k: 20, options: options).hits.count == 10)
      try await items.delete((0..<4_999).map { "\($0)" })
      #expect(try Set(items.search(same, k: 9).hits.map(\.key)) == ["4999", "other"])
    }
  }

  @Test func allDeleted() async throws {
    for metric in [Metric.l2, .cosine] {
      try await withCollection(dimensions: 3, metric) { database, items in
        var generator = SeededGenerator(seed: 2)
        let records: [VectorRecord] = (0..<2_500).map { number in
          let isEven = MetadataValue.bool(number % 2 == 0)
          return VectorRecord(
            key: "\(number)", vector: generator.vector(3), metadata: ["even": isEven])
        }
        try await items.upsert(records)
        #expect(try await items.delete(where: Field("even") == true).deleted == 1_250)
        #expect(try await items.delete(where: Field("even") == true).deleted == 0)
        try await items.delete(records.map(\.key))
        #expect(items.count == 0)
        let filter: Filter = Field("even") == false
        let ways: [SearchOptions] = [
          SearchOptions(), SearchOptions(exact: true), SearchOptions(recall: 0.9),
          SearchOptions(filter: filter),
        ]
        for options in ways {
          #expect(try items.search([1, 1, 1], k: 5, options: options).hits.isEmpty)
        }
        #expect(try database.measureRecall().collections[0].recall == 1)
        try await items.upsert(records)
        #expect(try items.search(records[5].vector, k: 1).hits.first?.key == "5")
      }
    }
  }

  /// Conditions on fields that nothing has, or of other types, match nothing and are no errors.
  @Test func filtersThatMatchNothing() async throws {
    try await withCollection(dimensions: 2) { _, items in
      let records: [VectorRecord] = (0..<2_000).map { number in
        let metadata: Metadata = [
          "n": .integer(Int64(number)), "text": .string("t\(number % 7)"),
          "flag": .bool(number % 2 == 0), "tags": .array([.string("a")]),
        ]
        return VectorRecord(key: "\(number)", vector: [Float(number), 1], metadata: metadata)
      }
      try await items.upsert(records)
      let nothing = [
        "absent == 1", "absent != 1", "exists(absent)", "n == '1'", "n < 'a'", "text >= 3",
        "flag == 1", "flag > 0.5", "tags == 'a'", "text contains 't'", "n in ()", "n < 0",
        "n > 1e300", "n == 0.5", "n == null", "n contains 1", "n < -9.3e18", "n > 9.3e18",
        "n == 9.3e18",
      ]
      for text in nothing {
        let filter = try Filter(parsing: text)
        #expect(try items.count(where: filter) == 0, "\(filter)")
        let result = try items.search([0, 0], k: 5, options: .init(filter: filter))
        #expect(result.hits.isEmpty && result.matching == 0, "\(filter)")
        #expect(try items.count(where: !filter) == 2_000, "not \(filter)")
        #expect(try await items.delete(where: filter).deleted == 0)
      }
      let counts = [
        ("n < 1e300", 2_000), ("n > -9.3e18", 2_000), ("n <= 1999", 2_000), ("n >= -0.5", 2_000),
        ("n < 1999.5", 2_000), ("n != 0.5", 2_000), ("n < 10", 10), ("n < 9.5", 10),
        ("n <= 9.5", 10), ("n > 9.5", 1_990), ("n >= 9.5", 1_990), ("n >= 10.0", 1_990),
        ("n != 10", 1_999), ("n == 10.0", 1),
      ]
      for (text, count) in counts {
        #expect(try items.count(where: Filter(parsing: text)) == count, "\(text)")
      }
    }
  }

  /// Components are looked at sixteen at a time, the last ones singly.
  @Test func everyComponentCounts() async throws {
    for dimensions in [1, 15, 16, 17, 33, 64] {
      try await withCollection(dimensions: dimensions, .cosine) { _, items in
        let zeros = [Float](repeating: -0.0, count: dimensions)
        await expectError(.invalidArgument) { _ = try items.search(zeros) }
        for place in 0..<dimensions {
          var vector = zeros
          vector[place] = .leastNonzeroMagnitude
          let hits = try items.search(vector).hits
          #expect(hits.isEmpty)
          for bad in [Float.nan, -.infinity] {
            vector[place] = bad
            await expectError(.invalidArgument) { _ = try items.search(vector) }
          }
        }
      }
    }
  }

  @Test func infinitiesAndNaN() async throws {
    try await withCollection(dimensions: 3, .dot) { _, items in
      for bad in [Float.nan, .infinity, -.infinity, .signalingNaN] {
        for place in 0..<3 {
          var vector: [Float] = [1, 2, 3]
          vector[place] = bad
          await expectError(.invalidArgument) {
            try await items.upsert(VectorRecord(key: "bad", vector: vector))
          }
          await expectError(.invalidArgument) { _ = try items.search(vector) }
        }
      }
      // The largest numbers are fine, and so is what their products become.
      try await items.upsert(VectorRecord(key: "big", vector: [3.4e38, 3.4e38, -3.4e38]))
      #expect(try items.search([3.4e38, 3.4e38, -3.4e38], k: 1).hits.first?.key == "big")
    }
  }
}
