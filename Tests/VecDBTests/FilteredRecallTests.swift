import Testing
import VecDB

/// A recall that is asked for is reached with filters too.
@Suite struct FilteredRecallTests {
  private static let dimensions = 256
  private static let count = 12_000

  /// Points in clusters, made of 16 numbers and a little noise.
  private struct Points {
    private var random = SeededGenerator(seed: 5)
    private var mixing: [[Float]] = []
    private var centres: [[Float]] = []

    init() {
      mixing = (0..<16).map { _ in (0..<dimensions).map { _ in normal() } }
      centres = (0..<20).map { _ in (0..<16).map { _ in normal() } }
    }

    /// Roughly normal, variance 1.
    private mutating func normal() -> Float {
      (0..<4).reduce(0) { sum, _ in sum + Float.random(in: -1...1, using: &random) } * 0.866
    }

    mutating func next() -> [Float] {
      let centre = centres[Int.random(in: 0..<centres.count, using: &random)]
      var result = (0..<dimensions).map { _ in 0.3 * normal() }
      for (axis, direction) in mixing.enumerated() {
        let weight = centre[axis] + normal()
        for j in 0..<dimensions { result[j] += weight * direction[j] }
      }
      return result
    }
  }

  private static func distance(_ a: [Float], _ b: [Float]) -> Float {
    var sum: Float = 0
    for j in 0..<dimensions { sum += (a[j] - b[j]) * (a[j] - b[j]) }
    return sum
  }

  /// Queries around a point, and filters that know nothing of it, match near it and match far from
  /// it. The least effort is not enough for all of these.
  @Test func targetIsReachedWithEveryFilter() async throws {
    var points = Points()
    let vectors = (0..<Self.count).map { _ in points.next() }
    let anchor = points.next()
    let queries = (0..<1_000).map { _ in points.next() }
      .map { (query: $0, distance: Self.distance($0, anchor)) }
      .sorted { $0.distance < $1.distance }.prefix(60).map(\.query)
    let distances = vectors.map { Self.distance($0, anchor) }
    let order = vectors.indices.sorted { distances[$0] < distances[$1] }
    var ranks = [Int](repeating: 0, count: Self.count)
    for (rank, row) in order.enumerated() { ranks[row] = rank * 1_000 / Self.count }
    var random = SeededGenerator(seed: 8)
    let records = vectors.indices.map { row in
      let metadata: Metadata = [
        "random": .integer(Int64.random(in: 0..<1_000, using: &random)),
        "rank": .integer(Int64(ranks[row])),
      ]
      return VectorRecord(key: "\(row)", vector: vectors[row], metadata: metadata)
    }

    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("d.vecdb"))
    let items = try await database.createCollection(
      "c", dimensions: Self.dimensions, metric: .l2)
    try await items.upsert(records)
    var worstAtPlain = 1.0
    for part in [500, 250, 100, 10, 1] as [Int64] {
      let filters = [
        Field("random") < part, Field("rank") < part, Field("rank") >= 1_000 - part,
      ]
      for filter in filters {
        func recall(_ options: SearchOptions) throws -> Double {
          var (found, wanted) = (0, 0)
          for query in queries {
            let truth = try items.search(
              query, options: SearchOptions(filter: filter, exact: true)
            ).hits
            let hits = try items.search(query, options: options).hits
            #expect(hits.count == truth.count)
            found += hits.count { $0.distance <= truth.last?.distance ?? 0 }
            wanted += truth.count
          }
          return wanted == 0 ? 1 : Double(found) / Double(wanted)
        }
        let reached = try recall(SearchOptions(recall: 0.95, filter: filter))
        #expect(reached >= 0.95, "\(filter)")
        worstAtPlain = min(
          worstAtPlain, try recall(SearchOptions(efSearch: 10, filter: filter)))
      }
    }
    #expect(worstAtPlain < 0.95, "the filters are too easy to tell anything")
    try await database.close()
  }
}
