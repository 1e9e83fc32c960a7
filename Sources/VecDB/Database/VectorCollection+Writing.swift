extension VectorCollection {
  /// Writes one record, replacing the one with its key if there is one.
  ///
  /// Returns when the write is durable and searchable. Does not write a record again that is
  /// already there with equal vector bits and metadata.
  ///
  /// - Throws: ``VecDBError`` `invalidArgument` for a wrong dimension, NaN or infinity, a key that
  ///   is empty or longer than 1,024 bytes, a zero vector under cosine; `diskFull`, `overloaded`,
  ///   `poisoned`, `closed`.
  @discardableResult
  public func upsert(_ record: VectorRecord) async throws -> UpsertResult {
    try await upsert([record])
  }

  /// Writes records as one atomic batch: all or none. A call of more than 16 MiB becomes several
  /// batches, and the result says how many. If one of them fails, the batches before it stay.
  ///
  /// If several records have the same key, the last one counts.
  ///
  /// - Throws: as ``upsert(_:)-(VectorRecord)``; `cancelled` where the task is cancelled between
  ///   two batches, saying what is durable.
  @discardableResult
  public func upsert(_ records: [VectorRecord]) async throws -> UpsertResult {
    try await upsert(records, policy: .overwrite)
  }

  /// Writes records as ``upsert(_:)-([VectorRecord])`` does, where `policy` decides about those
  /// whose key is there, or is not. Cost: that of the look-up of each key, which every upsert does.
  ///
  /// - Throws: as ``upsert(_:)-([VectorRecord])``; `alreadyExists` or `notFound`, at `key '…'`, if
  ///   the policy fails for it. The call then writes nothing of that batch. If you repeat a call
  ///   whose outcome was unknown, ``WritePolicy/failIfExisting`` finds the records of that call.
  @discardableResult
  public func upsert(
    _ records: [VectorRecord], policy: WritePolicy
  ) async throws -> UpsertResult {
    try await upsert(records) { _ in .policy(policy) }
  }

  /// Replaces a record if it still is the version that you read, so that no other write is lost.
  ///
  /// ```swift
  /// guard var note = try notes.get("17"), let version = note.version else { return }
  /// note.vector = try await embed(text)
  /// try await notes.upsert(note, ifVersion: version)
  /// ```
  ///
  /// To write a record only if there is none, use ``WritePolicy/failIfExisting``.
  /// - Parameter version: ``VectorRecord/version`` of the record that you read.
  /// - Throws: `conflict`, at `key '…'`, if the record has another version or is not there; as
  ///   ``upsert(_:)-(VectorRecord)``.
  @discardableResult
  public func upsert(
    _ record: VectorRecord, ifVersion version: UInt64
  ) async throws -> UpsertResult {
    try await upsert([record]) { _ in .version(version) }
  }

  /// As ``upsert(_:)-([VectorRecord])``; if `mayReplace` is false for a record, the call refuses
  /// that record when a different one with its key exists or comes in the same call. An empty list
  /// allows all.
  ///
  /// - Throws: `alreadyExists`, at `key '…'`; the call then writes nothing of the batch.
  package func upsert(
    _ records: [VectorRecord], mayReplace: [Bool]
  ) async throws -> UpsertResult {
    try await upsert(records) { index in
      mayReplace.isEmpty || mayReplace[index] ? .policy(.overwrite) : .absentOrEqual
    }
  }

  private func upsert(
    _ records: [VectorRecord], _ condition: (Int) -> WriteCondition
  ) async throws -> UpsertResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      let prepared = try VecDBError.translating {
        try records.enumerated().map { index, record in
          var prepared = try prepare(record)
          prepared.condition = condition(index)
          return prepared
        }
      }
      var total = UpsertResult(
        receipt: database.currentReceipt, inserted: 0, updated: 0, unchanged: 0, batches: 0)
      for batch in Self.split(prepared) {
        if Task.isCancelled { throw cancelled(total) }
        let size = batch.reduce(0) { $0 + $1.sizeBytes }
        let result = try await withCheckedThrowingContinuation { continuation in
          database.writer.submit(.upsert(runtime, Array(batch), continuation), sizeBytes: size)
        }
        total.add(result)
      }
      return total
    }
  }

  /// Writes a sequence of records in batches, with only one batch in memory at a time.
  ///
  /// - Parameters:
  ///   - batchSize: records in an atomic batch, 1 to 100,000.
  ///   - onBatch: vecdb calls it after each batch with the sums so far; throw from it to stop.
  /// - Throws: as ``upsert(_:)-([VectorRecord])``; what the sequence throws. If the task is
  ///   cancelled, the call throws `cancelled`, even if the sequence ends at that moment: the error
  ///   says which records are durable.
  @discardableResult
  public func upsert<Records: AsyncSequence>(
    _ records: Records, batchSize: Int = 1_000,
    onBatch: ((UpsertResult) throws -> Void)? = nil
  ) async throws -> UpsertResult where Records.Element == VectorRecord {
    guard (1...100_000).contains(batchSize) else {
      throw VecDBError(
        .invalidArgument, "batchSize is \(batchSize)", at: name, remedy: "Use 1 to 100000.")
    }
    var total = UpsertResult(
      receipt: database.currentReceipt, inserted: 0, updated: 0, unchanged: 0, batches: 0)
    var batch: [VectorRecord] = []
    for try await record in records {
      batch.append(record)
      if batch.count == batchSize {
        if Task.isCancelled { throw cancelled(total) }
        total.add(try await upsert(batch))
        batch.removeAll(keepingCapacity: true)
        try onBatch?(total)
      }
    }
    if Task.isCancelled { throw cancelled(total) }
    if !batch.isEmpty {
      total.add(try await upsert(batch))
      try onBatch?(total)
    }
    return total
  }

  private func cancelled(_ done: UpsertResult) -> VecDBError {
    let count = done.inserted + done.updated + done.unchanged
    return VecDBError(
      .cancelled,
      count == 0
        ? "the task was cancelled; nothing was written"
        : "the task was cancelled; \(count) records in \(done.batches) batches are durable, through "
          + "LSN \(done.receipt.lsn)", at: name,
      remedy: "Write all records again; vecdb does not write a record twice.")
  }

  /// Deletes the records with these keys as one atomic batch, and ignores keys that do not exist.
  ///
  /// - Throws: `limitExceeded` if the call would delete more than about four million records at
  ///   once; it then deletes none.
  @discardableResult
  public func delete(_ keys: [String]) async throws -> DeleteResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      for key in keys { try requireKey(key) }
      let size = keys.reduce(0) { $0 + $1.utf8.count + 16 }
      return try await withCheckedThrowingContinuation { continuation in
        database.writer.submit(.delete(runtime, keys, continuation), sizeBytes: size)
      }
    }
  }

  /// Deletes the record with this key, if it exists.
  @discardableResult
  public func delete(_ key: String) async throws -> DeleteResult {
    try await delete([key])
  }

  /// Deletes all records that match, as one atomic batch.
  @discardableResult
  public func delete(where filter: Filter) async throws -> DeleteResult {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      let runtime = runtime
      return try await database.writer.exclusively(repeatable: true) { engine in
        try runtime.requireLive()
        let slots = try runtime.liveSlots(where: filter, engine.records)
        guard !slots.isEmpty else { return DeleteResult(receipt: engine.receipt, deleted: 0) }
        let payload = BatchPayload.encodeWrite(
          collection: runtime.id, dimensions: runtime.definition.dimensions,
          firstSlot: runtime.slotCount, deaths: slots, births: [])
        guard payload.count <= DatabaseLimits.maximumBatchBytes else {
          throw VecDBError(
            .limitExceeded, "\(slots.count) records match, too many for one batch",
            at: runtime.definition.name, remedy: "Delete them with a narrower filter, in parts.")
        }
        let receipts = try engine.write([payload])
        return DeleteResult(receipt: receipts.last ?? engine.receipt, deleted: slots.count)
      }
    }
  }
}

// MARK: Validation and encoding, on the caller's thread

extension VectorCollection {
  func prepare(_ record: VectorRecord) throws -> PreparedRecord {
    try requireKey(record.key)
    guard record.vector.count == dimensions else {
      throw VecDBError(
        .invalidArgument,
        "the vector has \(record.vector.count) components; '\(name)' has \(dimensions) dimensions",
        at: "key '\(record.key)'", remedy: "Write vectors of \(dimensions) components.")
    }
    try requireVector(record.vector.span, "key '\(record.key)'")
    let prepared = PreparedRecord(
      key: record.key, vector: record.vector, metadata: try record.metadata.canonicalBytes(),
      expiryMilliseconds: record.expiryMilliseconds ?? 0)
    try prepared.requireSize()
    return prepared
  }

  /// Why the collection refuses a record; nil if it does not.
  package func fault(in record: VectorRecord) -> VecDBError? {
    do { _ = try prepare(record) } catch { return VecDBError(wrapping: error) }
    return nil
  }

  func requireKey(_ key: String) throws {
    let size = key.utf8.count
    guard (1...DatabaseLimits.maximumKeyBytes).contains(size) else {
      throw VecDBError(
        .invalidArgument,
        size == 0 ? "the key is empty" : "the key has \(size) bytes of UTF-8", at: name,
        remedy: "Use keys of 1 to \(DatabaseLimits.maximumKeyBytes) bytes.")
    }
    guard !key.utf8.contains(0) else {
      throw VecDBError(
        .invalidArgument, "the key contains a zero byte", at: name,
        remedy: "Use keys without U+0000.")
    }
  }

  /// Finite components, under cosine not all zero, under hamming only zeros and ones.
  func requireVector(_ vector: Span<Float>, _ place: String) throws {
    // Looked at closely only where something may be wrong.
    let (areFinite, areZero) = vector.withUnsafeBufferPointer(Self.survey)
    if areFinite, !areZero, metric != .hamming { return }
    var isZero = true
    for index in vector.indices {
      let value = vector[index]
      guard value.isFinite else {
        throw VecDBError(
          .invalidArgument, "component \(index) of the vector is \(value)", at: place,
          remedy: "Use finite components.")
      }
      if value != 0 { isZero = false }
      guard metric != .hamming || value == 0 || value == 1 else {
        throw VecDBError(
          .invalidArgument, "component \(index) of the vector is \(value)", at: place,
          remedy: "With the metric hamming, use 0 and 1, or pass packed bits as bytes.")
      }
    }
    if isZero, metric == .cosine {
      throw VecDBError(
        .invalidArgument, "the vector is zero, which has no direction", at: place,
        remedy: "Use vectors with at least one component that is not 0, or the metric l2 or dot.")
    }
  }

  /// Whether all components are finite, and whether all are zero. Every search begins with it.
  private static func survey(
    _ vector: UnsafeBufferPointer<Float>
  ) -> (areFinite: Bool, areZero: Bool) {
    let exponent: UInt32 = 0x7f80_0000
    let bytes = UnsafeRawBufferPointer(vector)
    let exponents = SIMD16<UInt32>(repeating: exponent)
    var all = SIMD16<UInt32>(repeating: 0)
    var infinite = SIMDMask<SIMD16<Int32>>(repeating: false)
    var offset = 0
    while offset &+ 64 <= bytes.count {
      let bits = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt32>.self)
      infinite .|= (bits & exponents) .== exponents
      all |= bits
      offset &+= 64
    }
    var (isInfinite, bits) = (any(infinite), UInt32(0))
    for lane in 0..<16 { bits |= all[lane] }
    while offset < bytes.count {
      let next = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      isInfinite = isInfinite || next & exponent == exponent
      bits |= next
      offset &+= 4
    }
    // Minus zero is zero.
    return (!isInfinite, bits & 0x7fff_ffff == 0)
  }

  /// Runs of records that fit into one batch each.
  private static func split(_ records: [PreparedRecord]) -> [ArraySlice<PreparedRecord>] {
    var batches: [ArraySlice<PreparedRecord>] = []
    var first = 0
    var bytes = 4_096
    for (index, record) in records.enumerated() {
      if bytes + record.sizeBytes > DatabaseLimits.maximumBatchBytes {
        batches.append(records[first..<index])
        first = index
        bytes = 4_096
      }
      bytes += record.sizeBytes
    }
    if first < records.count { batches.append(records[first...]) }
    return batches
  }
}

extension UpsertResult {
  mutating func add(_ other: UpsertResult) {
    receipt = other.receipt
    inserted += other.inserted
    updated += other.updated
    unchanged += other.unchanged
    skipped += other.skipped
    batches += other.batches
  }
}

extension PreparedRecord {
  /// Throws if not even a batch of its own holds the record.
  func requireSize() throws {
    guard sizeBytes <= DatabaseLimits.maximumBatchBytes - 4_096 else {
      throw VecDBError(
        .limitExceeded, "the record has \(sizeBytes) bytes; a batch holds 16 MiB",
        at: "key '\(key)'", remedy: "Store less metadata with it.")
    }
  }
}
