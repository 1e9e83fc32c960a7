import CVecDBShims

/// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), as iSCSI, ext4 and LevelDB use it.
/// Uses the processor's instruction where there is one.
package enum CRC32C {
  /// The checksum of `bytes`; pass an earlier result as `seed` to go on with more bytes.
  package static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    #if arch(x86_64)
      if ProcessorFeatures.crc32c {
        guard let base = bytes.baseAddress else { return seed }
        return ~vecdb_crc32c(~seed, base, bytes.count)
      }
    #endif
    return portableChecksum(bytes, seed: seed)
  }

  /// The checksum of `bytes`; pass an earlier result as `seed` to go on with more bytes.
  package static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, seed: seed) }
  }

  /// The same checksum from tables, eight bytes at a time (Kounavis and Berry, "Novel Table
  /// Lookup-Based Algorithms for High-Performance CRC Generation", 2008).
  package static func portableChecksum(
    _ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0
  ) -> UInt32 {
    guard let base = bytes.baseAddress else { return seed }
    var crc = ~seed
    tables.withUnsafeBufferPointer { tables in
      func entry(_ table: Int, _ word: UInt64, _ byte: UInt64) -> UInt32 {
        tables[table &* 256 &+ Int((word >> (byte &* 8)) & 0xff)]
      }
      var offset = 0
      while offset &+ 8 <= bytes.count {
        let next = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian
        let word = next ^ UInt64(crc)
        let first = entry(7, word, 0) ^ entry(6, word, 1) ^ entry(5, word, 2) ^ entry(4, word, 3)
        let second = entry(3, word, 4) ^ entry(2, word, 5) ^ entry(1, word, 6) ^ entry(0, word, 7)
        crc = first ^ second
        offset &+= 8
      }
      while offset < bytes.count {
        let byte = base.load(fromByteOffset: offset, as: UInt8.self)
        crc = tables[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8)
        offset &+= 1
      }
    }
    return ~crc
  }

  /// Table t maps a byte to its remainder t further bytes on.
  private static let tables: [UInt32] = {
    var tables: [UInt32] = (0..<256).map { index in
      (0..<8).reduce(UInt32(index)) { crc, _ in
        crc & 1 == 1 ? 0x82f6_3b78 ^ (crc >> 1) : crc >> 1
      }
    }
    for index in 256..<2048 {
      let previous: UInt32 = tables[index - 256]
      let shifted: UInt32 = previous >> 8
      tables.append(shifted ^ tables[Int(previous & 0xff)])
    }
    return tables
  }()
}
