import Glibc
import Synchronization

/// Copy on write for checkpoints.
///
/// A pin freezes the blocks that changed since the last checkpoint. Each goes through
///
///     free -> pinned -> copying -> free     the checkpoint read it first
///                    -> copying -> saved    a writer was about to change it and copied it first
///     saved -> free                         the checkpoint took the copy
///
/// so writers never wait for more than the copy of one block, and the checkpoint sees every block
/// as it was when the pin began. A block that was opened from a file starts one step before that:
///
///     unproven -> proving -> free           a writer was about to change it and proved it first
extension RowArray {
  enum PinState {
    static let free: UInt8 = 0
    static let pinned: UInt8 = 1
    static let copying: UInt8 = 2
    static let saved: UInt8 = 3
    static let unproven: UInt8 = 4
    static let proving: UInt8 = 5
  }

  /// To be called before bytes are changed: marks their blocks as changed, and saves those that a
  /// checkpoint has yet to read.
  @inline(__always)
  package func willWrite(bytes range: Range<Int>) {
    var block = range.lowerBound >> Self.blockShift
    let last = (range.upperBound &- 1) >> Self.blockShift
    while block <= last {
      let state = blocks.pin(block).pointee.load(ordering: .acquiring)
      if state != PinState.free {
        // Bytes beyond the pinned length are no part of the checkpoint.
        if state >= PinState.unproven {
          prove(block)
        } else if range.lowerBound < pinnedBytes {
          save(block)
        }
      }
      let dirty = blocks.dirty(block)
      if dirty.pointee.load(ordering: .relaxed) == 0 { dirty.pointee.store(1, ordering: .relaxed) }
      block &+= 1
    }
  }

  /// `willWrite(bytes:)` for one row.
  @inline(__always)
  package func willWrite(row: Int) {
    let start = row &* strideBytes
    willWrite(bytes: start..<start &+ strideBytes)
  }

  @inline(never)
  private func save(_ block: Int) {
    let (mine, _) = blocks.pin(block).pointee.compareExchange(
      expected: PinState.pinned, desired: PinState.copying, ordering: .acquiringAndReleasing)
    guard mine else {
      while blocks.pin(block).pointee.load(ordering: .acquiring) == PinState.copying {
        sched_yield()
      }
      return
    }
    let range = pinnedRange(of: block)
    let copy = UnsafeMutableRawPointer.allocate(byteCount: range.count, alignment: 64)
    copy.copyMemory(from: base + range.lowerBound, byteCount: range.count)
    blocks.saved(block).pointee = copy
    blocks.pin(block).pointee.store(PinState.saved, ordering: .releasing)
  }

  private static let populateForWriting: Int32 = 23  // MADV_POPULATE_WRITE of Linux 5.14

  /// Compares a mapped block with its hash before its first change.
  @inline(never)
  private func prove(_ block: Int) {
    let (mine, _) = blocks.pin(block).pointee.compareExchange(
      expected: PinState.unproven, desired: PinState.proving, ordering: .acquiringAndReleasing)
    guard mine else {
      while blocks.pin(block).pointee.load(ordering: .acquiring) == PinState.proving {
        sched_yield()
      }
      return
    }
    let start = block << Self.blockShift
    let length = min(Self.blockSizeBytes, adoptedBytes - start)
    if length > 0 {
      // Takes the whole block out of the file first, so that what decays there later is not hashed
      // with what was changed. Older kernels refuse; the proof then holds for this moment.
      madvise(base + start, length, Self.populateForWriting)
      prover?.prove(name, block, UnsafeRawBufferPointer(start: base + start, count: length))
    }
    blocks.pin(block).pointee.store(PinState.free, ordering: .releasing)
  }

  private func pinnedRange(of block: Int) -> Range<Int> {
    let start = block << Self.blockShift
    return start..<min(start + Self.blockSizeBytes, pinnedBytes)
  }

  /// Freezes the blocks that changed since the last finished checkpoint, and returns them. No write
  /// may be under way.
  package func beginPin() -> [Int] {
    precondition(!isPinned, "a checkpoint of \(name) is already open")
    isPinned = true
    pinnedBytes = lengthBytes
    pinnedBlocks = []
    for block in 0..<blockCount where blocks.dirty(block).pointee.load(ordering: .relaxed) != 0 {
      blocks.dirty(block).pointee.store(0, ordering: .relaxed)
      blocks.pin(block).pointee.store(PinState.pinned, ordering: .releasing)
      pinnedBlocks.append(block)
    }
    return pinnedBlocks
  }

  /// The bytes of one pinned block as they were when the pin began. Once per block; any thread.
  package func readPinned(_ block: Int) -> [UInt8] {
    let range = pinnedRange(of: block)
    return [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      guard let target = buffer.baseAddress else { return }
      let (mine, _) = blocks.pin(block).pointee.compareExchange(
        expected: PinState.pinned, desired: PinState.copying, ordering: .acquiringAndReleasing)
      if mine {
        memcpy(target, base + range.lowerBound, range.count)
      } else {
        while blocks.pin(block).pointee.load(ordering: .acquiring) == PinState.copying {
          sched_yield()
        }
        guard let copy = blocks.saved(block).pointee else { return }
        memcpy(target, copy, range.count)
        copy.deallocate()
        blocks.saved(block).pointee = nil
      }
      count = range.count
      blocks.pin(block).pointee.store(PinState.free, ordering: .releasing)
    }
  }

  /// Ends a pin whose checkpoint is durable. No write may be under way.
  package func endPin() {
    releaseSavedCopies()
    isPinned = false
    // `pinnedBytes` stays: the writer may be looking at it for a block that was pinned just now.
    pinnedBlocks = []
  }

  /// Ends a pin whose checkpoint failed: its blocks count as changed again.
  package func abandonPin() {
    for block in pinnedBlocks { blocks.dirty(block).pointee.store(1, ordering: .relaxed) }
    endPin()
  }

  /// Has a block written by the next checkpoint although it did not change.
  package func markDirty(block: Int) {
    guard block >= 0, block < blockCount else { return }
    if blocks.pin(block).pointee.load(ordering: .acquiring) == PinState.unproven { prove(block) }
    blocks.dirty(block).pointee.store(1, ordering: .relaxed)
  }

  /// Blocks that changed since the last finished checkpoint.
  package var dirtyBlockCount: Int {
    (0..<blockCount).reduce(0) { $0 + Int(blocks.dirty($1).pointee.load(ordering: .relaxed)) }
  }

  func releaseSavedCopies() {
    for block in pinnedBlocks {
      blocks.pin(block).pointee.store(PinState.free, ordering: .relaxed)
      blocks.saved(block).pointee?.deallocate()
      blocks.saved(block).pointee = nil
    }
  }
}
