import VecDBBytes
import VecDBFiles

/// A block as the difference to another one, its base: how a repository keeps a block of which
/// little has changed since the last backup, such as rows of the graph that got a new link.
///
/// Layout, little-endian: magic `VDBDELT\0`, version u32, hash of the base 32 bytes, depth u32 (1 if
/// the base is kept in full, one more than the base's otherwise), length of the block u32, sum of
/// the lengths of the deltas that lead to it u64, number of runs u32; then for each run, as LEB128,
/// the bytes taken over from the base since the run before and the length of the run; then the
/// bytes of all runs; CRC-32C of all of it u32. Behind the last run comes the rest of the base.
package struct BlockDelta: Sendable {
  static let magic = Array("VDBDELT\0".utf8)
  static let version: UInt32 = 1
  /// Reading a block reads at most so many deltas …
  static let depthLimit = 16
  /// … and each of them has at most this part of the block.
  static let largestShare = 0.5

  package private(set) var base: Digest
  package private(set) var depth: Int
  package private(set) var lengthBytes: Int
  /// Of this delta and those below it.
  package private(set) var chainBytes: Int
  private var runs: [Run]
  private var content: [UInt8]

  private struct Run: Sendable {
    var skipped: Int
    var length: Int
  }

  /// The difference from `old` to `new`; nil if it is not worth while. `depth` and `chainBytes` are
  /// those of the base, 0 where it is kept in full.
  init?(
    from old: [UInt8], named base: Digest, depth: Int, chainBytes: Int,
    to new: UnsafeRawBufferPointer
  ) {
    guard depth < Self.depthLimit, new.count <= Int(UInt32.max) else { return nil }
    let limit = Int(Double(new.count) * Self.largestShare)
    self.base = base
    self.depth = depth + 1
    lengthBytes = new.count
    self.chainBytes = chainBytes
    runs = []
    content = []
    guard old.withUnsafeBytes({ compare($0, new, limit: limit) }) else { return nil }
    let size = encodedSizeBytes
    guard size <= limit, chainBytes + size <= new.count else { return nil }
    self.chainBytes = chainBytes + size
  }

  /// Collects the runs; false as soon as their bytes exceed the limit.
  private mutating func compare(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeRawBufferPointer, limit: Int
  ) -> Bool {
    let shared = min(old.count, new.count)
    let words = shared / 8
    var runEnd = 0
    var index = 0
    func differs(_ word: Int) -> Bool {
      old.loadUnaligned(fromByteOffset: word &* 8, as: UInt64.self)
        != new.loadUnaligned(fromByteOffset: word &* 8, as: UInt64.self)
    }
    while index < words {
      guard differs(index) else {
        index &+= 1
        continue
      }
      let start = index &* 8
      index &+= 1
      while index < words, differs(index) { index &+= 1 }
      append(from: start, to: index &* 8, after: runEnd, of: new)
      runEnd = index &* 8
      if content.count > limit { return false }
    }
    let tail = words * 8
    if new.count > tail, new.count != old.count || differ(old, new, tail..<shared) {
      append(from: tail, to: new.count, after: runEnd, of: new)
    }
    return content.count <= limit
  }

  private func differ(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeRawBufferPointer, _ range: Range<Int>
  ) -> Bool {
    range.contains { old[$0] != new[$0] }
  }

  private mutating func append(
    from start: Int, to end: Int, after previous: Int, of new: UnsafeRawBufferPointer
  ) {
    guard end > start else { return }
    content.append(contentsOf: new[start..<end])
    if start == previous, let last = runs.indices.last {
      runs[last].length += end - start
    } else {
      runs.append(Run(skipped: start - previous, length: end - start))
    }
  }

  /// The block that this delta makes of its base; nil if the base is not long enough.
  func applied(to old: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(lengthBytes)
    var position = 0
    for run in runs {
      guard run.skipped == 0 || result.count + run.skipped <= old.count else { return nil }
      result += old[result.count..<result.count + run.skipped]
      result += content[position..<position + run.length]
      position += run.length
    }
    if result.count < lengthBytes {
      guard lengthBytes <= old.count else { return nil }
      result += old[result.count..<lengthBytes]
    }
    return result
  }
}

// MARK: Coding

extension BlockDelta {
  private static let headerBytes = 64

  var encodedSizeBytes: Int {
    Self.headerBytes + content.count + 4
      + runs.reduce(0) { $0 + Self.lebBytes($1.skipped) + Self.lebBytes($1.length) }
  }

  func encode() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: encodedSizeBytes)
    writer.write(raw: Self.magic)
    writer.write(Self.version)
    writer.write(base)
    writer.write(UInt32(depth))
    writer.write(UInt32(lengthBytes))
    writer.write(UInt64(chainBytes))
    writer.write(UInt32(runs.count))
    for run in runs {
      Self.writeLEB(run.skipped, to: &writer)
      Self.writeLEB(run.length, to: &writer)
    }
    writer.write(raw: content)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Throws `.corrupt` or `.unknownVersion`.
  init(decoding bytes: [UInt8], at place: String) throws {
    self = try bytes.withUnsafeBytes { buffer in
      try decoding("delta of a block", at: place, remedy: Remedy.repository) {
        try BlockDelta(reading: buffer, at: place)
      }
    }
  }

  private init(reading buffer: UnsafeRawBufferPointer, at place: String) throws {
    let body = UnsafeRawBufferPointer(rebasing: buffer.prefix(max(0, buffer.count - 4)))
    var reader = ByteReader(body)
    guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.magic) else {
      throw reader.failure("magic")
    }
    let version = try reader.read(UInt32.self, "version")
    var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: buffer.dropFirst(body.count)))
    guard try trailer.read(UInt32.self, "checksum") == CRC32C.checksum(body) else {
      throw reader.failure("checksum")
    }
    guard version == Self.version else {
      throw StoreError(
        .unknownVersion, "the delta has the unknown version \(version)", at: place,
        remedy: Remedy.upgrade)
    }
    base = try reader.readDigest("base")
    depth = Int(try reader.read(UInt32.self, "depth"))
    lengthBytes = Int(try reader.read(UInt32.self, "length"))
    let chain = try reader.read(UInt64.self, "chain length")
    guard (1...Self.depthLimit).contains(depth), lengthBytes <= storedBlockLimitBytes,
      chain <= UInt64(storedBlockLimitBytes)
    else { throw reader.failure("depth or length") }
    chainBytes = Int(chain)
    let count = Int(try reader.read(UInt32.self, "number of runs"))
    guard count <= reader.remaining / 2 else { throw reader.failure("number of runs") }
    runs = []
    runs.reserveCapacity(count)
    var end = 0
    var total = 0
    for _ in 0..<count {
      let run = Run(
        skipped: try Self.readLEB(&reader, "skipped bytes"),
        length: try Self.readLEB(&reader, "length of a run"))
      end += run.skipped + run.length
      total += run.length
      guard end <= lengthBytes else { throw reader.failure("length of a run") }
      runs.append(run)
    }
    content = Array(try reader.readRaw(count: total, "content"))
    try reader.expectEnd("end")
  }

  private static func lebBytes(_ value: Int) -> Int {
    value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : value < 1 << 28 ? 4 : 5
  }

  private static func writeLEB(_ value: Int, to writer: inout ByteWriter) {
    var rest = UInt32(value)
    while rest >= 0x80 {
      writer.write(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    writer.write(UInt8(rest))
  }

  private static func readLEB(_ reader: inout ByteReader, _ field: String) throws -> Int {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
      let byte = try reader.read(UInt8.self, field)
      value |= Int(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw reader.failure(field)
  }
}
