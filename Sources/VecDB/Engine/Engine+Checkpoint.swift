import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore

extension Engine {
  /// Takes up the outcome of the checkpoint that runs, if it is written.
  func takeUpCheckpoint() { checkpointer.finish(self, waiting: false) }

  /// Waits until no checkpoint runs, and takes up the outcome.
  func awaitCheckpoint() { checkpointer.finish(self, waiting: true) }

  /// Starts a checkpoint when replaying the log would take too long, and takes up one that is
  /// written.
  ///
  /// If the one that is running is so slow that the next is due already, writing waits for it, so
  /// that the time to recover stays bounded.
  func checkpointIfDue() {
    takeUpCheckpoint()
    guard poison == nil, checkpointer.isDue(configuration) else { return }
    awaitCheckpoint()
    do { _ = try checkpointer.begin(self) } catch {
      checkpointer.failing.note(error, configuration.logger)
    }
  }

  /// The checkpoint that is running, or a new one; nil if the newest manifest has everything, unless
  /// one is wanted `always`.
  func startCheckpoint(always: Bool = false) throws -> (job: CheckpointJob, isNew: Bool)? {
    takeUpCheckpoint()
    if let running = checkpointer.running { return (running, false) }
    try requireHealthy()
    let isCovered =
      state.lsn <= checkpointer.newest.lsn && epochCounter == checkpointer.newest.epochCounter
    guard always || !isCovered || hasCandidates else { return nil }
    return (try checkpointer.begin(self), true)
  }

  /// Whether a rebuild is building, which changes blocks without a batch.
  private var hasCandidates: Bool {
    state.sortedCollections.contains { runtime in
      runtime.rebuilds.withLock { $0.state?.phase == .building && $0.other != nil }
    }
  }

  /// Writes a checkpoint of the present state and returns when it is durable.
  func checkpointNow() throws -> CheckpointReport {
    while true {
      awaitCheckpoint()
      guard let (job, isNew) = try startCheckpoint() else {
        return CheckpointReport(
          lsn: checkpointer.newest.lsn, blocksWritten: 0, bytesWritten: 0, seconds: 0)
      }
      let outcome = job.outcome(waiting: true)
      awaitCheckpoint()
      if isNew, let outcome { return try outcome.get().report }
    }
  }

  /// The one place that decides what may be removed: packs and manifests that neither the two
  /// newest manifests nor a pin name, and log that neither the older manifest nor records need, nor,
  /// up to a limit, a repository that does not have it yet.
  func removeWhatIsNotNeeded() throws {
    _ = try blocks.collectGarbage()
    var needed = try min(blocks.trimmableLSN(), records.durableLSN)
    if let kept = replication?.neededLSN(log) { needed = min(needed, kept) }
    let trimmable = try holds.trimmable(
      through: needed, log: log, limitBytes: configuration.archiveLogBytes)
    if trimmable > 0 { try log.trim(through: trimmable) }
  }

  /// A manifest of the present position, without its collections.
  func manifestSkeleton() throws -> Manifest {
    Manifest(
      databaseID: log.identity.databaseID.number, epochs: log.identity.encoded(),
      epochCounter: epochCounter, lsn: state.lsn, chain: state.chain,
      timeMilliseconds: logTime(), catalog: state.encodeCatalog(),
      collections: [], records: nil, recordsLSN: records.durableLSN,
      annotations: try state.annotations())
  }
}

// MARK: Catalog

extension DatabaseState {
  private static let catalogVersion: UInt32 = 2

  /// UInt32 version, UInt32 next collection id, UInt32 count, then each entry by id.
  func encodeCatalog() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.catalogVersion)
    writer.write(nextCollectionID)
    writer.write(UInt32(collections.count))
    for collection in sortedCollections { collection.catalogEntry.encode(to: &writer) }
    return writer.bytes
  }

  /// Reads what `encodeCatalog` wrote.
  static func decodeCatalog(
    _ bytes: [UInt8], at location: String
  ) throws -> (nextCollectionID: UInt32, entries: [CatalogEntry]) {
    try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      do {
        let version: UInt32 = try reader.read("catalog version")
        guard (1...catalogVersion).contains(version) else {
          throw StoreError(
            .unknownVersion, "the catalog has format version \(version)", at: location,
            remedy: "Open the database with a newer vecdb.")
        }
        let next: UInt32 = try reader.read("next collection id")
        let count: UInt32 = try reader.read("collection count")
        guard Int(count) <= DatabaseLimits.maximumCollections else { throw reader.failure("count") }
        let entries = try (0..<count).map { _ in
          try CatalogEntry(from: &reader, version: version)
        }
        try reader.expectEnd("end of catalog")
        return (next, entries)
      } catch let failure as ByteReader.Failure {
        throw StoreError(
          .corrupt, "the catalog cannot be read: \(failure)", at: location,
          remedy: "Restore the database from a backup.")
      }
    }
  }
}

extension Manifest {
  /// Blocks of all arrays, lists aside.
  var blockCount: Int {
    namedArrays.reduce(0) { $0 + BlockList.blockCount(lengthBytes: $1.array.lengthBytes) }
  }
}
