import Dispatch
import VecDBBlockStore
import VecDBBytes
import VecDBIndex
import VecDBThreads

extension OperationSpan {
  /// What came of a checkpoint.
  func note(_ job: CheckpointJob) {
    switch job.outcome(waiting: false) {
    case .success(let done):
      note("vecdb.lsn", Int64(clamping: done.report.lsn))
      note("vecdb.checkpoint.blocks", done.report.blocksWritten)
      note("vecdb.checkpoint.bytes", done.report.bytesWritten)
    case .failure(let error): fail(error)
    case nil: break
    }
  }
}

/// A checkpoint that is being written, and its outcome.
final class CheckpointJob: Sendable {
  struct Done: Sendable {
    var report: CheckpointReport
    /// Holds the manifest that was written, and its blocks on the disk.
    var pin: BlockPin
  }

  private struct State {
    var outcome: Result<Done, VecDBError>?
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let manifest: Manifest
  private let collections: [PinnedCollection]
  private let blocks: BlockStore
  private let state = Guarded(State())
  private let written = DispatchGroup()

  init(manifest: Manifest, collections: [PinnedCollection], blocks: BlockStore) {
    self.manifest = manifest
    self.collections = collections
    self.blocks = blocks
    written.enter()
  }

  /// Nil if the job is not written yet and `waiting` is false.
  func outcome(waiting: Bool) -> Result<Done, VecDBError>? {
    if waiting { written.wait() }
    return state.withLock { $0.outcome }
  }

  /// Suspends until the job is written.
  func whenWritten() async -> Result<Done, VecDBError> {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.outcome == nil { state.waiting.append(continuation) }
        return state.outcome != nil
      }
      if isDone { continuation.resume() }
    }
    return state.withLock { $0.outcome } ?? .failure(.databaseClosed)
  }

  private var generations: [PinnedGeneration] { collections.flatMap(\.generations) }

  /// Writes blocks that changed, then pack, then manifest. Runs in the background, once.
  func write() {
    let outcome: Result<Done, VecDBError>
    do {
      outcome = .success(try writeAll())
      for generation in generations { generation.snapshot?.finish() }
    } catch {
      for generation in generations { generation.snapshot?.abandon() }
      outcome = .failure(VecDBError(wrapping: error))
    }
    let waiting = state.withLock { state in
      state.outcome = outcome
      defer { state.waiting = [] }
      return state.waiting
    }
    written.leave()
    for continuation in waiting { continuation.resume() }
  }

  private func writeAll() throws -> Done {
    let started = DispatchTime.now()
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    var manifest = manifest
    for collection in collections {
      manifest.collections.append(try write(collection, to: writer))
    }
    let summary = try writer.commit(manifest)
    let elapsed = started.elapsedNanoseconds
    return Done(
      report: CheckpointReport(
        lsn: manifest.lsn, blocksWritten: summary.writtenBlocks,
        bytesWritten: summary.writtenBytes, seconds: Double(elapsed) / 1e9),
      pin: try blocks.pin(manifest))
  }

  private func write(
    _ collection: PinnedCollection, to writer: CheckpointWriter
  ) throws -> CollectionManifest {
    var arrays: [ArrayManifest] = []
    for generation in collection.generations {
      guard let snapshot = generation.snapshot else {
        arrays += try carry(generation, of: collection, to: writer)
        continue
      }
      for (number, array) in snapshot.arrays.enumerated() {
        let name = StoredGenerations.arrayName(array.name, of: generation.number)
        arrays.append(
          try writer.writeArray(
            name: name, rowStrideBytes: array.strideBytes, lengthBytes: array.lengthBytes,
            previous: try collection.previous?.array(name).map { try blocks.list(of: $0) },
            dirtyBlocks: array.dirtyBlocks
          ) { block, buffer in
            buffer.copyBytes(from: snapshot.read(array: number, block: block))
          })
      }
    }
    let states = StoredGenerations(
      generations: collection.generations.map { ($0.number, $0.state) })
    return CollectionManifest(
      id: collection.definition.id, name: collection.definition.name, state: states.encode(),
      graphDigest: nil, dataDigest: collection.dataDigest, count: UInt64(collection.count),
      arrays: arrays)
  }

  /// Takes a generation's arrays over from the manifest before.
  private func carry(
    _ generation: PinnedGeneration, of collection: PinnedCollection, to writer: CheckpointWriter
  ) throws -> [ArrayManifest] {
    let arrays = collection.previous?.arrays.filter {
      StoredGenerations.isArray($0.name, of: generation.number)
    }
    return try (arrays ?? []).map { array in
      try writer.writeArray(
        name: array.name, rowStrideBytes: array.rowStrideBytes, lengthBytes: array.lengthBytes,
        previous: try blocks.list(of: array), dirtyBlocks: []
      ) { _, _ in }
    }
  }
}
