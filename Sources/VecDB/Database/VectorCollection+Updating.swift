import FoundationEssentials
import VecDBIndex
import VecDBThreads

extension VectorCollection {
  /// Changes the metadata of one record and leaves its vector as it is.
  ///
  /// ```swift
  /// try await notes.update("17", set: ["state": "read"], remove: ["draft"])
  /// ```
  ///
  /// Returns when the change is durable and searchable. Cost: vecdb writes the record anew, with the
  /// vector that it has, so an update takes the index and the log as long as an upsert.
  /// - Parameter version: ``VectorRecord/version`` that the record must have; nil for any.
  /// - Throws: `notFound`, at `key '…'`, if there is no such record; `conflict` if it has another
  ///   version; `invalidArgument` or `limitExceeded` for metadata that cannot be stored; as
  ///   ``upsert(_:)-(VectorRecord)``.
  @discardableResult
  public func update(
    _ key: String, set: Metadata = [:], remove: [String] = [], ifVersion version: UInt64? = nil
  ) async throws -> UpdateResult {
    try await update([
      RecordUpdate(key, MetadataChange(set: set, remove: remove), ifVersion: version)
    ])
  }

  /// Changes the metadata of records as one atomic batch: all or none. If the records have more than
  /// 16 MiB, vectors included, the call becomes several batches, and the result says how many. If one
  /// of them fails, the batches before it stay.
  ///
  /// If a key comes several times, its changes are made one after another.
  ///
  /// - Throws: as ``update(_:set:remove:ifVersion:)``; `cancelled` where the task is cancelled
  ///   between two batches.
  @discardableResult
  public func update(_ updates: [RecordUpdate]) async throws -> UpdateResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      for update in updates {
        try requireKey(update.key)
        try update.change.requireValid(at: "key '\(update.key)'")
      }
      return try await submit(updates, filter: nil)
    }
  }

  /// Sets when records expire, and leaves all else as it is: for a session that lives on with each use.
  ///
  /// Cost: as ``update(_:set:remove:ifVersion:)``. A record that expires at this time already is not
  /// written; so round `date` up where a record is touched often.
  /// - Parameter date: when vecdb deletes the records; nil for never. For a date in the past it does so
  ///   at once.
  /// - Throws: `notFound`, at `key '…'`, if one of the records is not there, for example because it has
  ///   expired; then none of the batch is changed.
  @discardableResult
  public func touch(_ keys: [String], expires date: Date?) async throws -> UpdateResult {
    try await update(
      keys.map { key in
        var update = RecordUpdate(key, MetadataChange())
        update.expiryMilliseconds = date?.expiryMilliseconds ?? 0
        return update
      })
  }

  /// Changes the metadata of all records that match.
  ///
  /// The call changes the records that match when it begins. A record that another write changes
  /// before its turn is changed only if it still matches. Each batch of up to 16 MiB is atomic;
  /// other writes may come between two batches. If the call fails, the batches before stay, and you
  /// can repeat the call: it writes nothing for records that have the values already.
  ///
  /// - Throws: as ``update(_:)``, but for `notFound` and `conflict`.
  @discardableResult
  public func update(where filter: Filter, _ change: MetadataChange) async throws -> UpdateResult {
    try await update(where: filter, change, expiryMilliseconds: nil)
  }

  /// As ``update(where:_:)``; also sets when the records expire, 0 for never.
  package func update(
    where filter: Filter, _ change: MetadataChange, expiryMilliseconds: Int64?
  ) async throws -> UpdateResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      try change.requireValid(at: name)
      let plan = try filter.plan()
      let keys = try await onBackground { [self] in try matchingKeys(filter) }
      guard !keys.isEmpty else {
        return try await database.writer.exclusively(repeatable: true) { engine in
          UpdateResult(receipt: engine.receipt, updated: 0, unchanged: 0, batches: 0)
        }
      }
      let updates = keys.map { key in
        var update = RecordUpdate(key, change)
        update.expiryMilliseconds = expiryMilliseconds
        return update
      }
      return try await submit(updates, filter: plan)
    }
  }

  /// Swaps records: deletes those that match and writes `records`, as one atomic batch. No search
  /// sees only a part of it.
  ///
  /// ```swift
  /// try await notes.replace(where: Field("document") == "moby-dick", with: chunks)
  /// ```
  ///
  /// A record that is there already, equal in key, vector bits and metadata, stays as it is and is
  /// not written again. A new record replaces the one with its key, whether that matched or not. If
  /// several records have the same key, the last one counts.
  ///
  /// - Throws: `limitExceeded` if all of it does not fit into one batch of 16 MiB, and nothing was
  ///   changed; as ``upsert(_:)-([VectorRecord])``.
  @discardableResult
  public func replace(
    where filter: Filter, with records: [VectorRecord]
  ) async throws -> ReplaceResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      let prepared = try VecDBError.translating { try records.map { try prepare($0) } }
      let runtime = runtime
      return try await database.writer.exclusively(repeatable: true) { engine in
        var group = CommitGroup(engine.records)
        let done = try group.put(
          prepared, in: runtime,
          replacing: try runtime.liveSlots(where: filter, engine.records))
        let counts = done.counts
        if let size = group.payloads.first?.count, size > DatabaseLimits.maximumBatchBytes {
          throw VecDBError(
            .limitExceeded,
            "the new records and the old ones take \(size) bytes, too many for one "
              + "batch", at: runtime.definition.name,
            remedy: "Replace fewer records at once.")
        }
        let receipts = try engine.write(group.payloads, areProven: true)
        return ReplaceResult(
          receipt: receipts.last ?? engine.receipt, inserted: counts.inserted,
          updated: counts.updated, unchanged: counts.unchanged, deleted: counts.deleted)
      }
    }
  }

  /// So many records of a filter are looked at in one batch, so that other writes are not kept
  /// waiting.
  private static let matchesAtOnce = 4_096

  private func submit(_ updates: [RecordUpdate], filter: FilterPlan?) async throws -> UpdateResult {
    var total = UpdateResult(
      receipt: database.currentReceipt, updated: 0, unchanged: 0, batches: 0)
    // No more fit into a batch.
    let room = DatabaseLimits.maximumBatchBytes / (dimensions * 4) + 1
    let atOnce = filter == nil ? room : min(room, Self.matchesAtOnce)
    var first = 0
    while first < updates.count {
      if Task.isCancelled {
        throw VecDBError(
          .cancelled,
          "the task was cancelled; \(total.updated) records are changed, through LSN "
            + "\(total.receipt.lsn)", at: name,
          remedy: "Update all records again; vecdb does not write a record twice.")
      }
      let part = updates[first...].prefix(atOnce)
      let size = min(part.count * (dimensions * 4 + 256), DatabaseLimits.maximumBatchBytes)
      let progress = try await withCheckedThrowingContinuation { continuation in
        database.writer.submit(
          .update(runtime, UpdateWork(updates: part, filter: filter), continuation),
          sizeBytes: size)
      }
      total.add(progress.result)
      first += progress.done
    }
    return total
  }

  /// The keys of the records that match now.
  private func matchingKeys(_ filter: Filter) throws -> [String] {
    try reduce(where: filter, into: []) { keys, slot, index in
      if let key = index.key(slot) { keys.append(key) }
    }
  }
}

extension MetadataChange {
  /// Throws if no record could have it.
  fileprivate func requireValid(at place: String) throws {
    do { try set.validate() } catch var error as VecDBError {
      if error.location.isEmpty { error.location = place }
      throw error
    }
  }
}
