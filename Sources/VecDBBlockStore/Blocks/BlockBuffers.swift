import VecDBBytes

/// Buffers of a block each, used again and again: fresh pages for every block cost as much as hashing
/// it. Any thread.
final class BlockBuffers: Sendable {
  private let free = Guarded<[[UInt8]]>([])

  /// Calls `body` with a buffer of so many bytes, whose content is left from before.
  func withBuffer<Result>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    var buffer = free.withLock { $0.popLast() } ?? []
    if buffer.count < count { buffer = [UInt8](repeating: 0, count: max(count, blockSizeBytes)) }
    defer { free.withLock { $0.append(buffer) } }
    return try buffer.withUnsafeMutableBytes {
      try body(UnsafeMutableRawBufferPointer(rebasing: $0.prefix(count)))
    }
  }
}
