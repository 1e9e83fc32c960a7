import VecDBIndex

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
}
