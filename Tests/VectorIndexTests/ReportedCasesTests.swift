import Testing
import VecDBIndex
import VecDBShapes

/// Cases that users of other libraries reported, each with where.
@Suite struct ReportedCasesTests {
  private static func found(
    _ index: IndexGeneration, _ queries: [[Float]], ef: Int = 64
  ) throws -> Double {
    try VectorIndexTests.recall(index, queries: queries, k: 10, ef: ef)
  }

  private static func positive(_ count: Int, dimensions: Int, seed: UInt64) -> [[Float]] {
    var random = TestRandom(seed: seed)
    return (0..<count).map { _ in (0..<dimensions).map { _ in abs(random.normal()) + 0.2 } }
  }

  @Test func `lucene 13350: inner products of vectors that are not centred keep their recall`()
    throws
  {
    let data = Self.positive(2_500, dimensions: 64, seed: 1)
    let index = try CodeFitTests.index(data, metric: .dot)
    #expect(try Self.found(index, Self.positive(40, dimensions: 64, seed: 2)) >= 0.95)
  }

  @Test func `lucene 13519: eight bits find no less where a tenth of the values lies far out`()
    throws
  {
    var random = TestRandom(seed: 3)
    func vector() -> [Float] {
      (0..<96).map { _ in random.below(10) == 0 ? 20 * random.normal() : random.normal() }
    }
    let data = (0..<2_500).map { _ in vector() }
    let index = try CodeFitTests.index(data, metric: .l2)
    let plain = try CodeFitTests.index(data, metric: .l2, codes: .rows)
    let queries = (0..<40).map { _ in vector() }
    #expect(try Self.found(index, queries) >= Self.found(plain, queries) - 0.01)
  }

  @Test func `lucene 12627: no record is out of reach`() throws {
    let data = ShapeData(try CodeFitTests.shape("sorted-clusters"), count: 2_500, queries: 1).base
    let index = try CodeFitTests.index(data, metric: .cosine)
    for slot in stride(from: 0, to: data.count, by: 31) {
      let hits = try index.search(data[slot], k: 1, ef: 64).hits
      #expect(hits.first.map { $0.distance <= 1e-6 } == true, "slot \(slot)")
    }
  }

  @Test func `lucene 12582: records sorted by their cluster are found as well as shuffled ones`()
    throws
  {
    let data = ShapeData(try CodeFitTests.shape("sorted-clusters"), count: 2_500, queries: 40)
    let sorted = try CodeFitTests.index(data.base, metric: .l2)
    var random = TestRandom(seed: 5)
    let shuffled = try CodeFitTests.index(data.base.shuffled(using: &random), metric: .l2)
    #expect(
      try Self.found(sorted, data.queries) >= Self.found(shuffled, data.queries) - 0.01)
  }

  @Test func `qdrant 9352: a query twice as long has the same answers under the inner product`()
    throws
  {
    let data = ShapeData(try CodeFitTests.shape("gaussian-16"), count: 2_500, queries: 40)
    let index = try CodeFitTests.index(data.base, metric: .dot)
    for query in data.queries {
      let once = try index.search(query, k: 10, ef: 64).hits.map(\.slot)
      let twice = try index.search(query.map { $0 * 2 }, k: 10, ef: 64).hits.map(\.slot)
      #expect(once == twice)
    }
  }

  @Test func `qdrant 9515: moving all vectors and the query changes no answer`() throws {
    let data = ShapeData(try CodeFitTests.shape("topics"), count: 2_500, queries: 40)
    let moved = try CodeFitTests.index(data.base.map { $0.map { $0 + 64 } }, metric: .l2)
    #expect(try Self.found(moved, data.queries.map { $0.map { $0 + 64 } }) >= 0.99)
  }

  @Test func `qdrant 4001: a record of 2048 components is its own nearest at distance 0`() throws {
    var random = TestRandom(seed: 6)
    let data = (0..<1_200).map { _ in random.vector(2_048) }
    let index = try CodeFitTests.index(data, metric: .l2)
    for slot in stride(from: 0, to: data.count, by: 61) {
      let hit = try #require(try index.search(data[slot], k: 1, ef: 64).hits.first)
      #expect(hit.slot == slot && hit.distance == 0)
    }
  }

  @Test func `qdrant 10239: a thousand equal vectors are no sink`() throws {
    var random = TestRandom(seed: 7)
    let same = random.vector(32)
    let data = (0..<3_000).map { $0 % 3 == 0 ? same : random.vector(32) }
    let index = try CodeFitTests.index(data, metric: .l2)
    let queries = (0..<40).map { _ in random.vector(32) }
    #expect(try Self.found(index, queries) >= 0.93)
    #expect(try index.search(same, k: 900, ef: 900).hits.count { $0.distance == 0 } >= 890)
  }

  @Test func `lance 7352: inner products with negative components keep their recall`() throws {
    let data = ShapeData(try CodeFitTests.shape("negative"), count: 2_500, queries: 40)
    let index = try CodeFitTests.index(data.base, metric: .dot)
    #expect(try Self.found(index, data.queries) >= 0.95)
  }

  @Test func `faiss 1559: the range of the first records does not bind the later ones`() throws {
    let data = ShapeData(try CodeFitTests.shape("range-moves"), count: 3_000, queries: 40)
    let index = try CodeFitTests.index(data.base, metric: .l2)
    #expect(try Self.found(index, data.queries) >= 0.9)
  }

  @Test func `grafeo 391: records that come after a tight cluster can be reached`() throws {
    var random = TestRandom(seed: 8)
    let centre = random.vector(24)
    let cluster = (0..<1_500).map { _ in centre.map { $0 + 0.0001 * random.normal() } }
    let later = (0..<200).map { _ in random.vector(24).map { $0 * 50 } }
    let index = try CodeFitTests.index(cluster + later, metric: .l2)
    for (number, vector) in later.enumerated() {
      let hit = try index.search(vector, k: 1, ef: 64).hits.first
      #expect(hit.map { Int($0.slot) } == 1_500 + number)
    }
  }

  @Test func `hnswlib 352: as many as there are come back when all are asked for`() throws {
    var random = TestRandom(seed: 9)
    var data = (0..<1_300).map { _ in random.vector(16) }
    data.append(data[0].map { $0 + 10_000 })
    let index = try CodeFitTests.index(data, metric: .l2)
    let hits = try index.search(data[5], k: data.count, ef: 10).hits
    #expect(Set(hits.map(\.slot)).count == data.count)
  }

  @Test func `hnswlib 674: insertion by similarity costs no recall`() throws {
    let data = ShapeData(try CodeFitTests.shape("ascending"), count: 2_500, queries: 40)
    let index = try CodeFitTests.index(data.base, metric: .l2)
    #expect(try Self.found(index, data.queries) >= 0.95)
  }

  @Test func `NornicDB 433: near duplicates of each document do not fall apart into islands`()
    throws
  {
    let data = ShapeData(try CodeFitTests.shape("near-duplicates"), count: 3_000, queries: 60)
    let index = try CodeFitTests.index(data.base, metric: .cosine)
    #expect(try Self.found(index, data.queries) >= 0.95)
  }

  @Test func `weaviate 4252: codes trained on the first objects alone do not bind the rest`() throws
  {
    // The first thousand have one value in all components.
    var random = TestRandom(seed: 10)
    let data = (0..<3_000).map { number in
      number < 1_024 ? [Float](repeating: 0.5, count: 48) : random.vector(48)
    }
    let index = try CodeFitTests.index(data, metric: .l2)
    let queries = (0..<40).map { _ in random.vector(48) }
    #expect(try Self.found(index, queries) >= 0.85)
    #expect(
      try Self.found(index, queries)
        >= Self.found(CodeFitTests.index(data, metric: .l2, codes: .rows), queries) - 0.02)
  }
}
