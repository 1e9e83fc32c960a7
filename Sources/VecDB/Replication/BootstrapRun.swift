import BlockStore
import Bytes
import Files
import LogStore
import Logging

/// Builds a copy of a database from the blocks of another node, beside its place, proves it, and
/// puts it there in one step. It stays the same database, of the same epoch.
package struct BootstrapRun {
  package struct Report: Sendable {
    package var lsn: UInt64
    /// What was fetched and what was found in the copy that is replaced.
    package var fetchedBytes: Int
    package var reusedBytes: Int
    package var seconds: Double
  }

  private let path: String
  private let files: any FileSystem
  private let configuration: Configuration
  private let progress: ProgressReporter

  package init(
    path: String, files: any FileSystem, configuration: Configuration,
    progress: ProgressHandler? = nil
  ) {
    self.path = path
    self.files = files
    self.configuration = configuration
    self.progress = ProgressReporter(progress)
  }

  /// Undoes or finishes what a crash left in the middle of a replacement.
  package func finishInterrupted() throws {
    try VecDBError.translating {
      try ReplacementMarker(StagingName(beside: path), files).finish(path)
      // Version 0.1 replaced by two renames, with the older copy under this name in between.
      let replaced = DatabaseDirectory(path: path + ".replaced")
      guard try !files.exists(path), try Opening.isDatabase(replaced, files) else { return }
      try files.rename(replaced.path, to: path)
      try files.syncDirectory(directoryName(path))
    }
  }

  /// Fetches what the manifest names from `source`, taking blocks from the closed database at
  /// `path`, if there is one, where it has them. `node` is what the new copy is bound to.
  package func run(
    _ manifest: Manifest, identity: LogIdentity, from source: any Repository, node: NodeRecord
  ) throws -> Report {
    try VecDBError.translating {
      let started = ContinuousClock.now
      try requirePlace()
      let staging = try StagingDirectory(for: path, .following, files, configuration.logger)
      let layered: LayeredRepository
      do {
        let local = try LocalBlocks(
          path: path, files: files, logger: configuration.logger)
        layered = LayeredRepository(local: local, remote: source)
        try build(manifest, identity, layered, node, in: staging)
      } catch {
        staging.discard()
        throw error
      }
      let isThere = try Opening.isDatabase(staging.target, files)
      try (isThere ? staging.replace() : staging.publish()).unlock()
      let seconds = (ContinuousClock.now - started) / .seconds(1)
      let (fetched, reused) = layered.counts
      return Report(
        lsn: manifest.lsn, fetchedBytes: fetched, reusedBytes: reused, seconds: seconds)
    }
  }

  /// Throws if something is there that is neither a database nor an empty directory: nobody asked for
  /// that to go.
  package func requirePlace() throws {
    let directory = DatabaseDirectory(path: path)
    guard let info = try files.info(path), try !Opening.isDatabase(directory, files) else { return }
    guard try info.isDirectory && files.list(path).isEmpty else {
      throw StoreError(
        .alreadyExists, "something is there that is not a database, and is not replaced", at: path,
        remedy: "Choose a path that does not exist or is an empty directory.")
    }
  }

  private func build(
    _ manifest: Manifest, _ identity: LogIdentity, _ repository: LayeredRepository,
    _ node: NodeRecord, in staging: StagingDirectory
  ) throws {
    guard let recordsFile = manifest.records else {
      throw StoreError(.corrupt, "the snapshot lacks the records", at: path)
    }
    let blocks = try BlockStore(directory: staging.path, fileSystem: files)
    progress.begin("fetching blocks")
    let progress = progress
    let transfer = BlockTransfer(threads: max(4, configuration.resolvedThreads)) {
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    _ = try transfer.fetch(manifest, from: repository, into: writer)
    _ = try transfer.fetchFile(
      recordsFile, from: repository, to: staging.records, fileSystem: files)
    var local = manifest
    local.records = nil
    _ = try writer.commit(local)
    progress.begin("verifying")
    let state = try Opening.openState(
      local, blocks: blocks, threads: configuration.resolvedThreads)
    state.publish()
    try prove(state, manifest, staging)
    let kept = identity.epochs.prefix { $0.beganAtLSN <= manifest.lsn }
    try Opening.populate(
      staging.directory, blocks, files, configuration,
      identity: LogIdentity(databaseID: identity.databaseID, epochs: Array(kept)), state: state,
      previous: local, notBefore: manifest.timeMilliseconds)
    try node.write(in: staging.path, files)
    try files.syncDirectory(staging.path)
  }

  /// Every block was proven by its hash; this proves that they are the state that was meant.
  private func prove(
    _ state: DatabaseState, _ manifest: Manifest, _ staging: StagingDirectory
  ) throws {
    _ = try RestoreProof(verification: .quick).proveManifest(manifest, state)
    let records = try RecordStore.open(
      path: staging.records, fileSystem: files,
      databaseID: UniqueID(number: manifest.databaseID))
    guard records.appliedLSN == manifest.lsn else {
      throw StoreError(
        .corrupt, "the records are at LSN \(records.appliedLSN), the index at \(manifest.lsn)",
        at: path, remedy: "Try again.")
    }
    try RestoreProof(verification: .quick).proveState(state, records)
    try records.close()
  }
}

/// The blocks of a closed database: its packs, and its records file cut as snapshots cut it.
private final class LocalBlocks: Sendable {
  private let store: BlockStore?
  private let records: (any FileHandle)?
  private let places: [Digest: (offset: Int, length: Int)]
  private let logger: Logger

  init(path: String, files: any FileSystem, logger: Logger) throws {
    self.logger = logger
    let directory = DatabaseDirectory(path: path)
    guard try Opening.isDatabase(directory, files) else {
      (store, records, places) = (nil, nil, [:])
      return
    }
    store = try BlockStore(directory: path, fileSystem: files)
    _ = try store?.newestManifest()
    guard try files.exists(directory.records) else {
      (records, places) = (nil, [:])
      return
    }
    let handle = try files.open(directory.records, .read)
    let size = try handle.sizeBytes()
    var found: [Digest: (offset: Int, length: Int)] = [:]
    for index in 0..<BlockList.blockCount(lengthBytes: size) {
      let length = BlockList.blockLengthBytes(index, of: size)
      var bytes = [UInt8](repeating: 0, count: length)
      _ = try bytes.withUnsafeMutableBytes { try handle.read(at: index * blockSizeBytes, into: $0) }
      found[SHA256.hash(bytes)] = (index * blockSizeBytes, length)
    }
    records = handle
    places = found
  }

  func block(_ hash: Digest) throws -> [UInt8]? {
    if let place = places[hash], let records {
      var bytes = [UInt8](repeating: 0, count: place.length)
      _ = try bytes.withUnsafeMutableBytes { try records.read(at: place.offset, into: $0) }
      return SHA256.hash(bytes) == hash ? bytes : nil
    }
    guard let store, store.locate(hash) != nil else { return nil }
    do { return try store.read(hash) } catch {
      logger.warning("a block of the copy that is replaced is fetched, not used: \(error)")
      return nil
    }
  }
}

/// Looks for a block in the copy that is replaced before asking the other node.
private final class LayeredRepository: SnapshotRepository {
  private let local: LocalBlocks
  private let remote: any Repository
  private let sums = Guarded((fetched: 0, reused: 0))

  init(local: LocalBlocks, remote: any Repository) {
    self.local = local
    self.remote = remote
  }

  var counts: (fetched: Int, reused: Int) { sums.withLock { $0 } }
  var databaseID: UInt128 { remote.databaseID }
  var location: String { remote.location }

  func getBlock(_ hash: Digest) throws -> [UInt8] {
    if let bytes = try local.block(hash) {
      sums.withLock { $0.reused += bytes.count }
      return bytes
    }
    let bytes = try remote.getBlock(hash)
    sums.withLock { $0.fetched += bytes.count }
    return bytes
  }
}
