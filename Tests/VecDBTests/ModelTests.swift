import Foundation
import Testing
import VecDB

/// Random operations against a plain oracle: a dictionary and brute force.
@Suite struct ModelTests {
  @Test(arguments: [(Metric.l2, 21), (.cosine, 22), (.dot, 23)] as [(Metric, UInt64)])
  func agreesWithTheOracle(metric: Metric, seed: UInt64) async throws {
    print("model test: \(metric), seed \(seed)")
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: seed)
    var database = try await Database.open(at: directory.file("db"))
    var items = try await database.createCollection("items", dimensions: 12, metric: metric)
    var oracle: [String: VectorRecord] = [:]

    for step in 0..<120 {
      switch Int.random(in: 0..<20, using: &generator) {
      case 0..<11:
        let batch = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
          let number = Int.random(in: 0..<2_000, using: &generator)
          return VectorRecord(
            key: "key-\(number)", vector: generator.vector(12),
            metadata: ["year": .integer(Int64(2000 + number % 25)), "even": .bool(number % 2 == 0)])
        }
        try await items.upsert(batch)
        for record in batch { oracle[record.key] = record }
      case 11..<14:
        let keys = oracle.keys.sorted().filter { _ in Int.random(in: 0..<20, using: &generator) == 0
        }
        #expect(try await items.delete(keys + ["nowhere"]).deleted == keys.count)
        for key in keys { oracle[key] = nil }
      case 14:
        let year = Int64.random(in: 2000..<2025, using: &generator)
        let doomed = oracle.values.filter { $0.metadata["year"] == .integer(year) }
        #expect(try await items.delete(where: Field("year") == year).deleted == doomed.count)
        for record in doomed { oracle[record.key] = nil }
      case 15: try await database.checkpoint()
      case 16:
        try await database.close()
        database = try await Database.open(at: directory.file("db"))
        items = try database.collection("items")
      default:
        try compare(items, oracle, metric, generator.vector(12), step: step)
      }
    }
    try compare(items, oracle, metric, generator.vector(12), step: 120)
    #expect(try await database.check().problems == [])
    try await database.close()
  }

  private func compare(
    _ items: VectorCollection, _ oracle: [String: VectorRecord], _ metric: Metric, _ query: [Float],
    step: Int
  ) throws {
    #expect(items.count == oracle.count)
    var scrolled: [VectorRecord] = []
    var cursor: String?
    repeat {
      let page = try items.scroll(after: cursor, limit: 97)
      scrolled += page.records
      cursor = page.next
    } while cursor != nil
    #expect(
      scrolled.map(\.key) == oracle.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    for record in scrolled { #expect(record == oracle[record.key]) }

    for filter in [nil, Field("year") >= 2020 && Field("even") == true, Field("year") == 2003] {
      let matching = oracle.values.filter { filter?.matches($0.metadata) ?? true }
      let truth = matching.map { (distance($0.vector, query, metric), $0.key) }
        .sorted { $0 < $1 }.prefix(10)
      for exact in [true, false] {
        let hits = try items.search(
          query, k: 10, options: .init(efSearch: 200, filter: filter, exact: exact)
        ).hits
        #expect(hits.count == truth.count, "step \(step), exact \(exact)")
        let worst = (truth.last?.0 ?? 0) + 1e-4
        let near = hits.count { Double($0.distance) <= worst }
        #expect(near >= (exact ? truth.count : truth.count * 8 / 10), "step \(step)")
        for hit in hits {
          let record = try #require(oracle[hit.key])
          #expect(filter?.matches(record.metadata) ?? true)
          #expect(abs(Double(hit.distance) - distance(record.vector, query, metric)) < 1e-3)
        }
      }
      if let filter { #expect(try items.count(where: filter) == matching.count) }
    }
  }

  private func distance(_ a: [Float], _ b: [Float], _ metric: Metric) -> Double {
    let dot = zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    switch metric {
    case .l2, .hamming: return squaredDistance(a, b)
    case .dot: return -dot
    case .cosine:
      let norms = [a, b].map { $0.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() }
      return 1 - dot / (norms[0] * norms[1])
    }
  }
}
