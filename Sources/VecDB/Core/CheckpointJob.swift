import BlockStore
import Bytes
import Dispatch
import VectorIndex

/// One collection's arrays as they were when the checkpoint began.
struct PinnedCollection: Sendable {
  let definition: CollectionDefinition
  let count: Int
  let dataDigest: Digest
  let snapshot: IndexSnapshot
  /// The collection in the manifest before, whose blocks stand for what did not change since.
  let previous: CollectionManifest?

  /// Pins every collection of a state; the writer must be between batches.
  static func pinAll(
    of state: DatabaseState, previous: Manifest?
  ) -> [PinnedCollection] {
    state.sortedCollections.map { collection in
      PinnedCollection(
        definition: collection.definition, count: collection.count,
        dataDigest: collection.dataDigest, snapshot: collection.index.beginCheckpoint(),
        previous: previous?.collections.first { $0.id == collection.id })
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

  /// Writes blocks that changed, then pack, then manifest. Runs in the background, once.
  func write() {
    let outcome: Result<Done, VecDBError>
    do {
      outcome = .success(try writeAll())
      for collection in collections { collection.snapshot.finish() }
    } catch {
      for collection in collections { collection.snapshot.abandon() }
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
    let elapsed = DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds
    return Done(
      report: CheckpointReport(
        lsn: manifest.lsn, blocksWritten: summary.writtenBlocks,
        bytesWritten: summary.writtenBytes, seconds: Double(elapsed) / 1e9),
      pin: try blocks.pin(manifest))
  }

  private func write(
    _ collection: PinnedCollection, to writer: CheckpointWriter
  ) throws -> CollectionManifest {
    let snapshot = collection.snapshot
    let arrays = try snapshot.arrays.enumerated().map { number, array in
      try writer.writeArray(
        name: array.name, rowStrideBytes: array.strideBytes, lengthBytes: array.lengthBytes,
        previous: try collection.previous?.array(array.name).map { try blocks.list(of: $0) },
        dirtyBlocks: array.dirtyBlocks
      ) { block, buffer in buffer.copyBytes(from: snapshot.read(array: number, block: block)) }
    }
    return CollectionManifest(
      id: collection.definition.id, name: collection.definition.name, state: snapshot.state,
      graphDigest: nil, dataDigest: collection.dataDigest, count: UInt64(collection.count),
      arrays: arrays)
  }
}
