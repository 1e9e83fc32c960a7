import FoundationEssentials
import Glibc
import VecDBBytes
import VecDBIndex

/// The effort that filtered searches need for a recall target, for filters that match about the same
/// part of a collection.
///
/// What a filter does to a walk depends on where its records lie, and searches with one filter often
/// lie together. So canary queries are asked in several regions, with filters that know nothing of
/// the region, that match what is nearest to it, and that match what is farthest; and a region where
/// searching is hard must reach the target, not the mean of all.
struct FilterCalibration {
  private static let regionCount = 8
  private static let queriesPerRegion = 16
  /// The regions of which the mean counts: those with the least recall.
  private static let hardRegions = 1
  /// The part of the misses that a target allows which these queries may have: so few of a region
  /// tell little of the next ones.
  private static let missPart = 0.25

  let k: Int
  let bucket: Int
  let count: Int
  /// Recall at each effort, ascending: of filters that match near the query, and of others.
  private var near: [(efSearch: Int, recall: Double)] = []
  private var far: [(efSearch: Int, recall: Double)] = []

  /// Filters are told apart by the power of two nearest to the part that they match.
  static func bucket(matching: Int, slots: Int) -> Int {
    let part = Double(max(1, matching)) / Double(max(1, slots))
    return max(0, Int((-log2(part)).rounded()))
  }

  func holds(forCount count: Int) -> Bool {
    count <= self.count + self.count / 2 && count * 2 >= self.count
  }

  func effort(forRecall recall: Double) -> SearchEffort {
    let wanted = 1 - (1 - recall) * Self.missPart
    func least(_ table: [(efSearch: Int, recall: Double)]) -> Int? {
      table.first { $0.recall >= wanted }?.efSearch
    }
    guard let near = least(near), let far = least(far) else { return .exact }
    return SearchEffort(near: near, far: far)
  }

  // MARK: Measuring

  private enum Shape: CaseIterable { case random, near, far }

  private struct Region {
    /// Records near its middle, to be left out when they are asked for.
    var queries: [(vector: [Float], slot: UInt32)]
    /// By codes, of every slot from the region's middle.
    var distances: [UInt32]
  }

  private struct Sample {
    var queries: [(vector: [Float], slot: UInt32)]
    /// Per query: its k nearest, the nearest first.
    var truth: [[SearchHit]]
    var filter: SlotBitset

    /// The filter without the record that is asked for.
    func filter(without slot: UInt32) -> SlotBitset {
      var result = filter
      guard Int(slot) < result.count, result[Int(slot)] else { return filter }
      result[Int(slot)] = false
      result.countMembers()
      return result
    }
  }

  /// Measures. Each query looks at the moment that it is asked in, so that a writer waits for one at
  /// most. Cost: an exact search of the filters' records for each query and shape.
  init(_ index: IndexGeneration, k: Int, bucket: Int, count: Int) throws {
    (self.k, self.bucket, self.count) = (k, bucket, count)
    // The largest filters lie between one half and everything.
    let part = bucket == 0 ? 0.8 : 1 / Double(1 << min(bucket, 62))
    var samples: [Shape: [Sample]] = [:]
    var state: UInt64 = 0x5eed_cafe
    for _ in 0..<Self.regionCount {
      let slots = index.view().slotCount
      guard let region = try index.reading({ try Self.region(index, &state) }) else { continue }
      for shape in Shape.allCases {
        var sample = Sample(
          queries: region.queries, truth: [],
          filter: Self.filter(shape, part, region, slots: slots))
        sample.truth = try region.queries.map { query in
          let filter = sample.filter(without: query.slot)
          return try index.reading {
            try index.exactSearch(query.vector, k: k, filter: filter).hits
          }
        }
        samples[shape, default: []].append(sample)
      }
    }
    let (random, close, away) = (
      samples[.random] ?? [], samples[.near] ?? [], samples[.far] ?? []
    )
    near = try Self.climb(from: k) { ef in
      min(
        try Self.recall(index, random, k: k, ef), try Self.recall(index, close, k: k, ef))
    }
    far = try Self.climb(from: k) { try Self.recall(index, away, k: k, $0) }
  }

  private static func climb(
    from k: Int, _ recall: (Int) throws -> Double
  ) throws -> [(efSearch: Int, recall: Double)] {
    var table: [(efSearch: Int, recall: Double)] = []
    for efSearch in Calibration.ladder
    where efSearch >= k || efSearch == Calibration.ladder.last {
      table.append((efSearch, try recall(efSearch)))
      if let last = table.last, last.recall >= 0.9999 { break }
    }
    return table
  }

  /// A live record's surroundings; nil where there are none.
  private static func region(
    _ index: IndexGeneration, _ state: inout UInt64
  ) throws -> Region? {
    let view = index.view()
    guard let middle = FreshQueries.liveSlot(index, view, &state),
      let vector = index.vector(Int(middle))
    else { return nil }
    let around = try index.search(vector, k: 4 * queriesPerRegion, ef: 128, at: view).hits
    let queries = (0..<(around.isEmpty ? 0 : queriesPerRegion)).compactMap { number in
      let slot = around[number * around.count / queriesPerRegion].slot
      return index.vector(Int(slot)).map { (vector: $0, slot: slot) }
    }
    return Region(queries: queries, distances: index.codedDistances(from: vector, at: view))
  }

  private static func filter(
    _ shape: Shape, _ part: Double, _ region: Region, slots: Int
  ) -> SlotBitset {
    var filter = SlotBitset(count: slots)
    let distances = region.distances
    if shape == .random || distances.count < slots {
      let limit = UInt64(part * 0x1p32)
      for slot in 0..<slots where scrambled(slot) >> 32 < limit { filter[slot] = true }
    } else {
      let step = max(1, slots / 8_192)
      let sample = stride(from: 0, to: slots, by: step).map { distances[$0] }.sorted()
      let rank = Double(sample.count) * (shape == .near ? part : 1 - part)
      let limit = sample[min(sample.count - 1, max(0, Int(rank)))]
      for slot in 0..<slots where (distances[slot] <= limit) == (shape == .near) {
        filter[slot] = true
      }
    }
    filter.countMembers()
    return filter
  }

  private static func scrambled(_ slot: Int) -> UInt64 {
    splitMix64Scrambled((UInt64(slot) &+ 1) &* splitMix64Increment)
  }

  private static func recall(
    _ index: IndexGeneration, _ samples: [Sample], k: Int, _ efSearch: Int
  ) throws -> Double {
    var recalls: [Double] = []
    for sample in samples {
      var (found, wanted) = (0, 0)
      for (query, truth) in zip(sample.queries, sample.truth) {
        let filter = sample.filter(without: query.slot)
        try index.reading {
          let view = index.view()
          let nearest = truth.filter { index.isVisible(Int($0.slot), in: view) }
          guard let worst = nearest.last?.distance else { return }
          let outcome = try index.search(
            query.vector, k: k, ef: efSearch, farEf: efSearch, filter: filter,
            leavingOut: query.slot, at: view)
          found += min(nearest.count, outcome.hits.count { $0.distance <= worst })
          wanted += nearest.count
        }
      }
      if wanted > 0 { recalls.append(Double(found) / Double(wanted)) }
    }
    let hard = recalls.sorted().prefix(hardRegions)
    return hard.isEmpty ? 1 : hard.reduce(0, +) / Double(hard.count)
  }
}
