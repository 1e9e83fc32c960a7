/// Parameters of a rebuilt index, and the conditions under which it may serve.
public struct RebuildOptions: Sendable, Hashable, Codable {
  /// Links of a node; nil keeps the present value. See ``IndexOptions/m``.
  public var m: Int?
  /// Nil keeps the present value. See ``IndexOptions/efConstruction``.
  public var efConstruction: Int?
  /// See ``IndexOptions/codes``; nil means `automatic`, whatever the collection has.
  public var codes: VectorCodes?
  public var gate = RebuildGate()
  public var budget = RebuildBudget()
  /// How long vecdb keeps the old generation up to date after the swap, so that `rollbackRebuild`
  /// is instant. Counted in whole seconds. Default 10 minutes.
  public var grace: Duration {
    get { .seconds(graceSeconds) }
    set { graceSeconds = newValue.wholeSeconds }
  }
  package var graceSeconds = 600
  /// Keep a candidate that the gate refused until you cancel the rebuild, so that you can examine
  /// it. Default false.
  public var keepsRefused = false

  public init(
    m: Int? = nil, efConstruction: Int? = nil, codes: VectorCodes? = nil,
    gate: RebuildGate = RebuildGate(), budget: RebuildBudget = RebuildBudget(),
    grace: Duration = .seconds(600), keepsRefused: Bool = false
  ) {
    self.m = m
    self.efConstruction = efConstruction
    self.codes = codes
    self.gate = gate
    self.budget = budget
    graceSeconds = grace.wholeSeconds
    self.keepsRefused = keepsRefused
  }
}

/// What a new generation must reach before it serves. The gate measures with canary queries: live
/// records that the search leaves out as if they did not exist. Both generations answer them at one
/// LSN, and vecdb compares with exact answers.
public struct RebuildGate: Sendable, Hashable, Codable {
  /// Canary queries, 1 to 10,000. Default 200.
  public var queries = 200
  /// Default 10.
  public var k = 10
  /// The efSearch at which the gate measures both. Default ``SearchOptions/defaultEfSearch``.
  public var efSearch = SearchOptions.defaultEfSearch
  /// The recall to reach; nil means the old generation's recall less `recallTolerance`.
  public var minimumRecall: Double?
  /// How far recall may be below the old generation's, in addition to one and a half standard
  /// errors of the measurement. Default 0.003.
  public var recallTolerance = 0.003
  /// The median search may take this many times as long as in the old generation. The gate ignores
  /// this if the old generation finds far less: recall below 0.9, or 0.05 less than the new one.
  /// Default 2.
  public var latencyFactor = 2.0

  public init(
    queries: Int = 200, k: Int = 10, efSearch: Int = SearchOptions.defaultEfSearch,
    minimumRecall: Double? = nil, recallTolerance: Double = 0.003, latencyFactor: Double = 2
  ) {
    self.queries = queries
    self.k = k
    self.efSearch = efSearch
    self.minimumRecall = minimumRecall
    self.recallTolerance = recallTolerance
    self.latencyFactor = latencyFactor
  }
}

/// The resources that a rebuild may use. You can change them while the rebuild runs.
public struct RebuildBudget: Sendable, Hashable, Codable {
  /// Threads that build, 1 to 256. A single thread runs at a low priority of the system's
  /// scheduler; several run at ordinary priority. Default 1.
  public var threads = 1
  /// Maximum number of records inserted a second; nil means no limit. Default nil.
  public var recordsPerSecond: Int?
  /// vecdb refuses the rebuild if the new generation would need more bytes than this; nil means no
  /// limit. Default nil.
  public var memoryBytes: Int?
  /// The rebuild pauses while the 99th percentile of search times is above this; nil never pauses
  /// it. Default nil.
  public var pauseAbove: Duration? {
    get { pauseAboveMilliseconds.map { Duration(inSeconds: $0 / 1_000) } }
    set { pauseAboveMilliseconds = newValue.map { $0.inSeconds * 1_000 } }
  }
  package var pauseAboveMilliseconds: Double?

  public init(
    threads: Int = 1, recordsPerSecond: Int? = nil, memoryBytes: Int? = nil,
    pauseAbove: Duration? = nil
  ) {
    self.threads = threads
    self.recordsPerSecond = recordsPerSecond
    self.memoryBytes = memoryBytes
    pauseAboveMilliseconds = pauseAbove.map { $0.inSeconds * 1_000 }
  }
}

extension RebuildOptions {
  /// Throws `invalidArgument`, naming the option and its range.
  package func requireValid(at location: String) throws {
    func require(_ isValid: Bool, _ what: String, _ remedy: String) throws {
      guard isValid else {
        throw VecDBError(.invalidArgument, what, at: location, remedy: remedy)
      }
    }
    try require(
      (1...10_000).contains(gate.queries), "the gate has \(gate.queries) queries",
      "Use 1 to 10000.")
    try require(
      (1...1_000).contains(gate.k), "the gate's k is \(gate.k)", "Use 1 to 1000.")
    try require(
      (1...DatabaseLimits.maximumK).contains(gate.efSearch),
      "the gate's efSearch is \(gate.efSearch)",
      "Use 1 to \(DatabaseLimits.maximumK).")
    try require(
      gate.minimumRecall.map { (0...1).contains($0) } ?? true,
      "the minimum recall is \(gate.minimumRecall ?? 0)", "Use 0 to 1.")
    try require(
      (0...1).contains(gate.recallTolerance), "the recall tolerance is \(gate.recallTolerance)",
      "Use 0 to 1.")
    try require(
      gate.latencyFactor.isFinite && gate.latencyFactor > 0,
      "the latency factor is \(gate.latencyFactor)", "Use a number above 0, such as 2.")
    try require(
      (0...31_536_000).contains(graceSeconds), "the grace period is \(graceSeconds) s",
      "Use 0 to 31536000 seconds.")
    try budget.requireValid(at: location)
  }
}

extension RebuildBudget {
  func requireValid(at location: String) throws {
    guard (1...256).contains(threads), recordsPerSecond ?? 1 > 0, memoryBytes ?? 1 > 0,
      pauseAboveMilliseconds.map({ $0.isFinite && $0 > 0 }) ?? true
    else {
      throw VecDBError(
        .invalidArgument, "the budget is not valid", at: location,
        remedy: "Use 1 to 256 threads, and limits above 0.")
    }
  }
}
