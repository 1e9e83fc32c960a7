import Glibc
import Synchronization

/// Rows of a fixed number of bytes in address space that grows in place.
///
/// The array grows in place: its base never moves, so searches hold plain pointers into it while
/// one writer appends. Its bytes are cut into blocks of exactly 1 MiB (the last one is short; a row
/// may straddle two), which is the unit of checkpoints: the array knows which blocks changed since
/// the last one, and a block that a checkpoint has yet to read is copied before it is changed
/// (`RowArray+Pins.swift`).
///
/// One writer owns `extend`, `reserve`, `adopt` and the pins; `willWrite` may also be called by the
/// workers of that writer, for disjoint rows. Readers only read rows that were published to them.
package final class RowArray: @unchecked Sendable {
  /// Bytes of a block.
  package static let blockSizeBytes = 1 << 20
  static let blockShift = 20
  private static let growthBytes = 2 << 20
  /// From here on an array is worth huge pages: below, rounding up to them would waste memory.
  private static let hugePageThresholdBytes = 8 << 20
  private static let collapseAdvice: Int32 = 25

  package let name: String
  package let strideBytes: Int
  /// 2 MiB aligned; stays the same for the array's life.
  package let base: UnsafeMutableRawPointer
  /// Bytes that it may grow to.
  package let capacityBytes: Int
  /// Rows in use.
  package private(set) var count = 0

  private let slice: AddressSlice
  private var writableBytes = 0
  /// The same for readers, who must not follow a damaged reference beyond it.
  private let readableBytes = Atomic<Int>(0)
  /// Bytes in use, for any thread.
  let usedBytes = Atomic<Int>(0)
  private var hugePagesAdvised = false

  /// What is known of each block.
  let blocks: BlockTable
  /// Blocks and bytes of the pin that is open.
  var pinnedBlocks: [Int] = []
  var pinnedBytes = 0
  var isPinned = false
  /// Nil where the bytes need no proof.
  private(set) var prover: BlockProver?
  /// What was adopted: these bytes have hashes.
  private(set) var adoptedBytes = 0

  /// May grow to `rowLimit` rows or `maximumBytes`, whichever is less. Nothing is reserved. Throws
  /// `.outOfMemory` where there is no address space.
  package init(
    name: String, strideBytes: Int, rowLimit: Int, maximumBytes: Int
  ) throws(IndexError) {
    self.name = name
    self.strideBytes = strideBytes
    let (product, overflow) = rowLimit.multipliedReportingOverflow(by: strideBytes)
    let alignment = Self.growthBytes
    var bytes = max(alignment, min(overflow ? Int.max / 2 : product, maximumBytes))
    bytes = (bytes + alignment - 1) & ~(alignment - 1)
    guard
      let slice = AddressSlice(
        aboveBytes: bytes, belowBytes: BlockTable.sizeBytes(blocks: (bytes >> Self.blockShift) + 1))
    else { throw .outOfMemory(array: name, bytes: bytes) }
    self.slice = slice
    base = slice.base
    capacityBytes = slice.aboveBytes
    blocks = BlockTable(end: slice.base)
  }

  deinit { releaseSavedCopies() }

  /// Bytes in use.
  package var lengthBytes: Int { count * strideBytes }

  /// Blocks in use, the last one perhaps short.
  package var blockCount: Int {
    (lengthBytes + Self.blockSizeBytes - 1) >> Self.blockShift
  }

  /// Makes room for `rows` rows without using them yet, so that a later `extend` cannot fail.
  /// Throws `.capacityExceeded` or `.outOfMemory` and changes nothing.
  package func reserve(_ rows: Int) throws(IndexError) {
    let (bytes, overflow) = rows.multipliedReportingOverflow(by: strideBytes)
    if !overflow, bytes <= writableBytes { return }
    guard !overflow, bytes <= capacityBytes else {
      throw .capacityExceeded(array: name, limitBytes: capacityBytes)
    }
    let step = max(Self.growthBytes, (writableBytes / 8) & ~(Self.growthBytes - 1))
    let wanted = min(capacityBytes, (bytes + step - 1) / step * step)
    let below = BlockTable.sizeBytes(blocks: (wanted >> Self.blockShift) + 1)
    guard slice.map(above: wanted, below: below) else {
      throw .outOfMemory(array: name, bytes: wanted - writableBytes)
    }
    if wanted >= Self.hugePageThresholdBytes {
      // Advice only: failure costs speed, never correctness. What was touched before is collapsed.
      madvise(base, wanted, MADV_HUGEPAGE)
      if !hugePagesAdvised, writableBytes > 0 { madvise(base, writableBytes, Self.collapseAdvice) }
      hugePagesAdvised = true
    }
    writableBytes = wanted
    readableBytes.store(wanted, ordering: .releasing)
  }

  /// Uses rows up to `newCount`, zero where never written, and marks their blocks as changed.
  package func extend(to newCount: Int) throws(IndexError) {
    try reserve(newCount)
    let start = lengthBytes
    let end = newCount * strideBytes
    if end > start { willWrite(bytes: start..<end) }
    count = newCount
    usedBytes.store(end, ordering: .relaxed)
  }

  /// Opens stored bytes: makes the first `lengthBytes` writable, lets `load` map or copy them to
  /// the base, and uses their rows. All blocks count as unchanged, and are proven before they
  /// change.
  package func adopt(
    lengthBytes: Int, prover: BlockProver? = nil, load: (UnsafeMutableRawPointer) throws -> Void
  ) throws {
    guard count == 0, lengthBytes >= 0, lengthBytes % strideBytes == 0 else {
      throw IndexError.corruptState(
        "array \(name) has \(lengthBytes) bytes, not a multiple of its rows' \(strideBytes)")
    }
    try reserve(lengthBytes / strideBytes)
    if lengthBytes > 0 { try load(base) }
    count = lengthBytes / strideBytes
    usedBytes.store(lengthBytes, ordering: .relaxed)
    adoptedBytes = lengthBytes
    self.prover = prover
    guard prover != nil else { return }
    for block in 0..<blockCount {
      blocks.pin(block).pointee.store(PinState.unproven, ordering: .releasing)
    }
  }

  /// Bytes from the base on that can be read at all, used or not.
  @inline(__always)
  var readableLengthBytes: Int { readableBytes.load(ordering: .relaxed) }

  /// Whether `length` bytes at `offset` can be read at all, used or not.
  @inline(__always)
  func isReadable(offset: Int, length: Int) -> Bool {
    offset >= 0 && offset <= readableBytes.load(ordering: .relaxed) &- length
  }

  /// The address of a row, which must be in use.
  @inline(__always)
  func row(_ index: Int) -> UnsafeMutableRawPointer { base + index &* strideBytes }
}
