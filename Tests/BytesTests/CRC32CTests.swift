import Testing
import VecDBBytes

@Suite struct CRC32CTests {
  /// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  static let vectors: [([UInt8], UInt32)] = [
    ([], 0),
    (Array("123456789".utf8), 0xe306_9283),
    ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
    ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
    (Array(0..<32), 0x46dd_794e),
    (Array((0..<32).reversed()), 0x113f_db5c),
    (
      [
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00,
        0x00, 0x18, 0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00,
      ], 0xd996_3a56
    ),
  ]

  @Test func publishedVectors() {
    for (bytes, checksum) in Self.vectors {
      #expect(CRC32C.checksum(bytes) == checksum)
      #expect(bytes.withUnsafeBytes { CRC32C.portableChecksum($0) } == checksum)
    }
  }

  /// The definition: one bit at a time.
  private static func bitwise(_ bytes: ArraySlice<UInt8>, seed: UInt32) -> UInt32 {
    var crc = ~seed
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? 0x82f6_3b78 ^ (crc >> 1) : crc >> 1 }
    }
    return ~crc
  }

  @Test func everyLengthOffsetAndSeed() {
    var random = SeededGenerator(seed: 3)
    let bytes = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let lengths =
      Array(0...40) + [127, 128, 129, 383, 384, 385, 767, 768, 3071, 3072, 3073, 3464, 6144, 9999]
      + (0..<60).map { _ in Int.random(in: 0...12_000, using: &random) }
    for length in lengths {
      let offset = Int.random(in: 0...17, using: &random)
      let seed = Bool.random(using: &random) ? 0 : UInt32.random(in: 0 ... .max, using: &random)
      let slice = bytes[offset..<offset + length]
      let truth = Self.bitwise(slice, seed: seed)
      slice.withUnsafeBytes {
        #expect(CRC32C.checksum($0, seed: seed) == truth, "\(length) from \(offset)")
        #expect(CRC32C.portableChecksum($0, seed: seed) == truth, "\(length) from \(offset)")
      }
    }
  }

  @Test func piecesGiveTheSameChecksum() {
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 13) }
    let whole = CRC32C.checksum(bytes)
    for cut in stride(from: 0, through: 5000, by: 97) {
      let first = CRC32C.checksum(Array(bytes[..<cut]))
      #expect(CRC32C.checksum(Array(bytes[cut...]), seed: first) == whole)
    }
  }
}
