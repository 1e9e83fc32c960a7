extension VectorCollection {
  /// The records nearest to those that you name, and not near to others: their mean, moved by the
  /// same way away from the mean of the others. The records named are not among the hits.
  ///
  /// In a collection with cosine distance all named vectors count with length 1. With `hamming`
  /// distance each component of the query is the nearer one of 0 and 1.
  ///
  /// - Parameters:
  ///   - keys: at least one record to be near to.
  ///   - others: records to be away from.
  /// - Throws: as ``search(_:k:options:)-([Float],_,_)``; `notFound`, naming a key that no record
  ///   has; `invalidArgument` without keys, or if k and the records named are more than 65,536.
  /// - Complexity: a look-up of each record, and a plain search.
  public func search(
    near keys: [String], awayFrom others: [String] = [], k: Int = 10,
    options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try VecDBError.translating {
      let search = try ExampleSearch(near: keys, awayFrom: others, k: k, options: options)
      let vectors = try search.keys.map { key in
        guard let record = try get(key) else { throw ExampleSearch.missing(key, in: name) }
        return record.vector
      }
      return try run(search, search.query(of: vectors, metric: metric))
    }
  }

  /// As ``search(near:awayFrom:k:options:)`` with one record: what is like it.
  public func search(
    like key: String, k: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try search(near: [key], k: k, options: options)
  }
}

/// A search by stored records, which it leaves out of the answer.
package struct ExampleSearch: ComposedSearch {
  /// Those to be near to first.
  package let keys: [String]
  private let nearCount: Int
  private let k: Int
  private let options: SearchOptions
  private var result: SearchResult?

  package init(
    near keys: [String], awayFrom others: [String], k: Int, options: SearchOptions
  ) throws {
    try requireQueryOption(
      !keys.isEmpty, "there is no record to be near to", "Name the key of at least one record.")
    let most = DatabaseLimits.maximumK
    try requireQueryOption((1...most).contains(k), "k is \(k)", "Use 1 to \(most).")
    try requireQueryOption(
      k <= most - keys.count - others.count, "k and the records named are more than \(most)",
      "Name fewer records, or use a smaller k.")
    (self.keys, nearCount, self.k, self.options) = (keys + others, keys.count, k, options)
  }

  package static func missing(_ key: String, in collection: String) -> VecDBError {
    VecDBError(
      .notFound, "there is no record with this key", at: "\(collection), key \(key)",
      remedy: "Check the key.")
  }

  /// The vector to search with, of the vectors of `keys`.
  package func query(of vectors: [[Float]], metric: Metric) -> [Float] {
    func mean(_ vectors: ArraySlice<[Float]>) -> [Double] {
      var sum = [Double](repeating: 0, count: vectors.first?.count ?? 0)
      for vector in vectors {
        let length =
          metric == .cosine
          ? vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() : 1
        for (place, value) in vector.enumerated() { sum[place] += Double(value) / length }
      }
      return sum.map { $0 / Double(vectors.count) }
    }
    // One vector itself, to the bit.
    if vectors.count == 1, let only = vectors.first { return only }
    var query = mean(vectors[..<nearCount])
    if nearCount < vectors.count {
      for (place, value) in mean(vectors[nearCount...]).enumerated() {
        query[place] += query[place] - value
      }
    }
    return query.map { metric == .hamming ? ($0 > 0.5 ? 1 : 0) : Float($0) }
  }

  package func next() -> PlainSearch? {
    result == nil ? PlainSearch(k: k + keys.count, options: options) : nil
  }

  package mutating func take(_ result: SearchResult) throws {
    let named = Set(keys.map { Array($0.utf8) })
    var result = result
    result.hits = Array(result.hits.filter { !named.contains(Array($0.key.utf8)) }.prefix(k))
    self.result = result
  }

  package func answer() throws -> SearchResult {
    guard let result else {
      throw VecDBError(.invalidArgument, "nothing was searched", at: "query")
    }
    return result
  }
}
