import Logging
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

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
  private let configuration: DatabaseConfiguration
  private let progress: ProgressReporter

  package init(
    path: String, files: any FileSystem, configuration: DatabaseConfiguration,
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
    _ manifest: Manifest, identity: LogIdentity, from source: any BlockSource, node: NodeRecord
  ) throws -> Report {
    let copy = try prepare(manifest, identity: identity, from: source, beside: nil)
    try copy.bind(node)
    return try copy.publish()
  }

  /// Builds and proves a copy beside its place. `open` is the database that it will replace, if that
  /// is open: it goes on, and gives what blocks it has.
  ///
  /// What was fetched when that is broken off is kept in `partial`, and taken up the next time.
  package func prepare(
    _ manifest: Manifest, identity: LogIdentity, from source: any BlockSource,
    beside open: Database?, partial: PartialCopies? = nil
  ) throws -> PreparedCopy {
    try VecDBError.translating {
      let started = ContinuousClock.now
      try requirePlace()
      let staging = try StagingDirectory(for: path, .following, files, configuration.logger)
      do {
        let local = try NearbyBlocks(path: path, open: open, files, configuration.logger)
        let layered = LayeredBlocks(
          nearby: [local] + (partial?.blocks().map { [$0] } ?? []), remote: source)
        try build(manifest, identity, layered, in: staging)
        let (fetched, reused) = layered.counts
        let report = Report(
          lsn: manifest.lsn, fetchedBytes: fetched, reusedBytes: reused,
          seconds: (ContinuousClock.now - started) / .seconds(1))
        return PreparedCopy(staging, files, report)
      } catch {
        if let partial { partial.keep(staging.leave()) } else { staging.discard() }
        throw error
      }
    }
  }

  /// Throws if something is there that is neither a database nor an empty directory: nobody asked for
  /// that to go.
  package func requirePlace() throws {
    let directory = DatabaseDirectory(path: path)
    guard let info = try files.info(path), try !Opening.isDatabase(directory, files) else { return }
    guard try info.isDirectory && files.list(path).isEmpty else {
      throw StoreError(
        .alreadyExists, "the path is not a database, so a replica does not replace it",
        at: path,
        remedy: "Choose a path that does not exist or is an empty directory.")
    }
  }

  /// So much is made durable at a time: more than that is not fetched again.
  private static let packBytes = 64 << 20

  private func build(
    _ manifest: Manifest, _ identity: LogIdentity, _ repository: LayeredBlocks,
    in staging: StagingDirectory
  ) throws {
    guard let recordsFile = manifest.records else {
      throw StoreError(.corrupt, "the snapshot lacks the records", at: path)
    }
    let blocks = try BlockStore(directory: staging.path, fileSystem: files)
    progress.begin("fetching")
    let progress = progress
    let recordsBytes = recordsFile.lengthBytes
    var transfer = BlockTransfer(threads: max(4, configuration.resolvedThreads)) {
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes + recordsBytes)
    }
    transfer.packBytesMaximum = Self.packBytes
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    do {
      let arrays = try transfer.fetch(manifest, from: repository, into: writer)
      transfer.progress = {
        progress.set(
          doneBytes: arrays.doneBytes + $0.doneBytes, totalBytes: arrays.totalBytes + recordsBytes)
      }
      _ = try transfer.fetchFile(
        recordsFile, from: repository, to: staging.records, fileSystem: files)
    } catch {
      // What is there is there; if even that fails, less is taken up later.
      try? writer.finishPack()
      throw error
    }
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

/// A copy that was built and proven, and has not taken its place yet.
package final class PreparedCopy: Sendable {
  private let staging: StagingDirectory
  private let files: any FileSystem
  private let report: BootstrapRun.Report

  init(_ staging: StagingDirectory, _ files: any FileSystem, _ report: BootstrapRun.Report) {
    self.staging = staging
    self.files = files
    self.report = report
  }

  /// What the copy is bound to, durably. It takes no place before that.
  package func bind(_ node: NodeRecord) throws {
    try VecDBError.translating {
      try node.write(in: staging.path, files)
      try files.syncDirectory(staging.path)
    }
  }

  /// Takes its place in one step. A database that is there must be closed.
  package func publish() throws -> BootstrapRun.Report {
    try VecDBError.translating {
      let isThere = try Opening.isDatabase(staging.target, files)
      try (isThere ? staging.replace() : staging.publish()).unlock()
      return report
    }
  }

  package func discard() { staging.discard() }
}
