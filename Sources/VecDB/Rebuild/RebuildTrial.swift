import Dispatch
import VecDBBytes
import VecDBIndex
import VecDBThreads

/// Parameters to try; `m` and `efConstruction` stay as the collection has them where they are nil.
public struct RebuildAlternative: Sendable, Hashable, Codable {
  /// See ``IndexOptions/m``.
  public var m: Int?
  /// See ``IndexOptions/efConstruction``.
  public var efConstruction: Int?
  /// See ``IndexOptions/codes``; nil means `automatic`, whatever the collection has.
  public var codes: VectorCodes?

  public init(m: Int? = nil, efConstruction: Int? = nil, codes: VectorCodes? = nil) {
    self.m = m
    self.efConstruction = efConstruction
    self.codes = codes
  }

  /// These parameters for a collection that has `present` ones.
  func resolved(over present: IndexOptions) -> IndexOptions {
    IndexOptions(
      m: m ?? present.m, efConstruction: efConstruction ?? present.efConstruction,
      codes: codes ?? .automatic)
  }
}

/// Parameters side by side, measured on the collection as it is.
public struct RebuildTrialReport: Sendable, Hashable, Codable {
  public struct Row: Sendable, Hashable, Codable {
    public var m: Int
    public var efConstruction: Int
    /// Whether it is the generation that serves.
    public var isCurrent: Bool
    public var recall: Double
    /// Median time of a search, in microseconds.
    public var searchTime: Duration { Duration(inSeconds: microseconds / 1e6) }
    package var microseconds: Double
    /// Bytes of the index arrays.
    public var indexBytes: Int
    /// Time to build it, in seconds; 0 for the one that serves.
    public var buildTime: Duration { Duration(inSeconds: buildSeconds) }
    package var buildSeconds: Double
  }

  public var collection: String
  /// The LSN at which all were measured.
  public var lsn: UInt64
  public var records: Int
  public var queries: Int
  public var k: Int
  public var efSearch: Int
  public var rows: [Row]
}

extension VectorCollection {
  /// Builds the index with each of `alternatives` from the present state, measures each beside the
  /// one that serves, and drops it again. Nothing is logged and nothing changes.
  ///
  /// Cost: as many builds as there are alternatives, one after the other, each with the memory of
  /// one index; on ``RebuildBudget/threads`` threads.
  /// - Throws: `invalidArgument`; `alreadyExists` while a rebuild is under way.
  public func tryRebuild(
    _ alternatives: [RebuildAlternative], options: RebuildOptions = RebuildOptions(),
    progress: ProgressHandler? = nil
  ) async throws -> RebuildTrialReport {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      try options.requireValid(at: name)
      let cancellation = Cancellation()
      return try await withTaskCancellationHandler {
        try await onBackground { [self] in
          try RebuildTrial(
            collection: runtime, options: options, cancellation: cancellation, progress: progress
          ).run(alternatives)
        }
      } onCancel: {
        cancellation.cancel()
      }
    }
  }
}

/// Builds and measures candidates that nobody will serve from.
struct RebuildTrial {
  let collection: CollectionRuntime
  let options: RebuildOptions
  let cancellation: Cancellation
  let progress: ProgressHandler?

  func run(_ alternatives: [RebuildAlternative]) throws -> RebuildTrialReport {
    try collection.holdSlots()
    defer { collection.releaseSlots() }
    let generation = collection.generation
    let old = generation.index
    let view = old.view()
    let gate = options.gate
    try cancellation.check()
    let sample = try old.reading { () throws -> FreshQueries in
      var sample = FreshQueries.leftOut(old, count: gate.queries, at: view)
      try sample.answer(old, k: gate.k, at: view)
      return sample
    }
    var report = RebuildTrialReport(
      collection: collection.definition.name, lsn: view.lsn, records: 0,
      queries: sample.queries.count,
      k: gate.k, efSearch: gate.efSearch, rows: [])
    report.records = (0..<view.slotCount).count { old.isVisible($0, in: view) }
    report.rows.append(
      try measure(old, generation.options, at: view, sample, buildSeconds: 0))
    report.rows[0].isCurrent = true
    for alternative in alternatives.map({ $0.resolved(over: generation.options) }) {
      let started = DispatchTime.now()
      let index = try build(alternative, from: old, at: view)
      let seconds = started.elapsedSeconds
      report.rows.append(
        try measure(
          index, alternative, at: index.view(), sample, buildSeconds: seconds))
    }
    return report
  }

  private func build(
    _ options: IndexOptions, from old: IndexGeneration, at view: ReadView
  ) throws -> IndexGeneration {
    let parameters: IndexParameters
    do { parameters = try collection.definition.indexParameters(with: options) } catch {
      throw VecDBError(.invalidArgument, "\(error)", at: collection.definition.name)
    }
    let index = try IndexGeneration(
      parameters: parameters,
      options: VecDBIndex.IndexOptions(threads: self.options.budget.threads))
    let stage = "building M \(options.m), efConstruction \(options.efConstruction)"
    while try index.adopt(
      old, at: view.lsn, count: view.slotCount, limit: CollectionRuntime.adoptionStep)
    {
      try cancellation.check()
    }
    while try index.insertAdopted(at: view.lsn) {
      try cancellation.check()
      progress?(
        WorkProgress(stage: stage, doneBytes: index.graphSlotCount, totalBytes: view.slotCount))
    }
    index.publish(lsn: view.lsn)
    return index
  }

  private func measure(
    _ index: IndexGeneration, _ options: IndexOptions, at view: ReadView, _ sample: FreshQueries,
    buildSeconds: Double
  ) throws -> RebuildTrialReport.Row {
    let gate = self.options.gate
    let none = IndexGeneration.Compensation.none
    let recall = try index.reading {
      try sample.recall(
        index, k: gate.k, efSearch: gate.efSearch, at: view, compensation: none
      ).mean
    }
    var times: [UInt64] = []
    for query in sample.queries {
      try cancellation.check()
      let started = DispatchTime.now().uptimeNanoseconds
      _ = try index.search(query.vector, k: gate.k, ef: gate.efSearch, at: view, compensation: none)
      times.append(DispatchTime.now().uptimeNanoseconds - started)
    }
    let median = times.isEmpty ? 0 : times.sorted()[times.count / 2]
    return RebuildTrialReport.Row(
      m: options.m, efConstruction: options.efConstruction, isCurrent: false, recall: recall,
      microseconds: Double(median) / 1_000, indexBytes: index.sizeBytes,
      buildSeconds: buildSeconds)
  }
}
