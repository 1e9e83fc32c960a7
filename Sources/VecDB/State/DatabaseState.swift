import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore

/// All that a database is at one LSN, apart from its log and its records: the catalog and the
/// index of each collection.
///
/// Owned by the writer; searches reach collections through `Catalog` and see only published LSNs.
/// Invariants: `lsn` and `chain` are the position of the last batch applied; every collection has
/// applied exactly the batches up to `lsn`; ids are never reused.
final class DatabaseState {
  private(set) var lsn: UInt64
  private(set) var chain: Digest
  private(set) var collections: [UInt32: CollectionRuntime] = [:]
  private(set) var nextCollectionID: UInt32 = 1
  /// Named points of the history; the index and the records know nothing of them.
  private(set) var marks = Marks()
  /// When the primary acknowledges writes, in the form of the replication protocol; empty: alone.
  private(set) var acknowledgement: [UInt8] = []
  let threads: Int

  init(threads: Int) {
    lsn = 0
    chain = .zero
    self.threads = threads
  }

  /// The state of a manifest; `collections` were opened from its blocks.
  init(
    lsn: UInt64, chain: Digest, nextCollectionID: UInt32, collections: [CollectionRuntime],
    marks: Marks, acknowledgement: [UInt8], threads: Int
  ) {
    self.acknowledgement = acknowledgement
    self.lsn = lsn
    self.chain = chain
    self.nextCollectionID = nextCollectionID
    self.marks = marks
    self.collections = Dictionary(uniqueKeysWithValues: collections.map { ($0.id, $0) })
    self.threads = threads
  }

  var position: LogPosition { LogPosition(lsn: lsn, chain: chain) }

  /// This becomes the state of another database, of which nobody has a copy.
  func leaveReplicas() { acknowledgement = [] }

  /// Collections in the order of their ids.
  var sortedCollections: [CollectionRuntime] {
    collections.values.sorted { $0.id < $1.id }
  }

  func collection(named name: String) -> CollectionRuntime? {
    collections.values.first { Array($0.definition.name.utf8) == Array(name.utf8) }
  }

  /// Digest over the names and data digests of all collections: equal for equal content, whatever
  /// the history, epoch or index parameters.
  var dataDigest: Digest {
    var writer = ByteWriter()
    for collection in collections.values.sorted(by: {
      $0.definition.name.utf8.lexicographicallyPrecedes($1.definition.name.utf8)
    }) {
      writer.write(collection.definition.name)
      writer.write(UInt32(collection.definition.dimensions))
      writer.write(collection.definition.metric.code)
      writer.write(collection.dataDigest)
    }
    return SHA256.hash(writer.bytes)
  }
}

// MARK: Apply

extension DatabaseState {
  /// The one apply path: live writes, recovery and restore all come through here.
  ///
  /// A pure function of this state and the batch. The index takes the batch unless it has it
  /// already (`lsn` at or below this state's); what records must change is appended to `changes`
  /// in any case, since records may be behind. Nothing is visible to searches before `publish`.
  ///
  /// - Throws: `StoreError` `.corrupt` if the batch does not fit the state, which only damage can
  ///   cause.
  func apply(
    _ payload: [UInt8], at position: LogPosition, records changes: inout [RecordChange]
  ) throws {
    let isNew = position.lsn > lsn
    guard !isNew || position.lsn == lsn + 1 else {
      throw StoreError(
        .corrupt, "batch \(position.lsn) does not follow \(lsn)", at: "LSN \(position.lsn)",
        remedy: "Restore the database from a backup.")
    }
    try DecodedBatch.with(payload, lsn: position.lsn) { batch in
      switch batch {
      case .create(let definition):
        if isNew { try create(definition, lsn: position.lsn) }
      case .drop(let id):
        if isNew { try drop(id, lsn: position.lsn) }
        changes.append(.dropCollection(id))
      case .write(let write):
        if isNew {
          try collection(write.collection, lsn: position.lsn).apply(write, lsn: position.lsn)
        }
        Self.appendChanges(of: write, to: &changes)
      case .acknowledgement(let policy):
        if isNew { acknowledgement = policy }
      case .mark(let name, let isSet, let time):
        if isNew {
          marks.set(name, isSet ? .init(lsn: position.lsn, timeMilliseconds: time) : nil)
        }
      case .maintenance(let id, let step):
        if isNew {
          try collection(id, lsn: position.lsn).index.maintain(lsn: position.lsn, step)
        }
      case .rebuild(let header, let batch):
        if isNew {
          let first = try collection(header.collection, lsn: position.lsn)
          if batch == .exchange {
            let second = try collection(header.number, lsn: position.lsn)
            exchange(first, second, header, lsn: position.lsn)
          } else {
            try first.apply(batch, header, lsn: position.lsn)
          }
        }
      }
    }
    if isNew {
      for collection in collections.values { try collection.requireProven() }
      lsn = position.lsn
      chain = position.chain
    }
  }

  /// Passes over a batch of a collection that this state leaves out, as a restore of some collections
  /// does; `id` is one that the batch gave to a collection.
  func skip(to position: LogPosition, reserving id: UInt32?) {
    lsn = position.lsn
    chain = position.chain
    if let id { nextCollectionID = max(nextCollectionID, id + 1) }
  }

  /// Makes everything applied visible to searches.
  func publish() {
    for collection in collections.values { collection.publish(lsn: lsn) }
  }

  private func create(_ definition: CollectionDefinition, lsn: UInt64) throws {
    guard collections[definition.id] == nil, definition.id >= nextCollectionID else {
      throw mismatch("collection id \(definition.id) is in use", lsn)
    }
    collections[definition.id] = try CollectionRuntime(definition, threads: threads)
    nextCollectionID = definition.id + 1
  }

  /// Handles of either become useless, so that nobody takes one for the other.
  private func exchange(
    _ first: CollectionRuntime, _ second: CollectionRuntime, _ header: RebuildBatch.Header,
    lsn: UInt64
  ) {
    let outcome = RebuildOutcome(
      kind: .moved, number: 0, lsn: lsn, milliseconds: header.timeMilliseconds, reason: "")
    collections[first.id] = first.renamed(to: second.definition.name, outcome)
    collections[second.id] = second.renamed(to: first.definition.name, outcome)
  }

  private func drop(_ id: UInt32, lsn: UInt64) throws {
    let collection = try collection(id, lsn: lsn)
    collection.markDropped()
    collections[id] = nil
  }

  private func collection(_ id: UInt32, lsn: UInt64) throws -> CollectionRuntime {
    guard let collection = collections[id] else {
      throw mismatch("there is no collection with id \(id)", lsn)
    }
    return collection
  }

  private func mismatch(_ message: String, _ lsn: UInt64) -> StoreError {
    StoreError(
      .corrupt, "the batch does not fit the state: \(message)", at: "LSN \(lsn)",
      remedy: "Restore the database from a backup.")
  }

  private static func appendChanges(
    of write: DecodedBatch.WriteBatch, to changes: inout [RecordChange]
  ) {
    for slot in write.deaths {
      changes.append(.remove(collection: write.collection, slot: slot))
    }
    for (offset, birth) in write.births.enumerated() {
      let row = RecordRow(
        slot: write.slot(offset), key: String(decoding: birth.key, as: UTF8.self),
        metadata: Array(birth.metadata), expiryMilliseconds: birth.expiryMilliseconds)
      changes.append(.insert(collection: write.collection, row))
    }
  }
}
