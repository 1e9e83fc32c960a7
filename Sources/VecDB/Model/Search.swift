/// How a search is to be done.
public struct SearchOptions: Sendable {
  /// How wide the graph is searched; raised to k where it is smaller. More finds more and takes
  /// longer. 1 to 65,536.
  public var efSearch: Int
  /// The recall to reach, 0 < recall < 1; where set, efSearch is chosen by measurement on records
  /// of the collection against exact search. The first such search on a collection (and again after
  /// it has grown by half) pays for the measurement. With a filter the measurement is made with
  /// filters that match about the same part, near the queries and far from them; the first filter
  /// of each such size pays for it.
  public var recall: Double?
  /// Only records that match.
  public var filter: Filter?
  /// Compare with every record instead of using the graph: the exact answer, linear cost.
  public var exact: Bool
  public var includeMetadata: Bool
  public var includeVector: Bool

  /// The default of `efSearch`.
  public static let defaultEfSearch = 64

  public init(
    efSearch: Int = SearchOptions.defaultEfSearch, recall: Double? = nil, filter: Filter? = nil,
    exact: Bool = false, includeMetadata: Bool = false, includeVector: Bool = false
  ) {
    self.efSearch = efSearch
    self.recall = recall
    self.filter = filter
    self.exact = exact
    self.includeMetadata = includeMetadata
    self.includeVector = includeVector
  }
}

/// A record that a search found.
public struct Hit: Sendable, Hashable {
  public var key: String
  /// By the collection's metric; see ``Metric``.
  public var distance: Float
  /// Nil unless asked for.
  public var metadata: Metadata?
  /// Nil unless asked for.
  public var vector: [Float]?
}

/// The answer to a search.
public struct SearchResult: Sendable {
  /// Nearest first; at most k, and fewer only if fewer records match.
  ///
  /// Records at the same distance come in the order of the places that they have in the collection:
  /// the same order on every copy at the same LSN. That is the order of insertion only until a record
  /// takes the place of one that was deleted or replaced.
  public var hits: [Hit]
  /// The state that was searched: all batches up to this LSN and none after.
  public var lsn: UInt64
  /// The efSearch used.
  public var efSearch: Int
  /// How the search was done: `graph`; with a filter `filteredGraph` through all nodes, or `twoHop`
  /// from one matching node to the next; `scan` if every matching record was compared.
  public var plan: String
  /// Distances computed.
  public var distances: Int
  /// Nodes of the graph whose links were followed.
  public var hops: Int
  /// Records that match the filter, counting those deleted or replaced since they were written; nil
  /// without a filter.
  public var matching: Int?
  /// `matching` as a fraction of all records ever written; nil without a filter.
  public var selectivity: Double?
  /// Whether the records that match were known from an earlier search.
  public var isFilterCached: Bool
}
