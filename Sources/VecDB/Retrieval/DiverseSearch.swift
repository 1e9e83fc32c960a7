extension VectorCollection {
  /// k records that are near to `vector` and unlike each other: maximal marginal relevance over the
  /// nearest candidates (Carbonell and Goldstein, 1998).
  ///
  /// Chooses one record after the other: the one with the greatest
  /// `lambda` · similarity to the query − (1 − `lambda`) · greatest similarity to those chosen before.
  /// Similarity is the cosine of the angle between two vectors, in every metric but `hamming`, where
  /// it is the share of equal components. Of equals, the nearer record is chosen.
  ///
  /// - Parameters:
  ///   - lambda: from 0, only unlike each other, to 1, only near to the query.
  ///   - candidates: the nearest records to choose from, k to 65,536; if nil, four times k and at
  ///     least 50.
  /// - Returns: the hits in the order in which they were chosen.
  /// - Throws: as a plain search; `invalidArgument` for a lambda or candidates out of range.
  /// - Complexity: a plain search for the candidates with their vectors, and k similarities for each
  ///   candidate.
  public func search(
    _ vector: [Float], k: Int = 10, lambda: Double, candidates: Int? = nil,
    options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try VecDBError.translating {
      try run(
        DiverseSearch(
          vector, k: k, lambda: lambda, candidates: candidates, metric: metric, options: options),
        vector)
    }
  }
}

/// Maximal marginal relevance. One plain search, and a choice among what it found.
package struct DiverseSearch: ComposedSearch {
  private let query: [Float]
  private let k: Int
  private let lambda: Double
  private let candidates: Int
  private let metric: Metric
  private let options: SearchOptions
  private var result: SearchResult?

  package init(
    _ query: [Float], k: Int, lambda: Double, candidates: Int?, metric: Metric,
    options: SearchOptions
  ) throws {
    try requireQueryOption(
      (0...1).contains(lambda), "lambda is \(lambda)", "Use a number from 0 to 1, such as 0.5.")
    let most = DatabaseLimits.maximumK
    try requireQueryOption((1...most).contains(k), "k is \(k)", "Use 1 to \(most).")
    let wanted = candidates ?? min(max(k * 4, 50), most)
    try requireQueryOption(
      (k...most).contains(wanted), "the number of candidates is \(wanted)", "Use \(k) to \(most).")
    (self.query, self.k, self.lambda, self.metric, self.options) =
      (query, k, lambda, metric, options)
    self.candidates = wanted
  }

  package func next() -> PlainSearch? {
    guard result == nil else { return nil }
    var step = PlainSearch(k: candidates, options: options)
    step.options.includeVector = true
    return step
  }

  package mutating func take(_ result: SearchResult) throws {
    var result = result
    let chosen = Self.choose(
      k, of: result.hits.map { $0.vector ?? [] }, near: query, lambda: lambda, metric: metric)
    result.hits = chosen.map { place in
      var hit = result.hits[place]
      if !options.includeVector { hit.vector = nil }
      return hit
    }
    self.result = result
  }

  package func answer() throws -> SearchResult {
    guard let result else {
      throw VecDBError(.invalidArgument, "nothing was searched", at: "query")
    }
    return result
  }

  /// The places of the chosen vectors, in the order in which they were chosen.
  static func choose(
    _ k: Int, of vectors: [[Float]], near query: [Float], lambda: Double, metric: Metric
  ) -> [Int] {
    let relevance = vectors.map { similarity($0, query, metric) }
    var redundancy = [Double](repeating: -.infinity, count: vectors.count)
    var left = Array(vectors.indices)
    var chosen: [Int] = []
    while chosen.count < k, !left.isEmpty {
      var best = 0
      var bestScore = -Double.infinity
      for (place, index) in left.enumerated() {
        let penalty = chosen.isEmpty ? 0 : (1 - lambda) * redundancy[index]
        let score = lambda * relevance[index] - penalty
        if score > bestScore { (best, bestScore) = (place, score) }
      }
      let index = left.remove(at: best)
      chosen.append(index)
      guard chosen.count < k else { break }
      for other in left {
        redundancy[other] = max(
          redundancy[other], similarity(vectors[other], vectors[index], metric))
      }
    }
    return chosen
  }

  private static func similarity(_ a: [Float], _ b: [Float], _ metric: Metric) -> Double {
    guard metric != .hamming else {
      return Double(zip(a, b).count { $0 == $1 }) / Double(max(1, a.count))
    }
    var (dot, aa, bb) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
      let (x, y) = (Double(x), Double(y))
      dot += x * y
      aa += x * x
      bb += y * y
    }
    // A zero vector is like nothing.
    return aa > 0 && bb > 0 ? dot / (aa.squareRoot() * bb.squareRoot()) : 0
  }
}
