/// How a search is to be done.
public struct SearchOptions: Sendable {
  /// How wide the graph is searched; raised to k where it is smaller. More finds more and takes
  /// longer. 1 to 65,536. In fewer than eight dimensions it is an upper bound: a search ends once
  /// its nearest candidates do not change any more (see <doc:Recall>). Where you name none it is
  /// 64, and more in collections where 64 is known to find less than 0.9 of the nearest ten.
  public var efSearch: Int {
    didSet { isEffortGiven = true }
  }
  /// Whether somebody chose `efSearch`.
  package private(set) var isEffortGiven: Bool
  /// The recall to reach, 0 < recall < 1. Where set, efSearch is chosen by measurement against
  /// exact search: with records that are left out as if they were not there, with records moved a
  /// little, and with queries that were asked. The kind that needs most decides. Where no efSearch
  /// reaches the target, every record is compared.
  ///
  /// The first such search on a collection (and again after a fifth of it has changed) pays for the
  /// measurement; others wait for it. With a filter the measurement is made with filters that match
  /// about the same part, near the queries and far from them; the first filter of each such size
  /// pays for it.
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
    efSearch: Int? = nil, recall: Double? = nil, filter: Filter? = nil,
    exact: Bool = false, includeMetadata: Bool = false, includeVector: Bool = false
  ) {
    self.efSearch = efSearch ?? Self.defaultEfSearch
    isEffortGiven = efSearch != nil
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
  /// the same order on every copy at the same LSN. That is the order of insertion only until a
  /// record takes the place of one that was deleted or replaced.
  public var hits: [Hit]
  /// The state that was searched: all batches up to this LSN and none after.
  public var lsn: UInt64
  /// The efSearch used.
  public var efSearch: Int
  /// How the search was done.
  public var plan: SearchPlan
  /// What the walk compared: `bytes` for 8-bit codes, `float32` for the vectors; `none` where there
  /// was no walk.
  public var codes: String = "none"
  /// What to know before trusting the hits: nil, unless the index is known to fall short of recall
  /// 0.9 and searches make up for it, or cannot.
  public var warning: String?
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
