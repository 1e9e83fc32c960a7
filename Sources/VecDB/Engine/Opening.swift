import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBKernels
import VecDBLogStore
import VecDBThreads

/// Creating and opening: from a directory to an engine that has replayed its log.
enum Opening {
  /// Opens the database at `path`, or creates it where the configuration allows.
  static func open(
    _ path: String, fileSystem: any FileSystem, configuration: DatabaseConfiguration
  ) throws -> Engine {
    try DatabaseTracing(configuration, path: path).trace("open") { span in
      let engine = try openNow(path, fileSystem, configuration)
      let replayed = engine.state.lsn - engine.checkpointer.newest.lsn
      span?.note("vecdb.lsn", Int64(clamping: engine.state.lsn))
      span?.note("vecdb.open.replayed_batches", Int64(clamping: replayed))
      configuration.logger.debug(
        "opened the database",
        metadata: [
          "path": "\(path)", "lsn": "\(engine.state.lsn)", "replayedBatches": "\(replayed)",
        ])
      return engine
    }
  }

  private static func openNow(
    _ path: String, _ fileSystem: any FileSystem, _ configuration: DatabaseConfiguration
  ) throws -> Engine {
    let directory = DatabaseDirectory(path: path)
    try requireKnownKernels()
    if try !isDatabase(directory, fileSystem) {
      try ReplacementMarker(StagingName(beside: path), fileSystem).finish(path)
    }
    if try !isDatabase(directory, fileSystem) {
      guard configuration.createIfMissing else {
        throw StoreError(
          .notFound, "there is no database", at: path,
          remedy: "Check the path, or create one with `vecdb create`.")
      }
      do {
        try requireAbsentOrEmpty(directory, fileSystem)
        return try create(directory, fileSystem, configuration)
      } catch let error as StoreError
        where error.kind == .alreadyExists || error.kind == .invalidArgument
      {
        // If another process was faster, its database is opened like any other.
        guard try isDatabase(directory, fileSystem) else { throw error }
      }
    }
    let lock = try fileSystem.lock(
      directory.lockFile, owner: BriefOwners.owner(configuration))
    do {
      try StagingSweep(path, fileSystem, configuration.logger).run()
      return try recover(directory, fileSystem, configuration, lock: lock)
    } catch {
      lock.unlock()
      throw error
    }
  }

  static func isDatabase(_ directory: DatabaseDirectory, _ files: any FileSystem) throws -> Bool {
    try files.exists(directory.log)
  }

  private static func requireAbsentOrEmpty(
    _ directory: DatabaseDirectory, _ files: any FileSystem
  ) throws {
    guard let info = try files.info(directory.path) else { return }
    guard info.isDirectory, try files.list(directory.path).isEmpty else {
      throw StoreError(
        .invalidArgument, "something else is there that is not a database", at: directory.path,
        remedy: "Choose a path that does not exist or is an empty directory.")
    }
  }

  /// A kernel set that was asked for by name and is not there is an error, not a fallback.
  private static func requireKnownKernels() throws {
    if let error = KernelSet.selectionError {
      throw StoreError(.invalidArgument, "\(error)", at: KernelSet.environmentVariable)
    }
  }

  /// Builds an empty database beside `path` and renames it into place, so that a crash leaves all
  /// of it or nothing. It is locked from before anybody else can see it.
  private static func create(
    _ directory: DatabaseDirectory, _ files: any FileSystem, _ configuration: DatabaseConfiguration
  ) throws -> Engine {
    let staging = try StagingDirectory(
      for: directory.path, .creating, files, configuration.logger)
    let identity = LogIdentity.new()
    do {
      try populate(
        staging.directory, BlockStore(directory: staging.path, fileSystem: files), files,
        configuration, identity: identity,
        state: DatabaseState(threads: configuration.resolvedThreads), previous: nil)
      let records = try RecordStore.open(
        path: staging.records, fileSystem: files, databaseID: identity.databaseID,
        createIfMissing: true)
      _ = try records.checkpoint()
      try records.close()
    } catch {
      staging.discard()
      throw error
    }
    let lock = try staging.publish()
    do {
      return try recover(directory, files, configuration, lock: lock)
    } catch {
      lock.unlock()
      throw error
    }
  }

  /// Writes a manifest of `state` under `identity`, and an empty log that goes on from it.
  static func populate(
    _ directory: DatabaseDirectory, _ blocks: BlockStore, _ files: any FileSystem,
    _ configuration: DatabaseConfiguration, identity: LogIdentity, state: DatabaseState,
    previous: Manifest?, notBefore timeMilliseconds: Int64 = 0
  ) throws {
    let manifest = Manifest(
      databaseID: identity.databaseID.number, epochs: identity.encoded(),
      epochCounter: identity.currentEpoch.counter, lsn: state.lsn, chain: state.chain,
      timeMilliseconds: max(timeMilliseconds, Engine.nowMilliseconds()),
      catalog: state.encodeCatalog(),
      collections: [], recordsLSN: state.lsn, annotations: try state.annotations())
    let collections = PinnedCollection.pinAll(of: state, previous: previous)
    let job = CheckpointJob(manifest: manifest, collections: collections, blocks: blocks)
    job.write()
    if let outcome = job.outcome(waiting: true) { _ = try outcome.get() }
    let log = try WriteAheadLog.create(
      directory: directory.log, fileSystem: files, identity: identity, start: state.position,
      options: configuration.logOptions)
    try log.close()
  }
}

// MARK: Recovery: the newest manifest, then the log behind it

extension Opening {
  static func recover(
    _ directory: DatabaseDirectory, _ files: any FileSystem, _ configuration: DatabaseConfiguration,
    lock: any FileLock
  ) throws -> Engine {
    let blocks = try BlockStore(directory: directory.path, fileSystem: files)
    guard let selection = try blocks.newestManifest() else {
      throw StoreError(
        .corrupt, "there is no manifest", at: directory.path,
        remedy: "Restore the database from a backup.")
    }
    for damage in selection.damage {
      configuration.logger.error(
        "an older manifest is used",
        metadata: ["path": "\(directory.path)", "damage": "\(damage)"])
    }
    let manifest = selection.manifest
    let identity = try LogIdentity(decoding: manifest.epochs, at: "manifest \(selection.number)")
    // The raw scan of the log, and its comparison with what the others prove, come before replay.
    var options = configuration.logOptions
    // A simulated disk wants its operations in the same order each time.
    options.keepsHouseInBackground = files.sqliteVFSName == nil
    let reader = SerialThread(name: "vecdb.reader")
    options.ordinarily = { reader.wait(for: $0) }
    let log = try WriteAheadLog.open(
      directory: directory.log, fileSystem: files, options: options,
      expectedAtLeast: manifest.lsn, coveredThrough: manifest.lsn)
    let records = try RecordStore.open(
      path: directory.records, fileSystem: files, databaseID: identity.databaseID,
      createIfMissing: false,
      isOfHistory: { position in
        let chain = try chain(at: position.lsn, log, manifest)
        return chain == nil || chain == position.chain
      })
    try requireJoined(manifest, log, records, directory)
    let state = try openState(manifest, blocks: blocks, threads: configuration.resolvedThreads)
    let checkpointer = Checkpointer(newest: manifest)
    try replay(log, into: state, records, checkpointer)
    let node = try NodeRecord.read(in: directory.path, files)
    let engine = Engine(
      directory: directory, fileSystem: files, configuration: configuration, lock: lock, log: log,
      records: records, blocks: blocks, state: state, checkpointer: checkpointer,
      holds: try LogHolds(directory: directory, fileSystem: files, logger: configuration.logger),
      clock: LogClock(lastMilliseconds: try lastTime(of: log) ?? manifest.timeMilliseconds))
    engine.writeRefusal =
      configuration.isReadOnly
      ? VecDBError(
        .readOnly, "the file system is read-only", at: directory.path,
        remedy: "Copy the database to a file system that is writable.")
      : node.refusal(epoch: log.identity.currentEpoch, path: directory.path)
    return engine
  }

  /// The time of the newest batch that is still in the log; nil if there is none.
  private static func lastTime(of log: WriteAheadLog) throws -> Int64? {
    guard log.end.lsn >= log.firstLSN else { return nil }
    var time: Int64?
    try log.read(after: log.end.lsn - 1) { time = $0.timeMilliseconds }
    return time
  }

  /// The order that the Architecture article states: nobody is ahead of the log, and the log
  /// reaches back to whoever is furthest behind.
  private static func requireJoined(
    _ manifest: Manifest, _ log: WriteAheadLog, _ records: RecordStore,
    _ directory: DatabaseDirectory
  ) throws {
    let behind = min(manifest.lsn, records.appliedLSN)
    let proven = max(manifest.lsn, records.appliedLSN)
    guard log.identity.databaseID.number == manifest.databaseID else {
      throw StoreError(
        .corrupt, "log and manifest belong to different databases", at: directory.path,
        remedy: "Somebody mixed files of two databases. Restore from a backup.")
    }
    guard log.end.lsn >= proven else {
      throw StoreError(
        .corrupt, "the log ends at LSN \(log.end.lsn), but LSN \(proven) was applied",
        at: directory.log, remedy: "Acknowledged writes are missing. Restore from a backup.")
    }
    guard log.firstLSN <= behind + 1 else {
      throw StoreError(
        .corrupt, "the log begins at LSN \(log.firstLSN), but is needed from \(behind + 1)",
        at: directory.log, remedy: "Restore the database from a backup.")
    }
    try requireSameHistory(records, log, manifest, directory)
    if manifest.lsn + 1 >= log.firstLSN {
      let position = try log.position(at: manifest.lsn)
      guard position.chain == manifest.chain else {
        throw StoreError(
          .corrupt, "log and manifest disagree about the history at LSN \(manifest.lsn)",
          at: directory.path, remedy: "Files of two databases were mixed. Restore from a backup.")
      }
    }
  }

  /// Records may be those of another copy of the database, equal in id and LSN.
  private static func requireSameHistory(
    _ records: RecordStore, _ log: WriteAheadLog, _ manifest: Manifest,
    _ directory: DatabaseDirectory
  ) throws {
    // A file of version 0.1 does not say which history it has applied.
    guard let chain = records.appliedChain else { return }
    let lsn = records.appliedLSN
    guard let expected = try self.chain(at: lsn, log, manifest), expected != chain else { return }
    throw StoreError(
      .corrupt, "records and log disagree about the history at LSN \(lsn)", at: directory.records,
      remedy: "Files of two copies of the database were mixed. Restore from a backup.")
  }

  /// The chain of the history at an LSN; nil where neither log nor manifest knows it.
  private static func chain(
    at lsn: UInt64, _ log: WriteAheadLog, _ manifest: Manifest
  ) throws -> Digest? {
    if lsn == manifest.lsn { return manifest.chain }
    guard lsn + 1 >= log.firstLSN, lsn <= log.end.lsn else { return nil }
    return try log.position(at: lsn).chain
  }

  /// The state that a manifest names, with its arrays mapped. Cost: O(blocks).
  static func openState(
    _ manifest: Manifest, blocks: BlockStore, threads: Int,
    keeping isWanted: (CollectionDefinition) -> Bool = { _ in true }
  ) throws -> DatabaseState {
    let (next, entries) = try DatabaseState.decodeCatalog(
      manifest.catalog, at: "manifest at LSN \(manifest.lsn)")
    let collections = try entries.filter { isWanted($0.definition) }.map { entry in
      guard let stored = manifest.collections.first(where: { $0.id == entry.definition.id }) else {
        throw StoreError(
          .corrupt, "the manifest lacks the arrays of '\(entry.definition.name)'",
          at: "manifest at LSN \(manifest.lsn)", remedy: "Restore the database from a backup.")
      }
      return try CollectionRuntime(
        opening: entry, stored, of: manifest, blocks: blocks, threads: threads)
    }
    return DatabaseState(
      lsn: manifest.lsn, chain: manifest.chain, nextCollectionID: next, collections: collections,
      marks: try Marks(in: manifest), acknowledgement: try AcknowledgementRecord.read(in: manifest),
      threads: threads)
  }

  /// Applies the log behind whoever is furthest back. Records take several batches in a
  /// transaction.
  private static func replay(
    _ log: WriteAheadLog, into state: DatabaseState, _ records: RecordStore,
    _ checkpointer: Checkpointer
  ) throws {
    let started = DispatchTime.now()
    var changes: [RecordChange] = []
    var through = LogPosition.zero
    var logBytes = 0
    let from = min(state.lsn, records.appliedLSN)
    let recordsLSN = records.appliedLSN
    try log.read(after: from, through: nil) { frame in
      var batch: [RecordChange] = []
      try state.apply(frame.payload, at: frame.position, records: &batch)
      if frame.lsn > recordsLSN { changes += batch }
      through = frame.position
      logBytes += frame.payload.count
      if changes.count > 20_000 {
        try records.apply(changes, through: through)
        changes.removeAll(keepingCapacity: true)
      }
    }
    if through.lsn > records.appliedLSN { try records.apply(changes, through: through) }
    state.publish()
    checkpointer.noteApplied(
      nanoseconds: started.elapsedNanoseconds,
      logBytes: logBytes)
  }
}

extension DatabaseConfiguration {
  var resolvedThreads: Int {
    buildThreads > 0 ? buildThreads : ProcessInfo.processInfo.activeProcessorCount
  }

  var logOptions: WriteAheadLog.Options {
    var options = WriteAheadLog.Options()
    options.segmentSizeBytes = logSegmentBytes
    return options
  }
}
