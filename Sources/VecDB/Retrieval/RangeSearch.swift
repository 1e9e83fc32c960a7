extension VectorCollection {
  /// All records at most `distance` away from `vector`, nearest first.
  ///
  /// Searches for the nearest records, more each time, until so many lie beyond the distance that
  /// those within it are found as well as the nearest half of a plain search finds them. If a search
  /// would have to find more than an eighth of the collection, it compares every record, and the
  /// answer is exact; `options.exact` and `options.recall` hold as in
  /// ``search(_:k:options:)-([Float],_,_)``. If writers work beside it, the answer is that of its
  /// last search.
  ///
  /// - Parameters:
  ///   - distance: by the collection's ``Metric``, included. Not negative, but for `dot`, whose
  ///     distances are negative inner products.
  ///   - limit: at most so many records, the nearest ones; 1 to 65,536, or nil for all.
  /// - Throws: as a plain search; `invalidArgument` for a distance or a limit that cannot be;
  ///   `limitExceeded` without a limit if more than 65,536 records are within the distance.
  /// - Complexity: a plain search with a k of twice to eight times the records within the distance.
  public func search(
    _ vector: [Float], within distance: Float, limit: Int? = nil,
    options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try VecDBError.translating {
      try run(
        RangeSearch(
          within: distance, limit: limit, metric: metric, count: count, options: options), vector)
    }
  }
}

/// What lies within a distance.
///
/// What always holds: k grows with each search, up to the most that a search can find.
package struct RangeSearch: ComposedSearch {
  private static let firstK = 64
  private static let growth = 4
  /// A walk that is to find more than this part of all records costs more than comparing them all.
  private static let exactShare = 8

  private let distance: Float
  private let limit: Int?
  private let count: Int
  private var options: SearchOptions
  private var k: Int
  private var result: SearchResult?
  private var isComplete = false
  private var work = (distances: 0, hops: 0)

  /// - Parameter count: live records, from which on a search compares them all.
  package init(
    within distance: Float, limit: Int?, metric: Metric, count: Int, options: SearchOptions
  ) throws {
    try requireQueryOption(
      !distance.isNaN && (distance >= 0 || metric == .dot), "the distance is \(distance)",
      "Use a number that is not negative; only distances of dot can be.")
    try requireQueryOption(
      limit.map((1...DatabaseLimits.maximumK).contains) ?? true, "the limit is \(limit ?? 0)",
      "Use 1 to \(DatabaseLimits.maximumK), or none.")
    (self.distance, self.limit, self.count, self.options) = (distance, limit, count, options)
    k = Self.firstK
  }

  package func next() -> PlainSearch? {
    guard !isComplete else { return nil }
    var step = PlainSearch(k: k, options: options)
    if k > count / Self.exactShare { step.options.exact = true }
    return step
  }

  package mutating func take(_ result: SearchResult) throws {
    work.distances += result.distances
    work.hops += result.hops
    let within = result.hits.prefix { $0.distance <= distance }
    if k == DatabaseLimits.maximumK, within.count == k, limit == nil {
      throw VecDBError(
        .limitExceeded, "more than \(k) records are within the distance \(distance)",
        at: "query", remedy: "Give a limit, or a smaller distance.")
    }
    isComplete =
      result.hits.count < k || k == DatabaseLimits.maximumK
      || min(within.count, limit ?? .max) <= k / 2
    k = min(k * Self.growth, DatabaseLimits.maximumK)
    var result = result
    result.hits = Array(within.prefix(limit ?? .max))
    (result.distances, result.hops) = work
    self.result = result
  }

  package func answer() throws -> SearchResult {
    guard let result else {
      throw VecDBError(.invalidArgument, "nothing was searched", at: "query")
    }
    return result
  }
}
