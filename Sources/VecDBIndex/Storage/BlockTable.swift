import Synchronization

/// What is known of each block of an array: whether it changed, where its checkpoint stands, and the
/// copy that a writer made. It lies before the array and grows downwards with it.
struct BlockTable {
  private static let entryBytes = 16

  let end: UnsafeMutableRawPointer

  /// Whole pages of any size.
  static func sizeBytes(blocks: Int) -> Int {
    let page = 64 << 10
    return (blocks * entryBytes + page - 1) / page * page
  }

  @inline(__always)
  private func entry(_ block: Int) -> UnsafeMutableRawPointer {
    end - (block &+ 1) &* Self.entryBytes
  }

  /// 1 when it changed since the last checkpoint that finished.
  @inline(__always)
  func dirty(_ block: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
    entry(block).assumingMemoryBound(to: Atomic<UInt8>.self)
  }

  /// A `RowArray.PinState`.
  @inline(__always)
  func pin(_ block: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
    (entry(block) + 1).assumingMemoryBound(to: Atomic<UInt8>.self)
  }

  /// In state `.saved`: the copy.
  @inline(__always)
  func saved(_ block: Int) -> UnsafeMutablePointer<UnsafeMutableRawPointer?> {
    (entry(block) + 8).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
  }
}
