import VecDBBytes
import VecDBFiles

/// The object that makes a place a repository.
///
/// Layout, little-endian: magic `VDBREPO\0`, version u32, database id u128, CRC-32C of these 28
/// bytes u32. Version 1 is a plain repository, version 2 an encrypted one: a program that does not
/// know of encryption refuses it. Versions 3 and 4, plain and encrypted, stand in an object store and
/// also hold the repository's identity u128 before the checksum: one request less.
struct RepositoryMarker: Equatable {
  static let magic = Array("VDBREPO\0".utf8)
  static let plainVersion: UInt32 = 1
  static let encryptedVersion: UInt32 = 2
  static let identifiedVersion: UInt32 = 3
  static let identifiedEncryptedVersion: UInt32 = 4
  static let name = "repository"

  var databaseID: UInt128
  var isEncrypted: Bool
  /// Nil if it is in an object of its own.
  var identity: UInt128?

  func encode() -> [UInt8] {
    guard let identity else {
      let version = isEncrypted ? Self.encryptedVersion : Self.plainVersion
      return SealedRecord.encode(magic: Self.magic, version: version) { $0.write(databaseID) }
    }
    let version = isEncrypted ? Self.identifiedEncryptedVersion : Self.identifiedVersion
    return SealedRecord.encode(magic: Self.magic, version: version) {
      $0.write(databaseID)
      $0.write(identity)
    }
  }

  init(databaseID: UInt128, isEncrypted: Bool, identity: UInt128? = nil) {
    self.databaseID = databaseID
    self.isEncrypted = isEncrypted
    self.identity = identity
  }

  init(decoding bytes: [UInt8], at path: String) throws {
    self = try SealedRecord.decode(
      bytes, magic: Self.magic, versions: Self.plainVersion...Self.identifiedEncryptedVersion,
      what: "repository marker", at: path
    ) { version, reader in
      RepositoryMarker(
        databaseID: try reader.read(UInt128.self, "database id"),
        isEncrypted: [Self.encryptedVersion, Self.identifiedEncryptedVersion].contains(version),
        identity: version >= Self.identifiedVersion
          ? try reader.read(UInt128.self, "identity") : nil)
    }
  }
}

/// The claim of an epoch counter.
///
/// Layout, little-endian: magic `VDBEPOC\0`, version u32, counter u64, epoch id u128; in version 2
/// also the LSN of the branch u64, the counted path of epochs and the counted place; CRC-32C of all
/// before u32.
///
/// Version 2 stands where the repository has something else than this epoch's history behind an LSN:
/// there a copy of the database was set back and went on, or a replica was promoted that lacked
/// something. What this epoch builds on behind that LSN is archived under this epoch too.
package struct EpochClaim: Equatable, Sendable {
  static let magic = Array("VDBEPOC\0".utf8)
  static let version: UInt32 = 1
  static let branchVersion: UInt32 = 2

  package struct Branch: Equatable, Sendable {
    /// The last LSN at which what the repository had was this history.
    package var lsn: UInt64
    /// The path of epochs that leads here, in the form of the log, so that the newest history is
    /// known before anything of it is there.
    package var epochs: [UInt8]
    /// Where the copy was that opened the epoch: a hash of machine and path. Empty if that is not
    /// known. What stands there later and does not know the epoch was set back once more.
    package var place: [UInt8]

    package init(lsn: UInt64, epochs: [UInt8], place: [UInt8] = []) {
      self.lsn = lsn
      self.epochs = epochs
      self.place = place
    }
  }

  package var counter: UInt64
  package var id: UInt128
  package var branch: Branch?

  package init(counter: UInt64, id: UInt128, branch: Branch? = nil) {
    self.counter = counter
    self.id = id
    self.branch = branch
  }

  func encode() -> [UInt8] {
    let version = branch == nil ? Self.version : Self.branchVersion
    return SealedRecord.encode(magic: Self.magic, version: version) {
      $0.write(counter)
      $0.write(id)
      if let branch {
        $0.write(branch.lsn)
        $0.write(counted: branch.epochs)
        $0.write(counted: branch.place)
      }
    }
  }

  init(decoding bytes: [UInt8], at path: String) throws {
    self = try SealedRecord.decode(
      bytes, magic: Self.magic, versions: Self.version...Self.branchVersion, what: "epoch claim",
      at: path
    ) { version, reader in
      let counter = try reader.read(UInt64.self, "counter")
      let id = try reader.read(UInt128.self, "epoch id")
      var branch: Branch?
      if version == Self.branchVersion {
        branch = Branch(
          lsn: try reader.read(UInt64.self, "LSN of the branch"),
          epochs: Array(try reader.readCounted("path of epochs")),
          // The first claims of this version end before it.
          place: reader.isAtEnd ? [] : Array(try reader.readCounted(maximum: 64, "place")))
      }
      return EpochClaim(counter: counter, id: id, branch: branch)
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
