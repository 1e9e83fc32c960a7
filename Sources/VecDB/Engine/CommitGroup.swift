import VecDBBytes
import VecDBIndex
import VecDBLogStore

/// The batches that one transaction of the log will hold, while they are prepared: keys resolved
/// to slots, new slots given out, records that are already there left out.
///
/// Requests of a group see the effect of those before them, though nothing is applied yet.
struct CommitGroup {
  /// A request's answer, known but for its LSN.
  enum Answer: Sendable {
    case upsert(CheckedContinuation<UpsertResult, any Error>, Counts)
    case delete(CheckedContinuation<DeleteResult, any Error>, deleted: Int)
    case update(
      CheckedContinuation<UpdateProgress, any Error>, updated: Int, unchanged: Int, done: Int)
  }

  /// What a request does to how many keys.
  struct Counts: Sendable {
    var inserted = 0
    var updated = 0
    var unchanged = 0
    var skipped = 0
    /// Those that were to go and are not written again.
    var deleted = 0
  }

  /// A live record, as of the requests before in this group.
  private struct Known {
    var slot: UInt32
    var hash: Digest
    /// Nil where it is applied, and not only written in this group.
    var pending: PreparedRecord?
  }

  private struct Pending {
    /// What this group does to a key; nil if it deletes it. By bytes, since Swift's strings count
    /// canonically equivalent spellings as equal.
    var keys: [[UInt8]: Known?] = [:]
    var nextSlot: UInt32
    /// What the batches of this group so far bring to the index.
    var births = 0
    var reused: [UInt32] = []
    var newFields: Set<[UInt8]> = []
    /// The last free slot that was given out in this group.
    var lastReused: UInt32?

    mutating func note(
      _ records: [PreparedRecord], reusing slots: [UInt32], in collection: CollectionRuntime
    ) throws {
      births += records.count
      reused += slots
      for record in records {
        try record.metadata.withUnsafeBytes { metadata in
          try CanonicalMetadata.forEachField(in: metadata) { name, _ in
            if !collection.index.knows(field: name) { newFields.insert(Array(name)) }
          }
        }
      }
    }

    /// Free slots for so many records, as far as there are some.
    mutating func takeFreeSlots(_ count: Int, of collection: CollectionRuntime) -> [UInt32] {
      var slots: [UInt32] = []
      while slots.count < count, let slot = collection.index.freeSlot(after: lastReused) {
        slots.append(slot)
        lastReused = slot
      }
      return slots
    }
  }

  private(set) var payloads: [[UInt8]] = []
  /// Each answer with the index of its payload; nil if the request changed nothing.
  private(set) var answers: [(answer: Answer, payload: Int?)] = []
  private var pending: [UInt32: Pending] = [:]
  private let records: RecordStore

  /// `records` has what is applied, and nothing of this group.
  init(_ records: RecordStore) { self.records = records }

  /// Prepares one request, or answers it with an error and leaves the group as it was.
  mutating func add(_ work: WriteWork) {
    do {
      switch work {
      case .upsert(let collection, let records, let continuation):
        let done = try put(records, in: collection)
        answers.append((.upsert(continuation, done.counts), done.payload))
      case .delete(let collection, let keys, let continuation):
        try addDelete(collection, keys, continuation)
      case .update(let collection, let work, let continuation):
        try addUpdate(collection, work, continuation)
      case .exclusive:
        break
      }
    } catch {
      work.fail(VecDBError(wrapping: error))
    }
  }

  /// Prepares records, and that those in `doomed` go: slots of live records, none of which this
  /// group has written.
  mutating func put(
    _ records: [PreparedRecord], in collection: CollectionRuntime, replacing doomed: [UInt32] = []
  ) throws -> (counts: Counts, payload: Int?) {
    try collection.requireLive()
    let (distinct, leftOut) = try Self.distinct(records)
    var counts = leftOut
    var state = pending[collection.id] ?? Pending(nextSlot: collection.slotCount)
    let existing = try resolve(
      distinct.map { ($0.key, $0.keyBytes) }, in: collection, state)
    var deaths: [UInt32] = []
    var births: [PreparedRecord] = []
    var doomed = Set(doomed)
    for (record, old) in zip(distinct, existing) {
      guard try allows(record, old, in: collection) else {
        counts.skipped += 1
        continue
      }
      if let old {
        doomed.remove(old.slot)
        if old.hash == record.hash {
          counts.unchanged += 1
          continue
        }
        deaths.append(old.slot)
      }
      births.append(record)
    }
    counts.updated = deaths.count
    counts.inserted = births.count - deaths.count
    counts.deleted = doomed.count
    let payload = try write(births, deaths + doomed, in: collection, &state)
    return (counts, payload)
  }

  /// Takes a batch into the group; returns the index of its payload, nil if there is nothing to do.
  private mutating func write(
    _ births: [PreparedRecord], _ deaths: [UInt32], in collection: CollectionRuntime,
    _ state: inout Pending
  ) throws -> Int? {
    guard !births.isEmpty || !deaths.isEmpty else { return nil }
    let reused = state.takeFreeSlots(births.count, of: collection)
    try state.note(births, reusing: reused, in: collection)
    try collection.requireRoom(
      slots: Int(state.nextSlot) + births.count - reused.count, births: state.births,
      reusing: state.reused, newFields: state.newFields.count)
    try append(
      BatchPayload.encodeWrite(
        collection: collection.id, dimensions: collection.definition.dimensions,
        firstSlot: state.nextSlot, deaths: deaths.sorted(), births: births, reusing: reused))
    for (index, birth) in births.enumerated() {
      let isReusing = index < reused.count
      state.keys[birth.keyBytes] = .some(
        Known(
          slot: isReusing ? reused[index] : state.nextSlot, hash: birth.hash, pending: birth))
      if !isReusing { state.nextSlot += 1 }
    }
    pending[collection.id] = state
    return payloads.count - 1
  }

  private mutating func addUpdate(
    _ collection: CollectionRuntime, _ work: UpdateWork,
    _ continuation: CheckedContinuation<UpdateProgress, any Error>
  ) throws {
    try collection.requireLive()
    var state = pending[collection.id] ?? Pending(nextSlot: collection.slotCount)
    let existing = try resolve(
      work.updates.map { ($0.key, Array($0.key.utf8)) }, in: collection, state)
    var deaths: [UInt32] = []
    var births: [PreparedRecord] = []
    /// Where among `births` a key is.
    var places: [[UInt8]: Int] = [:]
    var (updated, unchanged, done, bytes) = (0, 0, 0, 4_096)
    for (update, old) in zip(work.updates, existing) {
      let key = Array(update.key.utf8)
      let place = places[key]
      guard let old else {
        guard work.filter != nil else { throw Self.missing(update.key) }
        done += 1
        continue
      }
      if let version = update.version {
        guard place == nil, version == self.version(of: old, in: collection) else {
          throw conflict(update.key, version, old, in: collection)
        }
      }
      let record = try place.map { births[$0] } ?? old.pending ?? read(old.slot, in: collection)
      if let filter = work.filter {
        guard try record.metadata.withUnsafeBytes({ try filter.matches(canonicalMetadata: $0) })
        else {
          done += 1
          continue
        }
      }
      let metadata = try update.change.applied(
        to: Metadata(canonicalBytes: record.metadata)
      ).canonicalBytes()
      let expiry = update.expiryMilliseconds ?? record.expiryMilliseconds
      if metadata == record.metadata, expiry == record.expiryMilliseconds {
        unchanged += 1
      } else {
        let next = PreparedRecord(
          key: record.key, vector: record.vector, metadata: metadata, expiryMilliseconds: expiry)
        try next.requireSize()
        if let place {
          bytes += next.sizeBytes - record.sizeBytes
          births[place] = next
        } else {
          guard births.isEmpty || bytes + next.sizeBytes <= DatabaseLimits.maximumBatchBytes
          else { break }
          bytes += next.sizeBytes
          places[key] = births.count
          births.append(next)
          deaths.append(old.slot)
        }
        updated += 1
      }
      done += 1
    }
    let payload = try write(births, deaths, in: collection, &state)
    answers.append(
      (.update(continuation, updated: updated, unchanged: unchanged, done: done), payload))
  }

  private mutating func addDelete(
    _ collection: CollectionRuntime, _ keys: [String],
    _ continuation: CheckedContinuation<DeleteResult, any Error>
  ) throws {
    try collection.requireLive()
    var state = pending[collection.id] ?? Pending(nextSlot: collection.slotCount)
    let distinct = Set(keys.map { Array($0.utf8) }).map {
      (String(decoding: $0, as: UTF8.self), $0)
    }
    let existing = try resolve(distinct, in: collection, state)
    var deaths: [UInt32] = []
    for ((_, key), old) in zip(distinct, existing) {
      guard let old else { continue }
      deaths.append(old.slot)
      state.keys[key] = .some(nil)
    }
    let answer = Answer.delete(continuation, deleted: deaths.count)
    guard !deaths.isEmpty else { return answers.append((answer, nil)) }
    try append(
      BatchPayload.encodeWrite(
        collection: collection.id, dimensions: collection.definition.dimensions,
        firstSlot: state.nextSlot, deaths: deaths.sorted(), births: []))
    pending[collection.id] = state
    answers.append((answer, payloads.count - 1))
  }

  /// Takes a batch into the group, unless it could not be replayed: then its request alone fails.
  private mutating func append(_ payload: [UInt8]) throws {
    try BatchPayload.requireReplayable(payload, lsn: 0)
    payloads.append(payload)
  }

  /// The live record of each key, as of the requests before in this group.
  private func resolve(
    _ keys: [(text: String, bytes: [UInt8])], in collection: CollectionRuntime, _ state: Pending
  ) throws -> [Known?] {
    let applied = try records.slots(collection: collection.id, keys: keys.map(\.text))
    return zip(keys, applied).map { key, slot in
      if let changed = state.keys[key.bytes] { return changed }
      return slot.map { Known(slot: $0, hash: collection.recordHash(of: $0), pending: nil) }
    }
  }

  /// An applied record as it was written. Compares it with its hash, so that damage is not written
  /// again as if it were right.
  private func read(_ slot: UInt32, in collection: CollectionRuntime) throws -> PreparedRecord {
    guard let row = try records.row(collection: collection.id, slot: slot) else {
      throw RecordReplaced.missing(Int(slot))
    }
    let record = PreparedRecord(
      key: row.key, vector: collection.vector(of: slot), metadata: row.metadata,
      expiryMilliseconds: row.expiryMilliseconds)
    guard record.hash == collection.recordHash(of: slot) else {
      throw VecDBError.unlikeItsHash(row.key, of: collection.definition.name)
    }
    return record
  }
}

// MARK: Conditions

extension CommitGroup {
  /// Whether a record may be written; false where it is to be left out.
  private func allows(
    _ record: PreparedRecord, _ old: Known?, in collection: CollectionRuntime
  ) throws -> Bool {
    switch record.condition {
    case .policy(.overwrite): return true
    case .policy(.skipExisting): return old == nil
    case .policy(.skipMissing): return old != nil
    case .policy(.failIfExisting):
      guard old == nil else { throw Self.replaces(record) }
    case .policy(.failIfMissing):
      guard old != nil else { throw Self.missing(record.key) }
    case .absentOrEqual:
      guard old == nil || old?.hash == record.hash else { throw Self.replaces(record) }
    case .version(let version):
      guard let old, version == self.version(of: old, in: collection) else {
        throw conflict(record.key, version, old, in: collection)
      }
    }
    return true
  }

  /// Nil of a record that this group writes: nobody can know it.
  private func version(of record: Known, in collection: CollectionRuntime) -> UInt64? {
    record.pending == nil ? collection.index.birthLSN(of: Int(record.slot)) : nil
  }

  /// Records of distinct keys, as if all were written one after another, and how many are left out
  /// for that. Throws if that would lose a record, or replace one, that must not be.
  private static func distinct(
    _ records: [PreparedRecord]
  ) throws -> (records: [PreparedRecord], counts: Counts) {
    guard records.count > 1 else { return (records, Counts()) }
    var position: [[UInt8]: Int] = [:]
    position.reserveCapacity(records.count)
    for (index, record) in records.enumerated() {
      if case .policy(.skipExisting) = record.condition, position[record.keyBytes] != nil {
        continue
      }
      position[record.keyBytes] = index
    }
    guard position.count < records.count else { return (records, Counts()) }
    var counts = Counts()
    var distinct: [PreparedRecord] = []
    distinct.reserveCapacity(position.count)
    for (index, record) in records.enumerated() {
      guard let final = position[record.keyBytes], final != index else {
        distinct.append(record)
        continue
      }
      switch record.condition {
      case .policy(.failIfExisting), .version: throw replaces(record)
      case .policy(.skipExisting): counts.skipped += 1
      case .policy, .absentOrEqual:
        let conditions = [records[final].condition, record.condition]
        if conditions.contains(.absentOrEqual), records[final].hash != record.hash {
          throw replaces(record)
        }
      }
    }
    return (distinct, counts)
  }

  private func conflict(
    _ key: String, _ version: UInt64, _ old: Known?, in collection: CollectionRuntime
  ) -> VecDBError {
    let state =
      switch old {
      case nil: "there is no record with this key"
      case let old?:
        self.version(of: old, in: collection).map { "the record has version \($0)" }
          ?? "another write has just changed the record"
      }
    return VecDBError(
      .conflict, "\(state); the write asks for version \(version)", at: "key '\(key)'",
      remedy: "Read the record again, and write with the version that it has then.")
  }

  private static func missing(_ key: String) -> VecDBError {
    VecDBError(
      .notFound, "there is no record with this key", at: "key '\(key)'",
      remedy: "Write the record with its vector first.")
  }

  private static func replaces(_ record: PreparedRecord) -> VecDBError {
    VecDBError(
      .alreadyExists, "there is another record with this key", at: "key '\(record.key)'",
      remedy: "Give one of them another key, or let it be replaced.")
  }
}
