import VecDBBytes
import VecDBIndex

/// A query that no record of an index answers by being asked for.
struct FreshQuery: Sendable {
  var vector: [Float]
  /// The record that the vector was taken from: it is left out of search and truth.
  var leftOut: UInt32?
}

/// Queries to measure recall with, and their exact answers.
///
/// Stored records are no queries to measure with: a search for one finds it at once, and with it
/// its neighbours. So a record that is asked for is left out as if it were not there.
struct FreshQueries: Sendable {
  /// How queries come about. Each kind is judged by itself, since the mean of an easy and a hard
  /// one says nothing of either.
  enum Kind: Sendable, CaseIterable {
    /// Records, left out.
    case leftOut
    /// Records of the last quarter of slots, left out: where data drifts, queries drift with it.
    case recent
    /// Records, moved by half the difference of two of their neighbours.
    case perturbed
    /// Queries that were asked lately.
    case asked
  }

  let kind: Kind
  let queries: [FreshQuery]
  /// Per query: its nearest records, the nearest first.
  private(set) var truth: [[SearchHit]] = []

  var isEmpty: Bool { queries.isEmpty }

  /// Records of the index as queries; a function of the view alone.
  static func leftOut(
    _ index: IndexGeneration, count: Int, at view: ReadView? = nil, seed: UInt64 = 0x5eed_cafe
  ) -> FreshQueries {
    index.reading {
      let view = view ?? index.view()
      return leftOut(.leftOut, 0..<view.slotCount, index, count: count, at: view, seed: seed)
    }
  }

  /// Those that came last.
  static func recent(
    _ index: IndexGeneration, count: Int, at view: ReadView? = nil, seed: UInt64 = 0xfee1_600d
  ) -> FreshQueries {
    index.reading {
      let view = view ?? index.view()
      let slots = view.slotCount - view.slotCount / 4..<view.slotCount
      return leftOut(.recent, slots, index, count: count, at: view, seed: seed)
    }
  }

  private static func leftOut(
    _ kind: Kind, _ slots: Range<Int>, _ index: IndexGeneration, count: Int, at view: ReadView,
    seed: UInt64
  ) -> FreshQueries {
    var state = seed
    let queries = (0..<count).compactMap { _ -> FreshQuery? in
      guard let slot = FreshQueries.liveSlot(index, view, &state, among: slots),
        let vector = index.vector(Int(slot))
      else { return nil }
      return FreshQuery(vector: vector, leftOut: slot)
    }
    return FreshQueries(kind: kind, queries: queries)
  }

  /// Records moved a little, along the data; a function of the view alone.
  static func perturbed(
    _ index: IndexGeneration, count: Int, at view: ReadView? = nil, seed: UInt64 = 0x0dd_ba11
  ) throws -> FreshQueries {
    var state = seed
    let queries = try (0..<count).compactMap { _ -> FreshQuery? in
      try index.reading { try perturbed(index, at: view ?? index.view(), &state) }
    }
    return FreshQueries(kind: .perturbed, queries: queries)
  }

  private static func perturbed(
    _ index: IndexGeneration, at view: ReadView, _ state: inout UInt64
  ) throws -> FreshQuery? {
    guard let slot = FreshQueries.liveSlot(index, view, &state),
      let vector = index.vector(Int(slot))
    else { return nil }
    let near = try index.search(vector, k: 8, ef: 64, leavingOut: slot, at: view).hits
    guard near.count >= 2, let one = index.vector(Int(near[near.count / 2].slot)),
      let other = index.vector(Int(near[near.count - 1].slot))
    else { return nil }
    var moved = vector
    let isBinary = index.parameters.metric == .hamming
    for place in moved.indices {
      if isBinary {
        if place % 4 == 3 { moved[place] = one[place] }
      } else {
        moved[place] += 0.5 * (one[place] - other[place])
      }
    }
    // Whole numbers stay such: codes may hold them exactly.
    if vector.allSatisfy({ $0 == $0.rounded() }) { moved = moved.map { $0.rounded() } }
    guard moved.allSatisfy(\.isFinite),
      index.parameters.metric != .cosine || moved.contains(where: { $0 != 0 })
    else { return nil }
    return FreshQuery(vector: moved)
  }

  static func asked(_ vectors: [[Float]]) -> FreshQueries {
    FreshQueries(kind: .asked, queries: vectors.map { FreshQuery(vector: $0) })
  }

  private init(kind: Kind, queries: [FreshQuery]) {
    self.kind = kind
    self.queries = queries
  }

  /// Queries that are answered in one pass over the vectors.
  private static let passLength = 10

  /// Finds the exact answers, `k` for each query. Cost: a pass over all vectors for every ten
  /// queries.
  mutating func answer(_ index: IndexGeneration, k: Int, at view: ReadView? = nil) throws {
    truth = []
    for start in stride(from: 0, to: queries.count, by: Self.passLength) {
      let some = queries[start..<min(start + Self.passLength, queries.count)]
      let exact = try index.reading {
        try index.exactSearch(some.map(\.vector), k: k + 1, at: view ?? index.view())
      }
      truth += zip(some, exact).map { query, outcome in
        Array(outcome.hits.lazy.filter { $0.slot != query.leftOut }.prefix(k))
      }
    }
  }

  /// Recall, and how far chance may have moved it.
  struct Recall: Sendable, Hashable {
    var mean = 1.0
    /// Of the mean.
    var standardError = 0.0
    var queries = 0
  }

  /// How many of the hits are as near as the true k-th.
  private static func count(
    _ hits: [SearchHit], upTo worst: SearchHit, _ query: FreshQuery, _ index: IndexGeneration
  ) -> Int {
    // Angles are never so small: what is left of them then is rounding.
    guard worst.distance == 0 || !worst.distance.isFinite, index.parameters.metric != .cosine else {
      return hits.count { $0.distance <= worst.distance }
    }
    // Too small or too large for a float: equal, or only seemingly so.
    let limit = index.doubleDistance(of: Int(worst.slot), from: query.vector)
    return hits.count {
      index.doubleDistance(of: Int($0.slot), from: query.vector) <= limit * (1 + 0x1p-19)
    }
  }

  /// Searches for the `k` nearest of each query. A hit counts if it is as near as the true k-th,
  /// so that ties are not held against the graph. Only after `answer` with as many or more. An
  /// answer that was deleted since counts for nothing.
  ///
  /// - Parameter compensation: how the index is walked; nil as its searches are now.
  func recall(
    _ index: IndexGeneration, k: Int, efSearch: Int, at view: ReadView? = nil,
    compensation: IndexGeneration.Compensation? = nil
  ) throws -> Recall {
    var (sum, squares, count) = (0.0, 0.0, 0.0)
    for (query, answers) in zip(queries, truth) {
      let share = try index.reading { () throws -> (found: Int, wanted: Int) in
        let view = view ?? index.view()
        let nearest = answers.prefix(k).filter { index.isVisible(Int($0.slot), in: view) }
        guard let worst = nearest.last else { return (0, 0) }
        let outcome = try index.search(
          query.vector, k: k, ef: efSearch, leavingOut: query.leftOut, at: view,
          compensation: compensation)
        let found = Self.count(
          outcome.hits.filter { $0.slot != query.leftOut }, upTo: worst, query, index)
        return (found, nearest.count)
      }
      let (found, wanted) = share
      guard wanted > 0 else { continue }
      let recall = Double(min(found, wanted)) / Double(wanted)
      sum += recall
      squares += recall * recall
      count += 1
    }
    guard count > 0 else { return Recall() }
    let mean = sum / count
    let variance = max(0, squares / count - mean * mean)
    return Recall(
      mean: mean, standardError: (variance / max(1, count - 1)).squareRoot(), queries: Int(count))
  }
}

/// Queries that were asked, a sample of all since the opening.
final class QueryReservoir: Sendable {
  private static let capacity = 128

  private struct State {
    var vectors: [[Float]] = []
    var offered: UInt64 = 0
    var generator: UInt64 = 0x9e37_79b9_7f4a_7c15
  }

  private let state = Guarded(State())

  var vectors: [[Float]] { state.withLock { $0.vectors } }

  /// Offers a query. One of sixteen is looked at, told by its own bits, so that threads that search
  /// share no counter. Never waits.
  @inline(__always)
  func offer(_ query: UnsafeBufferPointer<Float>) {
    guard let first = query.first, let last = query.last else { return }
    let mixed = (first.bitPattern ^ last.bitPattern &<< 7) &* 0x9e37_79b9
    guard mixed >> 28 == 0 else { return }
    keep(query)
  }

  /// Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985).
  private func keep(_ query: UnsafeBufferPointer<Float>) {
    let vector = Array(query)
    _ = state.withLockIfFree { state in
      state.offered += 1
      if state.vectors.count < Self.capacity { return state.vectors.append(vector) }
      state.generator = state.generator &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let place = (state.generator >> 33) % state.offered
      if place < Self.capacity { state.vectors[Int(place)] = vector }
    }
  }
}
