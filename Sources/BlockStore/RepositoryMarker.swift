import Bytes
import Files

/// The object that makes a place a repository.
///
/// Layout, little-endian: magic `VDBREPO\0`, version u32, database id u128, CRC-32C of these 28
/// bytes u32. Version 1 is a plain repository, version 2 an encrypted one: a program that does not
/// know of encryption refuses it.
struct RepositoryMarker: Equatable {
  static let magic = Array("VDBREPO\0".utf8)
  static let plainVersion: UInt32 = 1
  static let encryptedVersion: UInt32 = 2
  static let name = "repository"

  var databaseID: UInt128
  var isEncrypted: Bool

  func encode() -> [UInt8] {
    let version = isEncrypted ? Self.encryptedVersion : Self.plainVersion
    return SealedRecord.encode(magic: Self.magic, version: version) { $0.write(databaseID) }
  }

  init(databaseID: UInt128, isEncrypted: Bool) {
    self.databaseID = databaseID
    self.isEncrypted = isEncrypted
  }

  init(decoding bytes: [UInt8], at path: String) throws {
    self = try SealedRecord.decode(
      bytes, magic: Self.magic, versions: Self.plainVersion...Self.encryptedVersion,
      what: "repository marker", at: path
    ) { version, reader in
      RepositoryMarker(
        databaseID: try reader.read(UInt128.self, "database id"),
        isEncrypted: version == Self.encryptedVersion)
    }
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
      bytes, magic: Self.magic, versions: Self.version...Self.version, what: "epoch claim", at: path
    ) { _, reader in
      let counter = try reader.read(UInt64.self, "counter")
      return EpochClaim(counter: counter, id: try reader.read(UInt128.self, "epoch id"))
    }
  }
}

/// A small object: magic, version, fields, CRC-32C of everything before it.
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
    _ bytes: [UInt8], magic: [UInt8], versions: ClosedRange<UInt32>, what: String, at path: String,
    _ fields: (UInt32, inout ByteReader) throws -> Fields
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
        guard versions.contains(found) else {
          throw StoreError(
            .unknownVersion, "the \(what) has the unknown version \(found)", at: path,
            remedy: Remedy.upgrade)
        }
        let result = try fields(found, &reader)
        try reader.expectEnd("end")
        return result
      }
    }
  }
}
