import VectorIndex

/// Deterministic queries that measure recall: live records, each moved a little towards another.
///
/// They are a function of the state alone, so the same state gives the same queries, answers and
/// recall on every machine.
enum Canaries {
  /// Counts how queries are chosen; recall of different ones can be near, but not equal.
  static let version = 2

  /// Measures graph search against exact search. A hit counts if it is as near as the true k-th, so
  /// that ties are not held against the graph.
  static func measure(
    _ collection: CollectionRuntime, queries: Int, k: Int, efSearch: Int
  ) throws -> CanaryReport.Entry {
    let index = collection.index
    let sample = queryVectors(index, count: queries)
    let truth = try worstTrueDistances(index, sample, k: k)
    return CanaryReport.Entry(
      collection: collection.definition.name, queries: sample.count, k: k, efSearch: efSearch,
      recall: try recall(index, sample, truth, k: k, efSearch: efSearch))
  }

  /// Measures as backups do and restores after them: with at most 50 queries, and fewer where the
  /// exact answers would take long, down to 8.
  static func measureForRestore(_ collection: CollectionRuntime) throws -> CanaryReport.Entry {
    let components = max(1, collection.count * collection.definition.dimensions)
    return try measure(
      collection, queries: min(50, max(8, exactComponentsLimit / components)), k: 10,
      efSearch: SearchOptions.defaultEfSearch)
  }

  /// Components of vectors that exact answers may compare in all: well below 1 s of
  /// one core.
  private static let exactComponentsLimit = 500_000_000

  /// The distance of the k-th true neighbour and how many there are.
  typealias Truth = (worst: Float, count: Int)

  static func worstTrueDistance(
    _ index: IndexGeneration, _ query: [Float], k: Int, at view: ReadView? = nil
  ) throws -> Truth {
    try worstTrueDistances(index, [query], k: k, at: view)[0]
  }

  static func worstTrueDistances(
    _ index: IndexGeneration, _ queries: [[Float]], k: Int, at view: ReadView? = nil
  ) throws -> [Truth] {
    let exact = try index.reading { try index.exactSearch(queries, k: k, at: view) }
    return exact.map { ($0.hits.last?.distance ?? 0, $0.hits.count) }
  }

  static func recall(
    _ index: IndexGeneration, _ sample: [[Float]], _ truth: [Truth], k: Int, efSearch: Int,
    at view: ReadView? = nil
  ) throws -> Double {
    var found = 0
    var wanted = 0
    for (query, truth) in zip(sample, truth) {
      let outcome = try index.reading {
        try index.search(query, k: k, ef: efSearch, at: view)
      }
      found += outcome.hits.count { $0.distance <= truth.worst }
      wanted += truth.count
    }
    return wanted == 0 ? 1 : Double(min(found, wanted)) / Double(wanted)
  }

  /// At most `count` queries, fewer only if there are no live records.
  static func queryVectors(
    _ index: IndexGeneration, count: Int, at view: ReadView? = nil
  ) -> [[Float]] {
    index.reading { chooseVectors(index, count: count, at: view ?? index.view()) }
  }

  private static func chooseVectors(
    _ index: IndexGeneration, count: Int, at view: ReadView
  ) -> [[Float]] {
    guard index.liveCount > 0 else { return [] }
    var state: UInt64 = 0x5eed_cafe
    return (0..<count).compactMap { _ in
      guard let near = liveSlot(index, view, &state), let far = liveSlot(index, view, &state)
      else { return nil }
      return between(index, near, far)
    }.filter { query in
      index.parameters.metric != .cosine || query.contains { $0 != 0 }
    }
  }

  /// The first of two records, moved a little towards the other.
  static func between(_ index: IndexGeneration, _ near: UInt32, _ far: UInt32) -> [Float] {
    let pairs = Array(zip(index.vector(Int(near)) ?? [], index.vector(Int(far)) ?? []))
    guard index.parameters.metric != .hamming else {
      // Every fifth bit from the other.
      return pairs.enumerated().map { $0 % 5 == 4 ? $1.1 : $1.0 }
    }
    let query = pairs.map { 0.8 * $0 + 0.2 * $1 }
    // Among whole numbers it is one of them, and exact answers are found in the codes.
    let isWhole = pairs.allSatisfy { $0 == $0.rounded() && $1 == $1.rounded() }
    return isWhole ? query.map { $0.rounded() } : query
  }

  /// Draws a live slot; `state` is the generator's.
  static func liveSlot(
    _ index: IndexGeneration, _ view: ReadView, _ state: inout UInt64
  ) -> UInt32? {
    // SplitMix64 (Steele et al., 2014).
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    let start = Int((z ^ (z >> 31)) % UInt64(max(1, view.slotCount)))
    for offset in 0..<view.slotCount {
      let slot = (start + offset) % view.slotCount
      if index.isVisible(slot, in: view) { return UInt32(slot) }
    }
    return nil
  }
}

extension Database {
  /// Measures recall of every collection with canary queries: deterministic perturbations of live
  /// records, answered by the graph and exactly.
  ///
  /// Cost: `queries` exact searches of each collection, on the calling thread.
  public func measureRecall(
    queries: Int = 100, k: Int = 10, efSearch: Int = SearchOptions.defaultEfSearch
  ) throws -> CanaryReport {
    try requireOpen()
    return try VecDBError.translating {
      let report = CanaryReport(
        collections: try catalog.all.map {
          try Canaries.measure($0, queries: queries, k: k, efSearch: efSearch)
        })
      engine.telemetry.measured(report)
      return report
    }
  }
}
