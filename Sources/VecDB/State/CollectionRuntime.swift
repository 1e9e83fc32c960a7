import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBIndex

/// A collection at work: its definition and its index. Readers hold it as long as they like; the
/// writer alone changes it.
final class CollectionRuntime: Sendable {
  /// As the collection was created or opened; a rebuild may have changed the index options since
  /// (see `options`), and nothing else.
  let definition: CollectionDefinition
  /// Answers to filters asked for lately. They outlive a rebuild, since slots keep their numbers.
  let filters = FilterCache()
  /// Hashes of values that columns do not hold; likewise.
  let longValues = LongValues()
  /// What was measured of searches.
  let health = HealthMonitor()
  /// Queries asked lately, to measure with.
  let reservoir = QueryReservoir()
  /// The searches' times, while somebody wants to know them.
  let latency = SearchLatency()
  /// The rebuild that is under way and the generation that does not serve.
  let rebuilds: Guarded<Rebuilds>
  private let serving: SwappableReference<Generation>
  private let isDropped = Atomic(false)
  private let isMoved = Atomic(false)

  var id: UInt32 { definition.id }

  /// The generation that serves. A search takes it once and stays with it.
  var generation: Generation { serving.load() }
  var index: IndexGeneration { generation.index }
  var options: IndexOptions { generation.options }
  var calibration: Calibration { generation.calibration }

  /// An empty collection.
  convenience init(_ definition: CollectionDefinition, threads: Int) throws {
    let index = try IndexGeneration(
      parameters: definition.indexParameters, options: VecDBIndex.IndexOptions(threads: threads))
    self.init(
      definition, generation: Generation(number: 1, options: definition.options, index: index),
      rebuilds: Rebuilds())
  }

  /// A collection whose index was opened from a manifest.
  init(_ definition: CollectionDefinition, generation: Generation, rebuilds: Rebuilds) {
    self.definition = definition
    serving = SwappableReference(generation)
    self.rebuilds = Guarded(rebuilds)
  }

  var slotCount: UInt32 { UInt32(index.assignedSlotCount) }
  var count: Int { index.liveCount }
  /// For the writer, which alone changes it.
  var dataDigest: Digest { index.dataDigest.sum }

  func recordHash(of slot: UInt32) -> Digest { index.recordHash(Int(slot)) ?? .zero }

  func key(of slot: UInt32) -> String { index.key(Int(slot)) ?? "" }

  func vector(of slot: UInt32) -> [Float] { index.vector(Int(slot)) ?? [] }

  func markDropped() { isDropped.store(true, ordering: .releasing) }

  /// The same collection under another name, for the catalog; this one is then of no use.
  func renamed(to name: String, _ outcome: RebuildOutcome) -> CollectionRuntime {
    var definition = definition
    definition.name = name
    definition.options = options
    isMoved.store(true, ordering: .releasing)
    var rebuilds = rebuilds.withLock { $0 }
    rebuilds.outcome = outcome
    return CollectionRuntime(definition, generation: generation, rebuilds: rebuilds)
  }

  func requireLive() throws {
    guard !isMoved.load(ordering: .acquiring) else {
      throw VecDBError(
        .closed, "the collection has moved to another vector space", at: definition.name,
        remedy: "Get the collection again with `collection(_:)`.")
    }
    guard !isDropped.load(ordering: .acquiring) else {
      throw VecDBError(
        .closed, "the collection was dropped", at: definition.name,
        remedy: "Create it again, or use another.")
    }
  }

  /// Makes sure, before a batch is logged, that the index can take that many slots in all.
  func requireRoom(
    slots: Int, births: Int, reusing reused: [UInt32], newFields: Int
  ) throws {
    try index.requireRoom(slots: slots, births: births, reusing: reused, newFields: newFields)
  }

  /// Throws if a block that was changed since the opening was damaged before.
  func requireProven() throws {
    guard let problem = index.prover?.failure else { return }
    throw StoreError(
      .corrupt, problem, at: definition.name,
      remedy: "Close the database and run `vecdb check --repair`, with --from REPOSITORY if there "
        + "is one.")
  }

  func publish(lsn: UInt64) { index.publish(lsn: lsn) }

  /// Makes another generation serve. For the writer.
  func serve(_ generation: Generation) {
    serving.store(generation)
    health.forget()
  }

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
      var columns: [ColumnValue] = []
      try CanonicalMetadata.forEachField(in: birth.metadata) { name, value in
        columns.append(ColumnValue(field: Array(name), value: Array(value)))
      }
      return Birth(
        key: Array(birth.key), vector: Array(birth.vector), hash: birth.hash, columns: columns)
    }
    try index.apply(lsn: lsn, deaths: batch.deaths, births: births, reusing: batch.reused)
  }
}

extension CollectionDefinition {
  var indexParameters: IndexParameters {
    get throws { try indexParameters(with: options) }
  }

  /// The parameters of a generation with other options.
  func indexParameters(with options: IndexOptions) throws -> IndexParameters {
    try IndexParameters(
      dimensions: dimensions, metric: metric.indexMetric, degree: options.m,
      efConstruction: options.efConstruction, seed: seed, codes: options.codes.indexCodes)
  }
}

extension Metric {
  var indexMetric: IndexParameters.Metric {
    switch self {
    case .l2: .l2
    case .cosine: .cosine
    case .dot: .dot
    case .hamming: .hamming
    }
  }
}
