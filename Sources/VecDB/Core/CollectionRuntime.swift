import Bytes
import Files
import Synchronization
import VectorIndex

/// A collection at work: its definition and its index. Readers hold it as long as they like; the
/// writer alone changes it.
final class CollectionRuntime: Sendable {
  let definition: CollectionDefinition
  let index: IndexGeneration
  /// Efforts measured for recall targets.
  let calibration = Calibration()
  private let isDropped = Atomic(false)

  var id: UInt32 { definition.id }

  /// An empty collection.
  init(_ definition: CollectionDefinition, threads: Int) throws {
    self.definition = definition
    index = try IndexGeneration(parameters: definition.indexParameters, threads: threads)
  }

  /// A collection whose index was opened from a manifest.
  init(_ definition: CollectionDefinition, index: IndexGeneration) {
    self.definition = definition
    self.index = index
  }

  var slotCount: UInt32 { UInt32(index.slotCount) }
  var count: Int { index.liveCount }
  var dataDigest: Digest { index.dataDigest }

  func recordHash(of slot: UInt32) -> Digest { index.recordHash(slot: slot) }

  func markDropped() { isDropped.store(true, ordering: .releasing) }

  func requireLive() throws {
    guard !isDropped.load(ordering: .acquiring) else {
      throw VecDBError(
        .closed, "the collection was dropped", at: definition.name,
        remedy: "Create it again, or use another.")
    }
  }

  /// Makes sure that the index can hold that many slots.
  func reserve(rows: Int) throws { try index.reserve(slots: rows) }

  func publish(lsn: UInt64) { index.publish(lsn: lsn) }

  /// Applies a write to the index. Keys, vectors and values are copied.
  func apply(_ batch: DecodedBatch.WriteBatch, lsn: UInt64) throws {
    guard batch.dimensions == definition.dimensions, batch.firstSlot == slotCount else {
      throw StoreError(
        .corrupt,
        "the batch is for slot \(batch.firstSlot) and \(batch.dimensions) dimensions; "
          + "'\(definition.name)' is at slot \(slotCount) with \(definition.dimensions)",
        at: "LSN \(lsn)", remedy: "Restore the database from a backup.")
    }
    let births = try batch.births.map { birth in
      IndexGeneration.Birth(
        key: birth.key, vector: birth.vector, hash: birth.hash,
        columns: try Metadata.columns(ofCanonical: birth.metadata))
    }
    try index.apply(lsn: lsn, deaths: batch.deaths, births: births)
  }
}

extension CollectionDefinition {
  var indexParameters: IndexParameters {
    get throws {
      try IndexParameters(
        dimensions: dimensions, metric: metric.indexMetric, m: options.m,
        efConstruction: options.efConstruction, seed: seed)
    }
  }
}

extension Metric {
  var indexMetric: IndexMetric {
    switch self {
    case .l2: .l2
    case .cosine: .cosine
    case .dot: .dot
    }
  }
}
