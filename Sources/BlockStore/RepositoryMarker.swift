import Bytes
import Files

/// The file that makes a directory a repository.
///
/// Layout, little-endian: magic `VDBREPO\0`, version u32, database id u128, CRC-32C of these 28
/// bytes u32.
struct RepositoryMarker: Equatable {
  static let magic = Array("VDBREPO\0".utf8)
  static let version: UInt32 = 1
  static let fileName = "repository"

  var databaseID: UInt128

  func encode() -> [UInt8] {
    SealedRecord.encode(magic: Self.magic, version: Self.version) { $0.write(databaseID) }
  }

  init(databaseID: UInt128) { self.databaseID = databaseID }

  init(decoding bytes: [UInt8], at path: String) throws {
    databaseID = try SealedRecord.decode(
      bytes, magic: Self.magic, version: Self.version, what: "repository marker", at: path
    ) { try $0.read(UInt128.self, "database id") }
  }
}

/// The claim of an epoch counter.
///
/// Layout, little-endian: magic `VDBEPOC\0`, version u32, counter u64, epoch id u128, CRC-32C of
/// these 36 bytes u32.
struct EpochClaim: Equatable {
  static let magic = Array("VDBEPOC\0".utf8)
  static let version: UInt32 = 1

  var counter: UInt64
  var id: UInt128

  func encode() -> [UInt8] {
    SealedRecord.encode(magic: Self.magic, version: Self.version) {
      $0.write(counter)
      $0.write(id)
    }
  }

  init(counter: UInt64, id: UInt128) {
    self.counter = counter
    self.id = id
  }

  init(decoding bytes: [UInt8], at path: String) throws {
    self = try SealedRecord.decode(
      bytes, magic: Self.magic, version: Self.version, what: "epoch claim", at: path
    ) {
      let counter = try $0.read(UInt64.self, "counter")
      return EpochClaim(counter: counter, id: try $0.read(UInt128.self, "epoch id"))
    }
  }
}

/// A small file: magic, version, fields, CRC-32C of everything before it.
enum SealedRecord {
  static func encode(
    magic: [UInt8], version: UInt32, _ fields: (inout ByteWriter) -> Void
  ) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(raw: magic)
    writer.write(version)
    fields(&writer)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  static func decode<Fields>(
    _ bytes: [UInt8], magic: [UInt8], version: UInt32, what: String, at path: String,
    _ fields: (inout ByteReader) throws -> Fields
  ) throws -> Fields {
    try bytes.withUnsafeBytes { buffer in
      try decoding(what, at: path, remedy: Remedy.repository) {
        let body = UnsafeRawBufferPointer(rebasing: buffer.prefix(max(0, buffer.count - 4)))
        var reader = ByteReader(body)
        guard try reader.readRaw(count: 8, "magic").elementsEqual(magic) else {
          throw reader.failure("magic")
        }
        let found = try reader.read(UInt32.self, "version")
        var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: buffer.dropFirst(body.count)))
        guard try trailer.read(UInt32.self, "checksum") == CRC32C.checksum(body) else {
          throw reader.failure("checksum")
        }
        guard found == version else {
          throw StoreError(
            .unknownVersion, "the \(what) has the unknown version \(found)", at: path,
            remedy: Remedy.upgrade)
        }
        let result = try fields(&reader)
        try reader.expectEnd("end")
        return result
      }
    }
  }
}
