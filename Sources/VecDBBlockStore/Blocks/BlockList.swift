import VecDBBytes
import VecDBFiles

/// The hashes of an array's blocks, in order. Its encoding is itself stored as a block, named by
/// its SHA-256, so that a manifest names a whole array by one digest.
///
/// Layout, little-endian: magic `VDBLIST\0`, version u32, block size u32, length of the array in
/// bytes u64, then 32 bytes for each block.
package struct BlockList: Sendable, Equatable {
  /// The longest array: 1 TiB.
  package static let lengthLimitBytes = 1 << 40
  static let magic = Array("VDBLIST\0".utf8)
  static let version: UInt32 = 1
  static let headerSizeBytes = 24

  /// SHA-256 of each block's bytes.
  package let hashes: [Digest]
  /// The length of the array; every block but the last has `blockSizeBytes`.
  package let lengthBytes: Int

  /// Throws `.invalidArgument` if the number of hashes does not fit the length.
  package init(hashes: [Digest], lengthBytes: Int) throws {
    guard lengthBytes >= 0, lengthBytes <= Self.lengthLimitBytes,
      hashes.count == Self.blockCount(lengthBytes: lengthBytes)
    else {
      throw StoreError(
        .invalidArgument, "\(hashes.count) blocks do not make an array of \(lengthBytes) bytes")
    }
    self.hashes = hashes
    self.lengthBytes = lengthBytes
  }

  /// How many blocks an array of this length has.
  package static func blockCount(lengthBytes: Int) -> Int {
    (lengthBytes + blockSizeBytes - 1) / blockSizeBytes
  }

  /// The length of block `index` of an array of this length.
  package static func blockLengthBytes(_ index: Int, of lengthBytes: Int) -> Int {
    min(blockSizeBytes, lengthBytes - index * blockSizeBytes)
  }

  package func blockLengthBytes(_ index: Int) -> Int {
    Self.blockLengthBytes(index, of: lengthBytes)
  }

  static func encodedSizeBytes(lengthBytes: Int) -> Int {
    headerSizeBytes + blockCount(lengthBytes: lengthBytes) * Digest.sizeBytes
  }

  package func encode() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: Self.encodedSizeBytes(lengthBytes: lengthBytes))
    writer.write(raw: Self.magic)
    writer.write(Self.version)
    writer.write(UInt32(blockSizeBytes))
    writer.write(UInt64(lengthBytes))
    for hash in hashes { writer.write(hash) }
    return writer.bytes
  }

  /// Reads what `encode` wrote; the caller has compared the bytes with their hash. `location` is
  /// what errors name.
  package init(decoding bytes: [UInt8], at location: String) throws {
    self = try bytes.withUnsafeBytes { buffer in
      try decoding("block list", at: location, remedy: Remedy.restore) {
        var reader = ByteReader(buffer)
        guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.magic) else {
          throw reader.failure("magic")
        }
        let version = try reader.read(UInt32.self, "version")
        guard version == Self.version else {
          throw StoreError(
            .unknownVersion, "the block list has the unknown version \(version)", at: location,
            remedy: Remedy.upgrade)
        }
        guard try reader.read(UInt32.self, "block size") == UInt32(blockSizeBytes) else {
          throw reader.failure("block size")
        }
        let length = try reader.read(UInt64.self, "length")
        guard length <= UInt64(Self.lengthLimitBytes) else { throw reader.failure("length") }
        let count = Self.blockCount(lengthBytes: Int(length))
        guard reader.remaining == count * Digest.sizeBytes else { throw reader.failure("hashes") }
        var hashes: [Digest] = []
        hashes.reserveCapacity(count)
        for _ in 0..<count { hashes.append(try reader.readDigest("hash")) }
        return try BlockList(hashes: hashes, lengthBytes: Int(length))
      }
    }
  }
}
