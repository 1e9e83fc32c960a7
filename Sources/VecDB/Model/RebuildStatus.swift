/// The progress of a collection's rebuild.
public struct RebuildStatus: Sendable, Hashable, Codable {
  public var collection: String
  public var stage: RebuildStage
  /// The generation that the rebuild makes, or the serving one if there is no rebuild.
  public var generation: UInt32
  public var m: Int
  public var efConstruction: Int
  /// The state that the new generation starts from; 0 without a rebuild.
  public var originLSN: UInt64
  /// Records (slots) taken over, inserted, or to go, of `total`.
  public var done: Int
  public var total: Int
  public var recordsPerSecond: Double
  public var timeLeft: Duration? { secondsLeft.map { Duration(inSeconds: $0) } }
  package var secondsLeft: Double?
  /// Batches by which the generation that does not serve is behind.
  public var lag: UInt64
  /// Whether the rebuild pauses because searches take longer than the budget allows.
  public var isPaused: Bool
  /// The 99th percentile of search times in the last second, in milliseconds, during the build.
  public var searchTime: Duration? { searchMilliseconds.map { Duration(inSeconds: $0 / 1_000) } }
  package var searchMilliseconds: Double?
  public var budget: RebuildBudget?
  /// Seconds until vecdb retires the old generation.
  public var graceLeft: Duration? { graceSecondsLeft.map { Duration(inSeconds: $0) } }
  package var graceSecondsLeft: Double?
  /// Why the rebuild began.
  public var reason: String
  /// The result of the gate, once it has measured.
  public var gate: RebuildGateReport?
  /// How the last rebuild ended, in words; empty if there was none.
  public var lastOutcome: String
  /// What the policy proposes now, in words; empty if it proposes nothing.
  public var proposal: String
}

/// A rebuild whose new generation serves.
public struct RebuildReport: Sendable, Hashable, Codable {
  public var collection: String
  public var generation: UInt32
  public var m: Int
  public var efConstruction: Int
  /// The LSN of the state from which the new generation was built.
  public var originLSN: UInt64
  /// The LSN of the batch from which the new generation serves.
  public var swapLSN: UInt64
  public var records: Int
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  public var grace: Duration { .seconds(graceSeconds) }
  package var graceSeconds: Int
  public var gate: RebuildGateReport?
}

/// What the gate measured, and why it refused the candidate, if it did.
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
  /// The recall that the new generation had to reach.
  public var requiredRecall: Double
  /// Median time of a search, in microseconds.
  public var oldSearchTime: Duration { Duration(inSeconds: oldMicroseconds / 1e6) }
  package var oldMicroseconds: Double
  public var newSearchTime: Duration { Duration(inSeconds: newMicroseconds / 1e6) }
  package var newMicroseconds: Double
  /// Each failed condition, with the difference; empty if the gate passed.
  public var refusals: [String]

  public var isPassed: Bool { refusals.isEmpty }
}
