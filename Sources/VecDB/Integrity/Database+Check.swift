import Dispatch
import VecDBBlockStore
import VecDBIndex
import VecDBKernels
import VecDBThreads

extension Database {
  /// Checks everything: block hashes, the log's chain, every record against its hash, the index's
  /// structure and the reachability of every record. Searches go on; writes wait until it is done.
  ///
  /// Problems are in the report, not thrown. Throws `cancelled` soon after its task is cancelled.
  /// Cost: reads the whole database.
  public func check(progress: ProgressHandler? = nil) async throws -> CheckReport {
    try await VecDBError.translating {
      try requireOpen()
      let cancellation = Cancellation()
      return try await withTaskCancellationHandler {
        try await writer.exclusively { engine in try engine.check(progress, cancellation) }
      } onCancel: {
        cancellation.cancel()
      }
    }
  }

  /// Counters and digests of one moment.
  ///
  /// - Parameter graphDigests: also hash all index arrays. The caller then waits until the writer
  ///   is between two commit groups, and writes wait for the hashing.
  public func stats(graphDigests: Bool = false) throws -> DatabaseStats {
    try VecDBError.translating {
      try requireOpen()
      return try VecDBError.translating {
        guard graphDigests else { return try engine.stats() }
        return try writer.exclusivelyBlocking { try $0.statsWithGraphDigests() }
      }
    }
  }
}

extension Engine {
  func check(
    _ handler: ProgressHandler?, _ cancellation: Cancellation = Cancellation()
  ) throws -> CheckReport {
    let started = DispatchTime.now()
    let progress = ProgressReporter(handler)
    awaitCheckpoint()
    var report = CheckReport(
      lsn: state.lsn, blocks: 0, records: 0, logFrames: 0, problems: [], seconds: 0)
    func collect(_ body: () throws -> Void) throws {
      try cancellation.check()
      do { try body() } catch let error as CancellationError { throw error } catch {
        report.problems.append("\(VecDBError(wrapping: error))")
      }
    }
    if let poison { report.problems.append("\(poison)") }
    progress.begin("checking blocks")
    try collect {
      let damage = try blocks.verify { done in
        try cancellation.check()
        progress.set(doneBytes: done.doneBytes, totalBytes: done.totalBytes)
      }
      report.blocks = checkpointer.newest.blockCount
      report.problems += damage.map(\.error.description)
    }
    progress.begin("checking the log")
    try collect {
      try log.verify()
      report.logFrames = Int(log.end.lsn + 1 - log.firstLSN)
    }
    try collect {
      if log.end != state.position {
        report.problems.append("the log ends at \(log.end), the state at \(state.position)")
      }
      report.problems += try records.damagedPages()
      report.problems += try records.quickCheck(isThorough: true)
    }
    for collection in state.sortedCollections {
      progress.begin("checking '\(collection.definition.name)'")
      report.records += collection.count
      try collect {
        report.problems += try CollectionCheck(
          collection: collection, records: records, cancellation: cancellation
        ).all()
      }
    }
    telemetry.foundCorruption(report.problems.count)
    report.seconds =
      started.elapsedSeconds
    return report
  }

  /// For the writer, between commit groups.
  func statsWithGraphDigests() throws -> DatabaseStats {
    var stats = try stats()
    for index in stats.collections.indices {
      let runtime = state.collection(named: stats.collections[index].name)
      stats.collections[index].graphDigest = runtime?.index.graphDigest().hex
    }
    return stats
  }

  /// Reads only what any thread may read.
  func stats() throws -> DatabaseStats {
    let figures = shared.figures.withLock { $0 }
    let collections = shared.catalog.all.compactMap { runtime -> CollectionStats? in
      guard !Database.isStaged(runtime.definition.name) else { return nil }
      // Created or dropped since the figures were taken: it is not part of that moment.
      guard let own = figures.collections[runtime.id] else { return nil }
      let definition = runtime.definition
      return CollectionStats(
        name: definition.name, dimensions: definition.dimensions, metric: definition.metric,
        m: runtime.options.m, efConstruction: runtime.options.efConstruction,
        codes: runtime.options.codes, codesInUse: runtime.index.codesInUse,
        count: own.count, slots: own.slots,
        graphCount: own.graphCount,
        dead: own.slots - own.count - own.free, free: own.free, indexBytes: own.indexBytes,
        dataDigest: own.dataDigest.hex,
        graphDigest: nil)
    }
    var activity = telemetry.now
    activity.queuedBytes = shared.queuedBytes.load(ordering: .relaxed)
    let packs = try blocks.packUsage()
    return DatabaseStats(
      path: directory.path, databaseID: "\(log.identity.databaseID)", epoch: epochCounter,
      lsn: figures.lsn, chain: figures.chain.hex, dataDigest: figures.dataDigest.hex,
      checkpointLSN: figures.checkpointLSN, logBytes: try log.sizeBytes,
      packBytes: packs.reduce(0) { $0 + $1.contentBytes },
      livePackBytes: packs.reduce(0) { $0 + $1.liveBytes },
      recordsBytes: try fileSystem.info(directory.records)?.sizeBytes ?? 0,
      kernels: KernelSet.current.name, collections: collections,
      health: shared.catalog.all.compactMap { $0.health.known(for: $0.generation.number) },
      archives: archiveStats(),
      activity: activity,
      clockAheadMilliseconds: max(
        0, shared.logMilliseconds.load(ordering: .relaxed) &- systemClock()),
      acknowledgement: AcknowledgementRecord.info(figures.acknowledgement))
  }
}
