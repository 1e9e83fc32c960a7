import Testing
import VecDBIndex
import VecDBShapes

/// Vectors whose distances are beyond what a float can say are ordered as they lie.
@Suite struct WideDistanceTests {
  private static func truth(
    _ query: [Float], _ data: [[Float]], metric: IndexParameters.Metric, k: Int
  ) -> (distances: [Double], worst: Double) {
    let distances = data.map { row in
      zip(query, row).reduce(0.0) { sum, pair in
        let (a, b) = (Double(pair.0), Double(pair.1))
        return metric == .l2 ? sum + (a - b) * (a - b) : sum - a * b
      }
    }
    return (distances, distances.sorted()[k - 1])
  }

  @Test(
    arguments: ["tiny", "small", "large", "huge", "subnormal"], [IndexParameters.Metric.l2, .dot])
  func orderIsThatOfDoubles(name: String, metric: IndexParameters.Metric) throws {
    let data = ShapeData(try CodeFitTests.shape(name), count: 1_800, queries: 25)
    // Before there is a graph, and with one.
    for count in [500, 1_800] {
      let base = Array(data.base.prefix(count))
      let index = try CodeFitTests.index(base, metric: metric)
      #expect(index.checkInvariants() == [])
      for isExact in [true, false] {
        var (found, wanted) = (0, 0)
        for query in data.queries {
          let (distances, worst) = Self.truth(query, base, metric: metric, k: 10)
          let hits =
            try isExact
            ? index.exactSearch(query, k: 10).hits : index.search(query, k: 10, ef: 64).hits
          // Keys of wide distances have 21 bits behind the point.
          let slack = abs(worst) * 0x1p-20
          found += hits.count { distances[Int($0.slot)] <= worst + slack }
          wanted += 10
          for (hit, next) in zip(hits, hits.dropFirst()) { #expect(hit.distance <= next.distance) }
        }
        let recall = Double(found) / Double(wanted)
        #expect(recall >= (isExact ? 1 : 0.9), "\(name) \(metric), \(count) records: \(recall)")
      }
    }
  }

  /// Keys order as distances do, over all that products of floats can be.
  @Test(arguments: [IndexParameters.Metric.l2, .dot], [UInt64(1), 2, 3])
  func keysOrderAsDistances(metric: IndexParameters.Metric, seed: UInt64) {
    var random = ShapeGenerator(seed: seed)
    var distances = [0, .infinity, 0x1p-298, 0x1p271, 1, 1.5]
    for _ in 0..<4_000 {
      let size = Double(sign: .plus, exponent: random.below(570) - 298, significand: 1)
      distances.append(size * (1 + Double(random.below(1 << 30)) / 0x1p30))
      // One next to it, which its key need not tell from it.
      distances.append(distances[distances.count - 1] * (1 + 0x1p-20))
    }
    if metric == .dot { distances += distances.map { -$0 } }
    distances.sort()
    let keys = distances.map { IndexGeneration.wideKey($0, metric) }
    for (index, key) in keys.enumerated().dropFirst() {
      #expect(keys[index - 1] <= key, "\(distances[index - 1]) \(distances[index]), seed \(seed)")
      let isNext = abs(distances[index] - distances[index - 1]) > abs(distances[index]) * 0x1p-20
      if isNext, distances[index].isFinite, distances[index - 1].isFinite {
        #expect(keys[index - 1] < key, "\(distances[index - 1]) \(distances[index]), seed \(seed)")
      }
    }
    for (distance, key) in zip(distances, keys) where distance.isFinite {
      let told = IndexGeneration.distance(wideKey: key, metric)
      #expect(abs(told - distance) <= abs(distance) * 0x1p-20, "\(distance) as \(told)")
    }
    #expect(IndexGeneration.wideKey(.nan, metric) == .max)
  }
}
