import VecDBBytes
import VecDBIndex

/// The batches that one transaction of the log will hold, while they are prepared: keys resolved
/// to slots, new slots given out, records that are already there left out.
///
/// Requests of a group see the effect of those before them, though nothing is applied yet.
struct CommitGroup {
  /// A request's answer, known but for its LSN.
  enum Answer: Sendable {
    case upsert(
      CheckedContinuation<UpsertResult, any Error>, inserted: Int, updated: Int, unchanged: Int)
    case delete(CheckedContinuation<DeleteResult, any Error>, deleted: Int)
  }

  private struct Pending {
    /// Key to its slot and record hash within this group; nil if deleted in it. By bytes, since
    /// Swift's strings count canonically equivalent spellings as equal.
    var keys: [[UInt8]: (slot: UInt32, hash: Digest)?] = [:]
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
  private let lookUp: (CollectionRuntime, [String]) throws -> [UInt32?]

  /// `lookUp` finds the slots of keys in the applied state.
  init(lookUp: @escaping (CollectionRuntime, [String]) throws -> [UInt32?]) {
    self.lookUp = lookUp
  }

  /// Prepares one request, or answers it with an error and leaves the group as it was.
  mutating func add(_ work: WriteWork) {
    do {
      switch work {
      case .upsert(let collection, let records, let continuation):
        try addUpsert(collection, records, continuation)
      case .delete(let collection, let keys, let continuation):
        try addDelete(collection, keys, continuation)
      case .exclusive:
        break
      }
    } catch {
      work.fail(VecDBError(wrapping: error))
    }
  }

  private mutating func addUpsert(
    _ collection: CollectionRuntime, _ records: [PreparedRecord],
    _ continuation: CheckedContinuation<UpsertResult, any Error>
  ) throws {
    try collection.requireLive()
    let distinct = try Self.lastOfEachKey(records)
    var state = pending[collection.id] ?? Pending(nextSlot: collection.slotCount)
    let existing = try resolve(
      distinct.map { ($0.key, $0.keyBytes) }, in: collection, state)
    var deaths: [UInt32] = []
    var births: [PreparedRecord] = []
    var unchanged = 0
    for (record, old) in zip(distinct, existing) {
      if let old {
        if old.hash == record.hash {
          unchanged += 1
          continue
        }
        guard record.mayReplace else { throw Self.replaces(record) }
        deaths.append(old.slot)
      }
      births.append(record)
    }
    let answer = Answer.upsert(
      continuation, inserted: births.count - deaths.count, updated: deaths.count,
      unchanged: unchanged)
    guard !births.isEmpty else { return answers.append((answer, nil)) }
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
      state.keys[birth.keyBytes] = .some((isReusing ? reused[index] : state.nextSlot, birth.hash))
      if !isReusing { state.nextSlot += 1 }
    }
    pending[collection.id] = state
    answers.append((answer, payloads.count - 1))
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

  /// The live slot and record hash of each key, as of the requests before in this group.
  private func resolve(
    _ keys: [(text: String, bytes: [UInt8])], in collection: CollectionRuntime, _ state: Pending
  ) throws -> [(slot: UInt32, hash: Digest)?] {
    let applied = try lookUp(collection, keys.map(\.text))
    return zip(keys, applied).map { key, slot in
      if let changed = state.keys[key.bytes] { return changed }
      return slot.map { ($0, collection.recordHash(of: $0)) }
    }
  }

  /// Throws if that would lose a record, or replace one, that must not be.
  private static func lastOfEachKey(_ records: [PreparedRecord]) throws -> [PreparedRecord] {
    guard records.count > 1 else { return records }
    var position: [[UInt8]: Int] = [:]
    position.reserveCapacity(records.count)
    for (index, record) in records.enumerated() { position[record.keyBytes] = index }
    guard position.count < records.count else { return records }
    var last: [PreparedRecord] = []
    last.reserveCapacity(position.count)
    for (index, record) in records.enumerated() {
      guard let final = position[record.keyBytes], final != index else {
        last.append(record)
        continue
      }
      if !records[final].mayReplace || !record.mayReplace, records[final].hash != record.hash {
        throw replaces(record)
      }
    }
    return last
  }

  private static func replaces(_ record: PreparedRecord) -> VecDBError {
    VecDBError(
      .alreadyExists, "there is another record with this key", at: "key '\(record.key)'",
      remedy: "Give one of them another key, or let it be replaced.")
  }
}
