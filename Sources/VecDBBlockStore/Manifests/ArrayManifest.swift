import VecDBBytes

/// One array (or one file) of a database at one LSN: the root of a small tree, manifest → list →
/// blocks.
package struct ArrayManifest: Sendable, Hashable {
  /// Unique in its collection; at most 1,024 bytes.
  package var name: String
  package var rowStrideBytes: Int
  package var lengthBytes: Int
  /// The hash of the encoded `BlockList`.
  package var list: Digest

  package init(name: String, rowStrideBytes: Int, lengthBytes: Int, list: Digest) {
    self.name = name
    self.rowStrideBytes = rowStrideBytes
    self.lengthBytes = lengthBytes
    self.list = list
  }
}

extension ArrayManifest {
  func encode(into writer: inout ByteWriter) {
    writer.write(name)
    writer.write(UInt64(rowStrideBytes))
    writer.write(UInt64(lengthBytes))
    writer.write(list)
  }

  init(from reader: inout ByteReader) throws {
    let name = try reader.readString(maximum: 1024, "array name")
    let stride = try reader.read(UInt64.self, "row stride")
    guard stride <= UInt64(BlockList.lengthLimitBytes) else { throw reader.failure("row stride") }
    let length = try reader.read(UInt64.self, "array length")
    guard length <= UInt64(BlockList.lengthLimitBytes) else { throw reader.failure("array length") }
    let list = try reader.readDigest("list hash")
    self.init(name: name, rowStrideBytes: Int(stride), lengthBytes: Int(length), list: list)
  }
}
