/// Running sums of the lengths of a segment's frames, so that nobody adds up what is left of the log
/// again and again: one for every so many frames.
struct FrameSums {
  private static let stride = 64

  /// The LSN before the first frame.
  private let start: UInt64
  /// Bytes of the first `stride`, `2 * stride`, … frames.
  private var sums: [Int] = []
  private var count = 0
  /// Bytes of all frames.
  private(set) var total = 0

  init(after start: UInt64) { self.start = start }

  mutating func append(_ lengthBytes: Int) {
    total += lengthBytes
    count += 1
    if count % Self.stride == 0 { sums.append(total) }
  }

  /// Bytes of the frames after `lsn`. `lengths` gives those of the frames after one LSN and up to
  /// another, which are fewer than `stride`.
  func bytes(after lsn: UInt64, lengths: (UInt64, UInt64) throws -> Int) rethrows -> Int {
    guard lsn > start else { return total }
    let passed = lsn - start
    guard passed < UInt64(count) else { return 0 }
    let whole = Int(passed) / Self.stride
    let before = whole == 0 ? 0 : sums[whole - 1]
    let known = start + UInt64(whole * Self.stride)
    return total - before - (lsn > known ? try lengths(known, lsn) : 0)
  }
}
