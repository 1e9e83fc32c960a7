import BlockStore
import Dispatch
import VectorIndex
import VectorKernels

extension Database {
  /// Checks everything: block hashes, the log's chain, every record against its hash, the index's
  /// structure and the reachability of every record. Searches go on; writes wait until it is done.
  ///
  /// Problems are in the report, not thrown. Cost: reads the whole database.
  public func check(progress: ProgressHandler? = nil) async throws -> CheckReport {
    try requireOpen()
    return try await queue.exclusively { engine in try engine.check(progress) }
  }

  /// Counters and digests. `graphDigests` reads all index arrays, which takes a while.
  public func stats(graphDigests: Bool = false) throws -> DatabaseStats {
    try requireOpen()
    return try VecDBError.translating { try engine.stats(graphDigests: graphDigests, lsn: lsn) }
  }
}

extension Engine {
  func check(_ handler: ProgressHandler?) throws -> CheckReport {
    let started = DispatchTime.now()
    let progress = ProgressReporter(handler)
    checkpointer.finish(self, waiting: true)
    var report = CheckReport(
      lsn: state.lsn, blocks: 0, records: 0, logFrames: 0, problems: [], seconds: 0)
    func collect(_ body: () throws -> Void) {
      do { try body() } catch { report.problems.append("\(VecDBError(wrapping: error))") }
    }
    if let poison { report.problems.append("\(poison)") }
    progress.begin("checking blocks")
    collect {
      let damage = try blocks.verify { done in
        progress.set(doneBytes: done.doneBytes, totalBytes: done.totalBytes)
      }
      report.blocks = checkpointer.newest.blockCount
      report.problems += damage.map(\.error.description)
    }
    progress.begin("checking the log")
    collect {
      try log.verify()
      report.logFrames = Int(log.end.lsn + 1 - log.firstLSN)
    }
    collect {
      if log.end != state.position {
        report.problems.append("the log ends at \(log.end), the state at \(state.position)")
      }
      report.problems += try records.quickCheck(isThorough: true)
    }
    for collection in state.sortedCollections {
      progress.begin("checking '\(collection.definition.name)'")
      report.records += collection.count
      collect {
        report.problems += try CollectionCheck(collection: collection, records: records).all()
      }
    }
    report.seconds =
      Double(DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds) / 1e9
    return report
  }

  /// Reads only what any thread may read.
  func stats(graphDigests: Bool, lsn: UInt64) throws -> DatabaseStats {
    let collections = shared.catalog.all.map { runtime in
      let index = runtime.index
      return CollectionStats(
        name: runtime.definition.name, dimensions: runtime.definition.dimensions,
        metric: runtime.definition.metric, m: runtime.definition.options.m,
        efConstruction: runtime.definition.options.efConstruction, count: runtime.count,
        slots: index.assignedSlotCount, graphCount: index.graphSlotCount,
        dead: index.assignedSlotCount - runtime.count, indexBytes: index.sizeBytes,
        dataDigest: runtime.dataDigest.hex,
        graphDigest: graphDigests ? index.graphDigest().hex : nil)
    }
    return DatabaseStats(
      path: directory.path, databaseID: "\(log.identity.databaseID)", epoch: epochCounter,
      lsn: lsn, chain: log.end.chain.hex, dataDigest: state.dataDigest.hex,
      checkpointLSN: checkpointer.newest.lsn, logBytes: try log.sizeBytes,
      packBytes: try blocks.packUsage().reduce(0) { $0 + $1.contentBytes },
      recordsBytes: try fileSystem.info(directory.records)?.sizeBytes ?? 0,
      kernels: KernelSet.current.name, collections: collections)
  }
}
