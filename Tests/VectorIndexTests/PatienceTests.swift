import Testing
import VecDBIndex
import VecDBShapes

/// Walks end before they have expanded all of their candidates where the nearest ones do not change
/// any more; what they find is what they found before.
@Suite struct PatienceTests {
  /// Data of few dimensions that could make a walk end too early: ties, copies, small groups far
  /// from each other, order of insertion.
  enum Data: String, CaseIterable, Sendable {
    case line, plane, cities, lattice, units, coarseLattice, copies, smallGroups, groups, sorted
    case ascending, normal

    func vectors(_ count: Int, random: inout TestRandom) throws -> [[Float]] {
      let width = [.coarseLattice: 2, .copies: 3, .smallGroups: 3, .sorted: 5][self] ?? 7
      func centres(_ count: Int, scale: Float) -> [[Float]] {
        (0..<count).map { _ in (0..<width).map { _ in random.normal() * scale } }
      }
      func around(_ centre: [Float], _ scale: Float) -> [Float] {
        centre.map { $0 + random.normal() * scale }
      }
      switch self {
      case .line, .plane, .cities, .lattice, .units:
        return ShapeData(try CodeFitTests.shape(rawValue), count: count, queries: 1).base
      case .coarseLattice:
        return (0..<count).map { _ in [Float(1 + random.below(12)), Float(1 + random.below(12))] }
      case .copies:
        let originals = centres(80, scale: 1)
        return (0..<count).map { _ in originals[random.below(80)] }
      case .smallGroups:
        let all = centres(count / 12, scale: 100)
        return (0..<count).map { _ in around(all[random.below(all.count)], 0.01) }
      case .groups:
        let all = centres(30, scale: 100)
        return (0..<count).map { _ in around(all[random.below(all.count)], 1) }
      case .sorted:
        let all = centres(30, scale: 100)
        return (0..<count).map { around(all[$0 * 30 / count], 1) }
      case .ascending:
        return (0..<count).map { [Float($0) / 100] + centres(1, scale: 1)[0].dropFirst() }
      case .normal:
        return centres(count, scale: 1)
      }
    }
  }

  private static let count = 3_000

  /// Data, and queries of the same kind that are no records unless records are whole numbers.
  private static func make(_ data: Data) throws -> (records: [[Float]], queries: [[Float]]) {
    var random = TestRandom(seed: 41)
    var all = try data.vectors(count + 60, random: &random)
    // Queries from all over the sequence.
    let queries = (0..<60).map { _ in all.remove(at: random.below(all.count)) }
    return (all, queries)
  }

  /// The part of the true answers that a search finds; a hit counts if it is as near as the k-th.
  private func recall(
    _ index: IndexGeneration, queries: [[Float]], k: Int, ef: Int
  ) throws -> Double {
    var found = 0
    for query in queries {
      let exact = try index.exactSearch(query, k: k).hits
      let worst = try #require(exact.last).distance
      // What a float tells of an angle ends here.
      let limit = worst + max(abs(worst) * 1e-5, 1e-6)
      found += try index.search(query, k: k, ef: ef).hits.count { $0.distance <= limit }
    }
    return Double(found) / Double(k * queries.count)
  }

  @Test(arguments: Data.allCases, [IndexParameters.Metric.l2, .cosine])
  func findsTheNearest(data: Data, metric: IndexParameters.Metric) throws {
    // All in one direction, as far as a float can tell.
    guard data != .units || metric != .cosine else { return }
    let (records, queries) = try Self.make(data)
    let index = try CodeFitTests.index(records, metric: metric)
    for k in [1, 10, 40] {
      let reached = try recall(index, queries: queries, k: k, ef: 64)
      #expect(reached >= 0.98, "\(data) \(metric), k \(k): \(reached)")
    }
    // Two in three die; those that live are found among them.
    let dead = (0..<index.assignedSlotCount).filter { $0 % 3 != 0 }.map { UInt32($0) }
    let lsn = index.appliedLSN + 1
    try index.apply(lsn: lsn, deaths: Array(dead.prefix(Self.count * 2 / 5)), births: [])
    index.publish(lsn: lsn)
    let reached = try recall(index, queries: queries, k: 10, ef: 64)
    #expect(reached >= 0.98, "\(data) \(metric), after deaths: \(reached)")
  }

  /// A larger width finds more, or as much, under the inner product too, and the same every time.
  @Test(arguments: Data.allCases)
  func widerWalksFindMore(data: Data) throws {
    let (records, queries) = try Self.make(data)
    let index = try CodeFitTests.index(records, metric: .dot)
    var (previous, hops) = (0.0, 0)
    for ef in [16, 64, 400, 1_500] {
      let now = try recall(index, queries: queries, k: 10, ef: ef)
      #expect(now >= previous - 0.005, "\(data), ef \(ef): \(now), less than \(previous)")
      previous = max(previous, now)
      let outcome = try index.search(queries[0], k: 10, ef: ef)
      #expect(try index.search(queries[0], k: 10, ef: ef) == outcome)
      #expect(outcome.hopCount >= hops, "\(data), ef \(ef)")
      hops = outcome.hopCount
    }
  }

  /// From a wrong group of records, or among copies, all look about equally far.
  @Test func equallyFarIsNotAround() {
    func isAround(_ beforeLast: Double, _ last: Double, _ farthest: Double, metric: Bool) -> Bool {
      Patience.liesAround(
        beforeLast: beforeLast, last: last, farthest: farthest, isMetric: metric)
    }
    #expect(isAround(1, 2, 8, metric: true))
    #expect(isAround(0, 0, 0, metric: true))
    #expect(!isAround(99, 100, 101, metric: true))
    #expect(!isAround(2, 2, 8, metric: true))
    #expect(isAround(-3, -2, 5, metric: false))
    #expect(!isAround(7, 7, 9, metric: false))
  }

  /// It is patience that ends these walks, and only these.
  @Test func onlyWhereItWasMeasured() throws {
    func meanHops(_ dimensions: Int, _ metric: IndexParameters.Metric) throws -> Double {
      var random = TestRandom(seed: 5)
      let records = (0..<Self.count).map { _ in random.vector(dimensions) }
      let index = try CodeFitTests.index(records, metric: metric)
      let hops = try (0..<40).map { _ in
        try index.search(random.vector(dimensions), k: 10, ef: 64).hopCount
      }
      return Double(hops.reduce(0, +)) / 40
    }
    for metric in [IndexParameters.Metric.l2, .cosine] {
      #expect(try meanHops(2, metric) < 32)
      #expect(try meanHops(24, metric) >= 64)
    }
  }
}
