/// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), as iSCSI, ext4 and LevelDB use it.
package enum CRC32C {
  /// The checksum of `bytes`; pass an earlier result as `seed` to go on with more bytes.
  package static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    var crc = ~seed
    for byte in bytes {
      crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8)
    }
    return ~crc
  }

  package static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, seed: seed) }
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in
      crc & 1 == 1 ? 0x82f6_3b78 ^ (crc >> 1) : crc >> 1
    }
  }
}
