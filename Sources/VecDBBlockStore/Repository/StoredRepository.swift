import VecDBBytes
import VecDBFiles

/// A repository in an object store:
///
///     repository                          the marker, see `RepositoryMarker`
///     blocks/<64 hex digits>              a block, named by its SHA-256
///     deltas/<64 hex digits>              a block kept as a difference, see `BlockDelta`
///     manifests/<epoch>/<lsn>             20 decimal digits each
///     log/<epoch>/<first>-<last>          20 decimal digits each
///     epochs/<counter>                    see `EpochClaim`
///     condemned                           see `CondemnedBlock`
///     published/<epoch>, pruned           see `Publications`
///     keys                                of an encrypted repository, see `ObjectCipherSource`
///
/// In an encrypted one all but `repository` and `keys` is encrypted, and blocks have keyed names.
package final class StoredRepository: Repository {
  package var databaseID: UInt128 { marker.databaseID }
  let store: any ObjectStore
  let marker: RepositoryMarker
  let cipher: (any ObjectCipher)?

  package var location: String { store.location }
  package var isEncrypted: Bool { cipher != nil }

  static let keysName = "keys"
  private static let smallObjectBytes = 64 << 10

  private init(_ store: any ObjectStore, _ marker: RepositoryMarker, _ cipher: (any ObjectCipher)?)
  {
    self.store = store
    self.marker = marker
    self.cipher = cipher
  }

  // MARK: Opening

  /// Makes a new repository where there is none; with `encryption`, an encrypted one. Throws
  /// `.alreadyExists`.
  package static func create(
    in store: any ObjectStore, databaseID: UInt128,
    encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    let cipher = try encryption.map { source in
      let (keys, cipher) = try source.makeCipher()
      do { try store.create(keysName, keys) } catch let error as StoreError
        where error.kind == .alreadyExists
      {
        // Of somebody who died before the marker, or who makes the repository right now: there is
        // one data key, whoever comes second uses it.
        return try source.openCipher(
          keys: try store.get(keysName, maximumBytes: smallObjectBytes),
          at: store.place(keysName))
      }
      return cipher
    }
    let marker = RepositoryMarker(
      databaseID: databaseID, isEncrypted: cipher != nil,
      identity: store.isRemote ? UInt128.random(in: 1...UInt128.max) : nil)
    try store.create(RepositoryMarker.name, marker.encode())
    return StoredRepository(store, marker, cipher)
  }

  /// Opens a repository. Throws `.notFound` if there is none; `.invalidArgument` for an encrypted one
  /// without its key, and for a plain one where encryption was asked for.
  package static func open(
    in store: any ObjectStore, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    let place = store.place(RepositoryMarker.name)
    guard try store.info(RepositoryMarker.name) != nil else {
      let what =
        store.isRemote
        ? "there is no backup repository: the bucket has no object 'repository' under this prefix"
        : "the directory is not a backup repository: it has no file 'repository'"
      throw StoreError(
        .notFound, what, at: store.location,
        remedy: "Check the \(store.isRemote ? "address" : "path"); `vecdb backup DB REPO` makes a "
          + "repository.")
    }
    let marker = try RepositoryMarker(
      decoding: try store.get(RepositoryMarker.name, maximumBytes: 4096), at: place)
    switch (marker.isEncrypted, encryption) {
    case (false, nil):
      return StoredRepository(store, marker, nil)
    case (false, .some):
      throw StoreError(
        .invalidArgument, "the repository is not encrypted, but you gave a key",
        at: store.location,
        remedy: "Leave the key out, or use the key for a new repository.")
    case (true, nil):
      throw StoreError(
        .invalidArgument, "the repository is encrypted, but you gave no key", at: store.location,
        remedy: "Give its key file or passphrase.")
    case (true, .some(let source)):
      let keys = try store.get(keysName, maximumBytes: smallObjectBytes)
      return StoredRepository(
        store, marker, try source.openCipher(keys: keys, at: store.place(keysName)))
    }
  }

  /// The object by which the data key is found, for a change of keys.
  package static func keys(in store: any ObjectStore) throws -> [UInt8] {
    try store.get(keysName, maximumBytes: smallObjectBytes)
  }

  package static func replaceKeys(in store: any ObjectStore, with keys: [UInt8]) throws {
    try keys.withUnsafeBytes { try store.replace(keysName, $0) }
  }

  /// Whether a key opens this repository's cipher by other bytes than those it has.
  package func isOpened(by source: (any ObjectCipherSource)?, keys: [UInt8]) throws -> Bool {
    guard let source, let cipher else { return false }
    let other = try source.openCipher(keys: keys, at: store.place(Self.keysName))
    let probe = SHA256.hash(Array("probe".utf8))
    return other.name(of: probe) == cipher.name(of: probe)
  }

  package func removeTemporaries(olderThanMilliseconds limit: Int64) throws -> Int {
    try store.removeUnfinished(olderThanMilliseconds: limit)
  }

  /// Lists anew what is there; no effect where it is looked up anyway.
  package func refresh(_ part: Part = .all) throws {
    switch part {
    case .all: try store.refresh([""])
    case .log(let epoch): try store.refresh([Self.folder(ofLog: epoch)])
    case .epochs: try store.refresh(["epochs/"])
    case .manifests: try store.refresh(["manifests/"])
    }
  }

  package enum Part: Sendable {
    case all, epochs, manifests
    case log(epoch: UInt64)
  }

  package var isRemote: Bool { store.isRemote }
  package var requestsAtOnce: Int { store.requestsAtOnce }
  package var requests: RequestCounts? { store.requests }
  package var clockOffsetMilliseconds: Int64 { store.clockOffsetMilliseconds }
  package var listAgeMilliseconds: Int64 { store.listAgeMilliseconds }
  package var retainedObjects: Int { store.retainedObjects }

  /// Takes the lock that allows one prune at a time.
  package func lockForPruning(owner: String) throws -> any FileLock {
    try store.lock("prune.lock", owner: owner)
  }

  // MARK: Objects

  func get(_ name: String, maximumBytes: Int) throws -> [UInt8] {
    let bytes = try store.get(name, maximumBytes: maximumBytes + (cipher?.overheadBytes ?? 0))
    return try cipher?.open(bytes, as: name, at: store.place(name)) ?? bytes
  }

  func create(_ name: String, _ bytes: [UInt8]) throws {
    try store.create(name, try sealed(bytes, as: name))
  }

  func replace(_ name: String, _ bytes: UnsafeRawBufferPointer) throws {
    guard let cipher else { return try store.replace(name, bytes) }
    try cipher.seal(bytes, as: name).withUnsafeBytes { try store.replace(name, $0) }
  }

  /// Returns how many bytes were stored; 0 if another thread is storing the same object.
  func putLater(_ name: String, _ bytes: UnsafeRawBufferPointer) throws -> Int {
    guard let cipher else { return try store.putLater(name, bytes) ? bytes.count : 0 }
    let sealed = try cipher.seal(bytes, as: name)
    return try sealed.withUnsafeBytes { try store.putLater(name, $0) } ? sealed.count : 0
  }

  private func sealed(_ bytes: [UInt8], as name: String) throws -> [UInt8] {
    guard let cipher else { return bytes }
    return try bytes.withUnsafeBytes { try cipher.seal($0, as: name) }
  }
}
