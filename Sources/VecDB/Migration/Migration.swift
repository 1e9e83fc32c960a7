import VecDBBytes
import VecDBIndex
import VecDBLogStore
import VecDBThreads

/// Moving a collection to another vector space: another embedding model, dimension or metric.
///
/// The new space is built as a hidden collection of the same database, from vectors that the
/// application supplies for the present keys. The old one serves, reads and writes, until every
/// live record has its new vector and the gate has passed; then one batch exchanges the two, and
/// the name stands for the new space. All of it is in the log: after a crash or a restore
/// ``Database/migration(of:)`` takes it up.
///
/// ```swift
/// let migration = try await database.beginMigration(
///   of: "photos", dimensions: 1024, metric: .cosine)
/// var cursor: String?
/// repeat {
///   let page = try migration.pending(after: cursor)
///   try await migration.supply(page.records.map { ($0.key, embed($0)) }, asOf: page.lsn)
///   cursor = page.next
/// } while cursor != nil
/// try await migration.finish()
/// ```
public final class Migration: Sendable {
  /// Records that have no vector in the new space yet, or one from before their last change.
  public struct Page: Sendable {
    /// With their old vectors.
    public var records: [VectorRecord]
    /// To be passed to `supply`: what changes after it is asked for again.
    public var lsn: UInt64
    /// Pass it as `after` to get the next page; nil at the end.
    public var next: String?
  }

  public struct Report: Sendable, Hashable, Codable {
    public var collection: String
    public var records: Int
    /// The batch from which on the new space serves.
    public var swapLSN: UInt64
    public var oldRecall: Double
    public var newRecall: Double
  }

  let source: CollectionRuntime
  let target: CollectionRuntime
  let database: Database

  init(source: CollectionRuntime, target: CollectionRuntime, database: Database) {
    self.source = source
    self.target = target
    self.database = database
  }

  public var collection: String { source.definition.name }
  public var dimensions: Int { target.definition.dimensions }
  public var metric: Metric { target.definition.metric }

  private func requireUsable() throws {
    try database.requireOpen()
    try source.requireLive()
    try target.requireLive()
  }

  /// A page of the records that still need a vector, in the order of their keys.
  ///
  /// Cost: a look at every record up to the end of the page.
  public func pending(after cursor: String? = nil, limit: Int = 1_000) throws -> Page {
    try VecDBError.translating {
      try requireUsable()
      guard (1...10_000).contains(limit) else {
        throw VecDBError(
          .invalidArgument, "limit is \(limit)", at: collection, remedy: "Use 1 to 10000.")
      }
      let lsn = database.lsn
      var found: [VectorRecord] = []
      var last = cursor
      while true {
        let rows = try database.records.scan(
          collection: source.id, afterKey: last, limit: limit)
        let known = try database.records.slots(
          collection: target.id, keys: rows.map(\.key))
        for (row, slot) in zip(rows, known) {
          last = row.key
          if try isCurrent(row, slot) { continue }
          found.append(
            VectorRecord(
              key: row.key, vector: source.vector(of: row.slot),
              metadata: try Metadata(canonicalBytes: row.metadata)))
          if found.count == limit { return Page(records: found, lsn: lsn, next: row.key) }
        }
        if rows.count < limit { return Page(records: found, lsn: lsn, next: nil) }
      }
    }
  }

  /// Whether the record in the new space was made from this one: written after it, with its
  /// metadata.
  private func isCurrent(_ row: RecordRow, _ slot: UInt32?) throws -> Bool {
    guard let slot, let other = try database.records.row(collection: target.id, slot: slot) else {
      return false
    }
    return other.metadata == row.metadata
      && source.index.birthLSN(of: Int(row.slot)) < target.index.birthLSN(of: Int(slot))
  }

  /// Stores vectors of the new space for present keys, with the metadata that their records have.
  /// Durable on return. Keys that are gone, or changed after `lsn`, are left out: `pending` names
  /// the latter again.
  ///
  /// - Returns: how many were stored.
  /// - Throws: as `upsert`.
  @discardableResult
  public func supply(
    _ vectors: [(key: String, vector: [Float])], asOf lsn: UInt64
  ) async throws -> Int {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      var records: [VectorRecord] = []
      for (key, vector) in vectors {
        guard let row = try currentRow(key, asOf: lsn) else { continue }
        let metadata = try VecDBError.translating { try Metadata(canonicalBytes: row.metadata) }
        var record = VectorRecord(key: key, vector: vector, metadata: metadata)
        if row.expiryMilliseconds != 0 { record.expiryMilliseconds = row.expiryMilliseconds }
        records.append(record)
      }
      let hidden = VectorCollection(target, database: database)
      // An equal record would not be written again, and would count as older than a change that came
      // to the same: it goes first.
      try await hidden.delete(records.map(\.key))
      try await hidden.upsert(records)
      let stale = try records.map(\.key).filter { try currentRow($0, asOf: lsn) == nil }
      if !stale.isEmpty { try await hidden.delete(stale) }
      return records.count - stale.count
    }
  }

  private func currentRow(_ key: String, asOf lsn: UInt64) throws -> RecordRow? {
    try VecDBError.translating {
      guard let row = try database.records.row(collection: source.id, key: key),
        source.index.birthLSN(of: Int(row.slot)) <= lsn
      else { return nil }
      return row
    }
  }

  /// Measures the new space and makes it serve under the collection's name, in one batch. The old
  /// one is kept, as it is then, until `retireMigration`; `rollBackMigration` makes it serve again
  /// as long as nothing was written to the new one.
  ///
  /// Handles of the collection have to be fetched again: they tell so when they are used.
  /// - Throws: `verificationFailed` if records lack their vectors, or recall at
  ///   ``RebuildGate/efSearch`` does not reach ``RebuildGate/minimumRecall`` (that of the old space
  ///   less the tolerance if there is none). Nothing has changed then.
  @discardableResult
  public func finish(gate: RebuildGate = RebuildGate()) async throws -> Report {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      try await removeWhatIsGone()
      try requireComplete()
      let (oldRecall, newRecall) = try await onBackground { [source, target] in
        try VecDBError.translating {
          (
            try Canaries.measure(source, queries: gate.queries, k: gate.k, efSearch: gate.efSearch)
              .recall,
            try Canaries.measure(target, queries: gate.queries, k: gate.k, efSearch: gate.efSearch)
              .recall
          )
        }
      }
      let required =
        gate.minimumRecall
        ?? RebuildJudge.requiredRecall(
          gate, old: FreshQueries.Recall(mean: oldRecall, queries: gate.queries))
      guard newRecall >= required else {
        throw refused(
          "recall@\(gate.k) at efSearch \(gate.efSearch) is \(RebuildJudge.text(newRecall)), "
            + "\(RebuildJudge.text(required - newRecall)) below the required "
            + RebuildJudge.text(required))
      }
      // Writes went on meanwhile: what they changed is brought up by the application, and what they
      // removed here. The last look is taken on the writer.
      try await removeWhatIsGone()
      let lsn = try await database.writer.exclusively { [self] engine in
        try source.requireLive()
        try target.requireLive()
        try requireComplete()
        let violations = target.index.checkInvariants()
        guard violations.isEmpty, target.count == source.count else {
          throw refused(
            violations.first ?? "it has \(target.count) records and the old space \(source.count)")
        }
        return try engine.exchange(source, target)
      }
      return Report(
        collection: collection, records: target.count, swapLSN: lsn, oldRecall: oldRecall,
        newRecall: newRecall)
    }
  }

  /// Gives the new space up.
  @discardableResult
  public func cancel() async throws -> Receipt {
    try await VecDBError.translating {
      try await database.dropCollection(target.definition.name)
    }
  }

  private func requireComplete() throws {
    let page = try pending(limit: 1)
    guard let first = page.records.first else { return }
    let missing = try pending(limit: 10_000)
    throw refused(
      "\(missing.records.count)\(missing.next == nil ? "" : " or more") of \(source.count) "
        + "records have no vector of the new space, such as '\(first.key)'")
  }

  /// Removes records of the new space whose keys are gone from the old one.
  private func removeWhatIsGone() async throws {
    let hidden = VectorCollection(target, database: database)
    var cursor: String?
    while true {
      let keys = try VecDBError.translating {
        try database.records.scan(collection: target.id, afterKey: cursor, limit: 1_000).map(\.key)
      }
      let known = try VecDBError.translating {
        try database.records.slots(collection: source.id, keys: keys)
      }
      let gone = zip(keys, known).filter { $1 == nil }.map(\.0)
      if !gone.isEmpty { try await hidden.delete(gone) }
      guard keys.count == 1_000 else { return }
      cursor = keys.last
    }
  }

  private func refused(_ reason: String) -> VecDBError {
    VecDBError(
      .verificationFailed, "the new space was refused: \(reason)", at: collection,
      remedy: "The old space still serves. Supply the records that `pending` names; finish again.")
  }
}
