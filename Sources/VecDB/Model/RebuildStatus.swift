/// Where a collection's rebuild stands.
public struct RebuildStatus: Sendable, Hashable, Codable {
  public var collection: String
  public var stage: RebuildStage
  /// The generation that the rebuild makes, or the one that serves where there is none.
  public var generation: UInt32
  public var m: Int
  public var efConstruction: Int
  /// The state that the new generation starts from; 0 without a rebuild.
  public var originLSN: UInt64
  /// Records (slots) taken over, inserted, or to go, of `total`.
  public var done: Int
  public var total: Int
  public var recordsPerSecond: Double
  public var secondsLeft: Double?
  /// Batches that the generation that does not serve is behind.
  public var lag: UInt64
  /// Paused, since searches take longer than the budget allows.
  public var isPaused: Bool
  /// The 99th percentile of searches' times in the last second, in milliseconds, while it builds.
  public var searchMilliseconds: Double?
  public var budget: RebuildBudget?
  /// Until the old generation is given up.
  public var graceSecondsLeft: Double?
  /// Why it was begun.
  public var reason: String
  /// What the gate found, once it has measured.
  public var gate: RebuildGateReport?
  /// How the last rebuild ended, in words; empty if there was none.
  public var lastOutcome: String
  /// What the policy would do now, in words; empty for nothing.
  public var proposal: String
}

/// A rebuild whose new generation serves.
public struct RebuildReport: Sendable, Hashable, Codable {
  public var collection: String
  public var generation: UInt32
  public var m: Int
  public var efConstruction: Int
  /// The state that was built from.
  public var originLSN: UInt64
  /// The batch from which on the new generation serves.
  public var swapLSN: UInt64
  public var records: Int
  public var seconds: Double
  public var graceSeconds: Int
  public var gate: RebuildGateReport?
}

/// What the gate measured, and why it refused if it did.
public struct RebuildGateReport: Sendable, Hashable, Codable {
  /// The LSN at which both generations were measured.
  public var lsn: UInt64
  /// Live records there.
  public var records: Int
  public var queries: Int
  public var k: Int
  public var efSearch: Int
  public var oldRecall: Double
  public var newRecall: Double
  /// The recall that was to be reached.
  public var requiredRecall: Double
  /// Median time of a search, in microseconds.
  public var oldMicroseconds: Double
  public var newMicroseconds: Double
  /// What was found wrong, each with by how much; empty if the gate passed.
  public var refusals: [String]

  public var isPassed: Bool { refusals.isEmpty }
}
