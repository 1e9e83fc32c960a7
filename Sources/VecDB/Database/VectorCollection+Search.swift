import Dispatch
import FoundationEssentials
import Glibc
import VecDBIndex
import VecDBLogStore

extension VectorCollection {
  /// The k records nearest to `vector`, nearest first.
  ///
  /// The answer is approximate (HNSW) unless you set `options.exact` or few records match the
  /// filter; distances are exact either way. There are fewer than k hits only if fewer records
  /// match. Runs on the calling thread without locks. With metadata, if a commit is just replacing
  /// a record that the search found, the search waits for that commit.
  ///
  /// Call this from your own threads, or from few tasks at a time: a task that computes occupies
  /// its thread, and Swift has only one thread per core for all tasks. From many tasks, call
  /// ``nearest(_:k:options:)``.
  ///
  /// - Parameters:
  ///   - vector: as many finite components as the collection has dimensions.
  ///   - k: 1 to 65,536; if k exceeds the number of records, the answer has all of them.
  /// - Throws: ``VecDBError`` `invalidArgument`, `closed`; `overloaded` if such a wait takes 30 s.
  public func search(
    _ vector: [Float], k: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    try search(vector.span, k: k, options: options)
  }

  /// As ``search(_:k:options:)`` with a borrowed vector.
  public func search(
    _ vector: Span<Float>, k: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> SearchResult {
    do {
      let started = DispatchTime.now()
      try requireUsable()
      try requireQuery(vector, k: k, options)
      let result = try vector.withUnsafeBufferPointer { query in
        runtime.reservoir.offer(query)
        return try answer(query, k: k, options)
      }
      let engine = database.engine
      let elapsed = engine.telemetry.searched(
        since: started, hops: result.hops, distances: result.distances)
      if elapsed >= engine.tracing.slowSearchNanoseconds {
        engine.tracing.noteSlowSearch(result, k: k, of: name, nanoseconds: elapsed)
      }
      return result
    } catch {
      throw VecDBError(wrapping: error)
    }
  }

  /// As `search`, for async callers. Runs on threads that vecdb reserves for searches, one per
  /// core, in the order of the calls. So many searches at once do not delay other tasks.
  ///
  /// - Throws: as `search`; `cancelled` if the task was cancelled before its turn.
  public func nearest(
    _ vector: [Float], k: Int = 10, options: SearchOptions = SearchOptions()
  ) async throws -> SearchResult {
    try await VecDBError.translating {
      try await SearchThreads.shared.run(
        database.engine.tracing.carrying { try self.search(vector.span, k: k, options: options) })
    }
  }

  private func answer(
    _ query: UnsafeBufferPointer<Float>, k: Int, _ options: SearchOptions
  ) throws -> SearchResult {
    // A record that is replaced between the search and the look-up of its metadata is gone from
    // records; searching again at the newer LSN finds the new one. Records commit right before that
    // LSN is published, but the writer may lose its core in between.
    let started = runtime.latency.begin()
    defer { runtime.latency.end(started) }
    var failures: UInt32 = 0
    var deadline: ContinuousClock.Instant?
    /// What was measured for this very search: it holds even if writers were faster than that.
    var measured: SearchEffort?
    try measureIfUnknown()
    while true {
      // One generation from beginning to end, whatever a rebuild does meanwhile.
      let index = runtime.index
      let attempt = try index.reading {
        do {
          return try attemptAnswer(
            query, in: index, k: k, options, measured, isFirst: failures == 0)
        } catch is RecordReplaced { return .replaced }
      }
      switch attempt {
      case .answered(let result): return result
      case .notCalibrated(let matching):
        // Writers wait for readings, so nothing is measured inside of one.
        measured = try calibrate(options, k: k, matching: matching)
        continue
      case .replaced: break
      }
      let now = ContinuousClock.now
      let giveUp = deadline ?? now + RecordReplaced.patience
      guard now < giveUp else { throw RecordReplaced.tooFast(name) }
      deadline = giveUp
      usleep(50 << min(failures, 6))
      failures += 1
    }
  }

  /// Measures an index that may be poor before its first search, so that the caller knows how good
  /// it is. Large ones are measured in the background.
  private func measureIfUnknown() throws {
    guard runtime.index.parameters.codes == .bytes, !runtime.health.isMeasured, runtime.mayBePoor,
      runtime.isCheapToMeasure
    else { return }
    _ = try database.engine.health(of: runtime, 32)
  }

  private enum Attempt {
    case answered(SearchResult)
    /// A record was replaced before its metadata was read.
    case replaced
    /// What the target costs was not measured yet, with a filter that so many records match.
    case notCalibrated(matching: Int?)
  }

  private func attemptAnswer(
    _ query: UnsafeBufferPointer<Float>, in index: IndexGeneration, k: Int,
    _ options: SearchOptions, _ measured: SearchEffort?, isFirst: Bool
  ) throws -> Attempt {
    let view = index.view()
    let matching = try options.filter.map {
      try runtime.matchingSlots($0, records: database.records, in: index, at: view)
    }
    let filter = matching?.slots
    let known = effort(options, k: k, matching: filter?.population, in: index, at: view)
    guard let effort = known ?? measured else {
      return .notCalibrated(matching: filter?.population)
    }
    let outcome =
      effort.isExact
      ? try index.exactSearch(Array(query), k: k, filter: filter, at: view)
      : try index.search(query, k: k, ef: effort.near, farEf: effort.far, filter: filter, at: view)
    if !isFirst { try requireRows(of: outcome, view) }
    guard let hits = try hits(of: outcome, in: index, options) else { return .replaced }
    let walked = outcome.plan == .scan ? "none" : outcome.walksRows ? "float32" : "bytes"
    return .answered(
      SearchResult(
        hits: hits, lsn: view.lsn, efSearch: max(effort.near, outcome.ef),
        plan: SearchPlan(rawValue: outcome.plan.rawValue), codes: walked,
        warning: runtime.health.isPoor
          ? runtime.health.known(for: runtime.generation.number)?.finding
          : options.filter.flatMap { warning(about: $0, in: index) },
        distances: outcome.distanceCount, hops: outcome.hopCount,
        matching: filter?.population,
        selectivity: filter.map { Double($0.population) / Double(max(1, view.slotCount)) },
        isFilterCached: matching?.isCached ?? false))
  }

  /// So many fields of a filter are looked up.
  private static let warnedFieldsMax = 16

  /// What a mistake in the name of a field looks like.
  private func warning(about filter: Filter, in index: IndexGeneration) -> String? {
    guard index.liveCount > 0 else { return nil }
    let unknown = filter.fields(limit: Self.warnedFieldsMax).first {
      index.isUnknown(field: Array($0.utf8))
    }
    return unknown.map { "the filter names the field '\($0)', which no record has ever had" }
  }

  /// Nil if a record's metadata is gone since the search.
  private func hits(
    of outcome: SearchOutcome, in index: IndexGeneration, _ options: SearchOptions
  ) throws -> [Hit]? {
    var hits: [Hit] = []
    hits.reserveCapacity(outcome.hits.count)
    for found in outcome.hits {
      var hit = Hit(
        key: index.key(Int(found.slot)) ?? "", distance: found.distance, metadata: nil,
        vector: nil)
      if options.includeMetadata {
        guard let row = try database.records.row(collection: runtime.id, slot: found.slot) else {
          return nil
        }
        hit.metadata = try Metadata(canonicalBytes: row.metadata)
        if options.includeVector { try requireIntact(row, index.vector(Int(found.slot)) ?? []) }
      }
      if options.includeVector { hit.vector = index.vector(Int(found.slot)) }
      hits.append(hit)
    }
    return hits
  }

  /// Tells a record that was replaced from one whose row is lost to damage.
  private func requireRows(of outcome: SearchOutcome, _ view: ReadView) throws {
    for found in outcome.hits
    where try database.records.isMissing(
      collection: runtime.id, slot: found.slot, at: view.lsn)
    {
      throw VecDBError(
        .corrupt, "the record in slot \(found.slot) of '\(name)' has no row",
        at: database.path, remedy: "Run `vecdb check`; restore from a backup, or write it again.")
    }
  }

  private func requireQuery(_ vector: Span<Float>, k: Int, _ options: SearchOptions) throws {
    guard vector.count == dimensions else {
      throw VecDBError(
        .invalidArgument,
        "the query has \(vector.count) components; '\(name)' has \(dimensions) dimensions",
        at: "query", remedy: "Search with vectors of \(dimensions) components.")
    }
    guard (1...DatabaseLimits.maximumK).contains(k) else {
      throw VecDBError(
        .invalidArgument, "k is \(k)", at: "query", remedy: "Use 1 to \(DatabaseLimits.maximumK).")
    }
    guard (1...DatabaseLimits.maximumK).contains(options.efSearch) else {
      throw VecDBError(
        .invalidArgument, "efSearch is \(options.efSearch)", at: "query",
        remedy: "Use 1 to \(DatabaseLimits.maximumK).")
    }
    if let recall = options.recall {
      guard recall > 0, recall < 1 else {
        throw VecDBError(
          .invalidArgument, "the recall target is \(recall)", at: "query",
          remedy: "Use a number between 0 and 1, such as 0.95; for 1, ask for an exact search.")
      }
    }
    try requireVector(vector, "query")
  }
}
