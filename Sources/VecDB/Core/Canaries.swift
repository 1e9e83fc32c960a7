import VectorIndex

/// Deterministic queries that measure recall: live records, left out as if they were not there.
///
/// They are a function of the state alone, so the same state gives the same queries, answers and
/// recall on every machine.
enum Canaries {
  /// Counts how queries are chosen; recall of different ones cannot be compared.
  static let version = 3

  /// Measures graph search against exact search, without what makes up for a poor index.
  static func measure(
    _ collection: CollectionRuntime, queries: Int, k: Int, efSearch: Int
  ) throws -> CanaryReport.Entry {
    let index = collection.index
    var sample = FreshQueries.leftOut(index, count: queries)
    try sample.answer(index, k: k)
    let recall = try sample.recall(
      index, k: k, efSearch: efSearch, compensation: IndexGeneration.Compensation.none)
    return CanaryReport.Entry(
      collection: collection.definition.name, queries: recall.queries, k: k, efSearch: efSearch,
      recall: recall.mean)
  }

  /// Measures as backups do and restores after them: with at most 100 queries, and fewer where the
  /// exact answers would take long, down to 16.
  static func measureForRestore(_ collection: CollectionRuntime) throws -> CanaryReport.Entry {
    try measure(
      collection, queries: affordableQueries(collection, 16...100), k: 10,
      efSearch: SearchOptions.defaultEfSearch)
  }

  /// Queries whose exact answers take well below 1 s of one core, within a range.
  static func affordableQueries(
    _ collection: CollectionRuntime, _ range: ClosedRange<Int>
  ) -> Int {
    let components = max(1, collection.count * collection.definition.dimensions)
    return min(range.upperBound, max(range.lowerBound, exactComponentsLimit / components))
  }

  private static let exactComponentsLimit = 1_000_000_000

  /// Draws a live slot, of `slots` if these are given; `state` is the generator's.
  static func liveSlot(
    _ index: IndexGeneration, _ view: ReadView, _ state: inout UInt64,
    among slots: Range<Int>? = nil
  ) -> UInt32? {
    let slots = slots ?? 0..<view.slotCount
    // SplitMix64 (Steele et al., 2014).
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    let start = Int((z ^ (z >> 31)) % UInt64(max(1, slots.count)))
    for offset in 0..<slots.count {
      let slot = slots.lowerBound + (start + offset) % slots.count
      if index.isVisible(slot, in: view) { return UInt32(slot) }
    }
    return nil
  }
}

extension Database {
  /// Measures recall of every collection at one effort with canary queries: live records, left out
  /// of search and truth as if they were not there.
  ///
  /// What makes up for a poor index is left aside; ``measureHealth()`` says what searches find.
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
