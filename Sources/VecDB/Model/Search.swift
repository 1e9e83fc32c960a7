/// Options of a search.
public struct SearchOptions: Sendable {
  /// Candidates that the search keeps in the graph; at least k. A higher value finds more and takes
  /// longer. 1 to 65,536. In fewer than eight dimensions it is an upper bound: a search ends once
  /// its nearest candidates no longer change (see <doc:Recall>). If you set none, it is 64, and
  /// more in collections where vecdb has measured that 64 finds less than 0.9 of the nearest ten.
  public var efSearch: Int {
    didSet { isEffortGiven = true }
  }
  /// Whether the caller set `efSearch`.
  package private(set) var isEffortGiven: Bool
  /// The recall to reach, 0 < recall < 1. If set, vecdb chooses efSearch by measurement against
  /// exact search. It measures with records that it leaves out as if they did not exist, with
  /// slightly moved records, and with earlier queries. The kind that needs the highest efSearch
  /// decides. If no efSearch reaches the target, the search compares every record.
  ///
  /// The first such search on a collection makes the measurement, and so does the first one after a
  /// fifth of the collection has changed; other searches wait for it. For a search with a filter,
  /// vecdb measures with filters that match about the same share of the records, near the queries
  /// and far from them; the first search with a filter of a new share makes the measurement.
  public var recall: Double?
  /// Find only records that match.
  public var filter: Filter?
  /// Compare the query with every record instead of using the graph: the exact answer, at linear
  /// cost.
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
  /// Records at the same distance come in the order of their slots, which is the same on every copy
  /// at the same LSN. That is the order of insertion until a record takes the slot of a deleted or
  /// replaced one.
  public var hits: [Hit]
  /// The state that was searched: all batches up to this LSN and none after.
  public var lsn: UInt64
  /// The efSearch used.
  public var efSearch: Int
  /// The plan of the search.
  public var plan: SearchPlan
  /// What the walk compared: `bytes` for 8-bit codes, `float32` for the vectors; `none` if there
  /// was no walk.
  public var codes: String = "none"
  /// What you should know before you trust the hits: set if vecdb has measured that the index is
  /// below recall 0.9, so that searches compensate, or cannot; or if the filter names a field that no
  /// record has ever had. Otherwise nil.
  public var warning: String?
  /// Distances computed.
  public var distances: Int
  /// Nodes of the graph whose links the search followed.
  public var hops: Int
  /// Records that match the filter, including deleted and replaced ones; nil without a filter.
  public var matching: Int?
  /// `matching` as a fraction of all records ever written; nil without a filter.
  public var selectivity: Double?
  /// Whether the search found the matching records in the filter cache.
  public var isFilterCached: Bool
}
