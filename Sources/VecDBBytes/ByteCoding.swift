/// Builds a byte sequence of little-endian integers and length-prefixed fields. Every format of
/// the database that is not a row array is written with it.
package struct ByteWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init(reservingCapacity capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  package var count: Int { bytes.count }

  package mutating func write(_ integer: some FixedWidthInteger) {
    withUnsafeBytes(of: integer.littleEndian) { bytes.append(contentsOf: $0) }
  }

  package mutating func write(_ value: Float) { write(value.bitPattern) }
  package mutating func write(_ value: Double) { write(value.bitPattern) }
  package mutating func write(_ digest: Digest) { bytes.append(contentsOf: digest.bytes) }

  package mutating func write(raw: some Sequence<UInt8>) { bytes.append(contentsOf: raw) }
  package mutating func write(raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }

  /// A UInt32 length, then the bytes.
  package mutating func write(counted: [UInt8]) {
    write(UInt32(counted.count))
    write(raw: counted)
  }

  /// A UInt32 length, then UTF-8.
  package mutating func write(_ string: String) {
    let utf8 = string.utf8
    write(UInt32(utf8.count))
    bytes.append(contentsOf: utf8)
  }
}

/// Reads what `ByteWriter` wrote, checking every length against the bytes that are there, so that
/// hostile input ends in `ByteReader.Failure` and nothing else.
package struct ByteReader {
  package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was being read.
    package var field: String
    /// Where in the input.
    package var offset: Int
    package var description: String { "bad or missing \(field) at byte \(offset)" }
  }

  private let bytes: UnsafeRawBufferPointer
  package private(set) var offset = 0

  /// The buffer must outlive the reader.
  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  package var remaining: Int { bytes.count - offset }
  package var isAtEnd: Bool { offset == bytes.count }

  package func failure(_ field: String) -> Failure { Failure(field: field, offset: offset) }

  package mutating func read<Integer: FixedWidthInteger>(
    _ type: Integer.Type, _ field: String
  ) throws -> Integer {
    let size = MemoryLayout<Integer>.size
    guard remaining >= size else { throw failure(field) }
    defer { offset += size }
    return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
  }

  /// The type is that which the caller expects.
  package mutating func read<Integer: FixedWidthInteger>(_ field: String) throws -> Integer {
    try read(Integer.self, field)
  }

  package mutating func readFloat(_ field: String) throws -> Float {
    Float(bitPattern: try read(UInt32.self, field))
  }

  package mutating func readDouble(_ field: String) throws -> Double {
    Double(bitPattern: try read(UInt64.self, field))
  }

  package mutating func readDigest(_ field: String) throws -> Digest {
    let raw = try readRaw(count: Digest.sizeBytes, field)
    guard let base = raw.baseAddress else { throw failure(field) }
    return Digest(bytes: base)
  }

  /// The next `count` bytes, not copied: valid as long as the reader's buffer is.
  package mutating func readRaw(count: Int, _ field: String) throws -> UnsafeRawBufferPointer {
    guard count >= 0, remaining >= count else { throw failure(field) }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  /// A UInt32 length, then that many bytes.
  package mutating func readCounted(
    maximum: Int = Int(Int32.max), _ field: String
  ) throws -> UnsafeRawBufferPointer {
    let count = Int(try read(UInt32.self, field))
    guard count <= maximum else { throw failure(field) }
    return try readRaw(count: count, field)
  }

  /// A UInt32 length, then UTF-8, which must be valid.
  package mutating func readString(maximum: Int = 1 << 20, _ field: String) throws -> String {
    let raw = try readCounted(maximum: maximum, field)
    guard let string = String(validating: raw, as: UTF8.self) else { throw failure(field) }
    return string
  }

  package func expectEnd(_ field: String) throws {
    guard isAtEnd else { throw failure(field) }
  }
}
