/// A checkpoint of a generation under way: its state and arrays frozen at one batch, while writes
/// and searches go on.
///
/// Begin it, finish it and abandon it while no write is under way; read its blocks from any one
/// thread.
package final class IndexSnapshot: @unchecked Sendable {
  /// One array as it was when the snapshot began.
  package struct ArrayInfo: Sendable {
    package let name: String
    package let strideBytes: Int
    package let lengthBytes: Int
    /// Blocks to write: those that changed since the last finished checkpoint. Ascending.
    package let dirtyBlocks: [Int]
  }

  /// What `IndexGeneration(opening:)` takes.
  package let state: [UInt8]
  package let arrays: [ArrayInfo]
  private let pinned: [RowArray]
  private let generation: IndexGeneration
  private var isOpen = true

  fileprivate init(_ generation: IndexGeneration) {
    self.generation = generation
    state = generation.encodeState()
    pinned = generation.checkpointArrays
    arrays = pinned.map { array in
      ArrayInfo(
        name: array.name, strideBytes: array.strideBytes, lengthBytes: array.lengthBytes,
        dirtyBlocks: array.beginPin())
    }
  }

  deinit { abandon() }

  /// The bytes of a block of the array at that place in `arrays`: 1 MiB, or less for the last one.
  /// For each of its `dirtyBlocks` once.
  package func read(array: Int, block: Int) -> [UInt8] { pinned[array].readPinned(block) }

  /// The checkpoint is durable: its blocks count as unchanged.
  package func finish() {
    guard isOpen else { return }
    isOpen = false
    for array in pinned { array.endPin() }
  }

  /// The checkpoint failed: the next one writes its blocks again.
  package func abandon() {
    guard isOpen else { return }
    isOpen = false
    for array in pinned { array.abandonPin() }
  }
}

extension IndexGeneration {
  /// Freezes everything applied so far for a checkpoint. One at a time, while no write is under
  /// way.
  package func beginCheckpoint() -> IndexSnapshot { IndexSnapshot(self) }

  /// Has the next checkpoint write a block although it did not change; an unknown name is ignored.
  package func markDirty(array name: String, block: Int) {
    checkpointArrays.first { $0.name == name }?.markDirty(block: block)
  }

  /// Blocks that changed since the last finished checkpoint, over all arrays.
  package var dirtyBlockCount: Int { checkpointArrays.reduce(0) { $0 + $1.dirtyBlockCount } }
}
