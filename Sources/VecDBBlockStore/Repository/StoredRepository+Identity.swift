import VecDBBytes
import VecDBFiles

/// What tells one repository of a database from another: a random number in the object `identity`.
///
/// Layout, little-endian: magic `VDBRPID\0`, version u32, id u128, CRC-32C of these 28 bytes u32.
private struct RepositoryIdentity {
  static let magic = Array("VDBRPID\0".utf8)
  static let version: UInt32 = 1
  static let name = "identity"
}

extension StoredRepository {
  /// The repository's id. One that is older than the ids gets one.
  package func identity() throws -> UInt128 {
    if let known = try storedIdentity() { return known }
    let id = UInt128.random(in: 1...UInt128.max)
    let bytes = SealedRecord.encode(
      magic: RepositoryIdentity.magic, version: RepositoryIdentity.version
    ) { $0.write(id) }
    do {
      try create(RepositoryIdentity.name, bytes)
      return id
    } catch let error as StoreError where error.kind == .alreadyExists {
      guard let other = try storedIdentity() else { throw error }
      return other
    }
  }

  /// The id as it is there now; nil if there is none, which is so of an older repository, and where
  /// the repository has gone from under its path.
  package func storedIdentity() throws -> UInt128? {
    if let identity = marker.identity { return identity }
    guard try store.info(RepositoryIdentity.name) != nil else { return nil }
    return try SealedRecord.decode(
      try get(RepositoryIdentity.name, maximumBytes: 4096), magic: RepositoryIdentity.magic,
      versions: RepositoryIdentity.version...RepositoryIdentity.version,
      what: "repository's identity", at: store.place(RepositoryIdentity.name)
    ) { _, reader in try reader.read(UInt128.self, "id") }
  }
}
