import FoundationEssentials

/// How often an operation ran, and how long it took.
public struct TimingStats: Sendable, Hashable, Codable {
  public var count: Int
  /// All of them together.
  public var total: Duration { Duration(inSeconds: totalSeconds) }
  package var totalSeconds: Double
  /// The longest one.
  public var maximum: Duration { Duration(inSeconds: maximumSeconds) }
  package var maximumSeconds: Double

  package init(count: Int = 0, totalSeconds: Double = 0, maximumSeconds: Double = 0) {
    self.count = count
    self.totalSeconds = totalSeconds
    self.maximumSeconds = maximumSeconds
  }

  /// Zero if there was none.
  public var mean: Duration { Duration(inSeconds: meanSeconds) }
  package var meanSeconds: Double { count == 0 ? 0 : totalSeconds / Double(count) }
}

/// What the scrub in the background has read and found; see
/// ``DatabaseConfiguration/scrubBytesPerSecond``.
public struct ScrubStats: Sendable, Hashable, Codable {
  /// Complete passes since the database was opened.
  public var passes = 0
  /// Bytes compared with hashes and checksums since the database was opened.
  public var bytesChecked = 0
  /// When the last pass ended, in milliseconds since 1970; nil before the first.
  public var lastPass: Date? { lastPassMilliseconds.map { Date(milliseconds: $0) } }
  package var lastPassMilliseconds: Int64?
  /// Damage, with file and block: the findings of the last pass and of the present one. Empty if
  /// there is no damage.
  public var problems: [String] = []

  public init() {}
}

/// What a database has done since it was opened.
public struct ActivityStats: Sendable, Hashable, Codable {
  /// Transactions of the log; each holds a group of batches that were written at the same time.
  public var commitGroups = 0
  public var batches = 0
  /// Batches in the largest group.
  public var largestGroup = 0
  /// Writing a group to the log and syncing it.
  public var logAppend = TimingStats()
  /// Applying a group to the index, without records.
  public var apply = TimingStats()
  /// Batches that are durable in the log and not yet visible to searches.
  public var applyLag = 0
  public var checkpoint = TimingStats()
  public var failedCheckpoints = 0
  public var search = TimingStats()
  /// Nodes of graphs that searches expanded, and distances that they computed.
  public var searchHops = 0
  public var searchDistances = 0
  /// Bytes of writes that wait for the writer.
  public var queuedBytes = 0
  /// Writes refused because the queue was full, and because the disk was full.
  public var overloads = 0
  public var diskFull = 0
  public var poisonings = 0
  /// Recall of the last canary queries by collection.
  public var canaryRecall: [String: Double] = [:]
  /// Damage that the scrub, checks and reads have found since the database was opened.
  public var corruptions = 0
  public var scrub = ScrubStats()

  public init() {}
}
