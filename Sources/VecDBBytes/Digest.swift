/// 32 bytes: a SHA-256 value, or a sum of such values.
///
/// Held as four little-endian words so that a digest is a plain value that costs no allocation.
package struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
  package static let sizeBytes = 32
  package static let zero = Digest(words: (0, 0, 0, 0))

  /// Bytes 0–7, 8–15, 16–23 and 24–31, each little-endian.
  package var words: (UInt64, UInt64, UInt64, UInt64)

  package init(words: (UInt64, UInt64, UInt64, UInt64)) {
    self.words = words
  }

  /// Reads 32 bytes.
  package init(bytes: UnsafeRawPointer) {
    func word(_ index: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
    }
    words = (word(0), word(1), word(2), word(3))
  }

  /// Reads exactly 64 lower-case hexadecimal digits; nil for anything else, so that a digest has
  /// one spelling.
  package init?(hex: some StringProtocol) {
    let digits = Array(hex.utf8)
    guard digits.count == 64 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for index in stride(from: 0, to: 64, by: 2) {
      guard let high = Self.nibble(digits[index]), let low = Self.nibble(digits[index + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    self = bytes.withUnsafeBytes { Digest(bytes: $0.baseAddress!) }
  }

  private static func nibble(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  /// Writes 32 bytes.
  package func store(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: words.0.littleEndian, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: words.1.littleEndian, toByteOffset: 8, as: UInt64.self)
    bytes.storeBytes(of: words.2.littleEndian, toByteOffset: 16, as: UInt64.self)
    bytes.storeBytes(of: words.3.littleEndian, toByteOffset: 24, as: UInt64.self)
  }

  package var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      store(to: UnsafeMutableRawPointer(buffer.baseAddress!))
      count = 32
    }
  }

  /// 64 lower-case hexadecimal digits.
  package var hex: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  package var description: String { hex }

  package static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }

  package static func < (left: Digest, right: Digest) -> Bool {
    // Swapped to big-endian, words compare as their bytes do.
    let (l, r) = (left.words, right.words)
    if l.0 != r.0 { return l.0.byteSwapped < r.0.byteSwapped }
    if l.1 != r.1 { return l.1.byteSwapped < r.1.byteSwapped }
    if l.2 != r.2 { return l.2.byteSwapped < r.2.byteSwapped }
    return l.3.byteSwapped < r.3.byteSwapped
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// An incremental digest of a multiset: the sum of its members' SHA-256 values modulo 2^256
/// (MSet-Add-Hash of Clarke et al., ASIACRYPT 2003). Order does not matter and a member can be
/// taken out again, so it follows upserts and deletes at constant cost.
package struct MultisetDigest: Hashable, Sendable {
  package private(set) var sum: Digest

  package init(sum: Digest = .zero) { self.sum = sum }

  package mutating func insert(_ member: Digest) {
    var carry: UInt64 = 0
    func add(_ left: UInt64, _ right: UInt64) -> UInt64 {
      let (first, overflow1) = left.addingReportingOverflow(right)
      let (second, overflow2) = first.addingReportingOverflow(carry)
      carry = overflow1 || overflow2 ? 1 : 0
      return second
    }
    let (a, b) = (sum.words, member.words)
    let w0 = add(a.0, b.0)
    let w1 = add(a.1, b.1)
    let w2 = add(a.2, b.2)
    let w3 = add(a.3, b.3)
    sum.words = (w0, w1, w2, w3)
  }

  package mutating func remove(_ member: Digest) {
    var borrow: UInt64 = 0
    func subtract(_ left: UInt64, _ right: UInt64) -> UInt64 {
      let (first, overflow1) = left.subtractingReportingOverflow(right)
      let (second, overflow2) = first.subtractingReportingOverflow(borrow)
      borrow = overflow1 || overflow2 ? 1 : 0
      return second
    }
    let (a, b) = (sum.words, member.words)
    let w0 = subtract(a.0, b.0)
    let w1 = subtract(a.1, b.1)
    let w2 = subtract(a.2, b.2)
    let w3 = subtract(a.3, b.3)
    sum.words = (w0, w1, w2, w3)
  }
}
