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
  package let databaseID: UInt128
  let store: any ObjectStore
  let cipher: (any ObjectCipher)?

  package var location: String { store.location }
  package var isEncrypted: Bool { cipher != nil }

  static let keysName = "keys"
  private static let smallObjectBytes = 64 << 10

  private init(_ store: any ObjectStore, databaseID: UInt128, cipher: (any ObjectCipher)?) {
    self.store = store
    self.databaseID = databaseID
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
    let marker = RepositoryMarker(databaseID: databaseID, isEncrypted: cipher != nil)
    try store.create(RepositoryMarker.name, marker.encode())
    return StoredRepository(store, databaseID: databaseID, cipher: cipher)
  }

  /// Opens a repository. Throws `.notFound` if there is none; `.invalidArgument` for an encrypted one
  /// without its key, and for a plain one where encryption was asked for.
  package static func open(
    in store: any ObjectStore, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    let place = store.place(RepositoryMarker.name)
    guard try store.info(RepositoryMarker.name) != nil else {
      throw StoreError(
        .notFound, "the directory is not a backup repository: it has no file 'repository'",
        at: store.location,
        remedy: "Check the path; `vecdb backup DB REPO` makes a repository.")
    }
    let marker = try RepositoryMarker(
      decoding: try store.get(RepositoryMarker.name, maximumBytes: 4096), at: place)
    switch (marker.isEncrypted, encryption) {
    case (false, nil):
      return StoredRepository(store, databaseID: marker.databaseID, cipher: nil)
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
        store, databaseID: marker.databaseID,
        cipher: try source.openCipher(keys: keys, at: store.place(keysName)))
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

// MARK: In a directory

extension StoredRepository {
  /// Makes a new repository in a directory that is missing or empty. Throws `.alreadyExists` for
  /// anything else.
  package static func create(
    _ path: String, databaseID: UInt128, fileSystem: any FileSystem,
    encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    if let info = try fileSystem.info(path) {
      guard info.isDirectory else {
        throw StoreError(
          .alreadyExists, "a repository must be a directory; this is a file", at: path,
          remedy: "Name another place.")
      }
      // What a process that died left of making one does not count.
      // Neither does what `mkfs` puts into the root of a file system.
      let beginnings = [RepositoryMarker.name + ".", keysName, "lost+found"]
      guard
        try fileSystem.list(path).allSatisfy({ name in beginnings.contains { name.hasPrefix($0) } })
      else {
        throw StoreError(
          .alreadyExists, "the directory is not empty and is not a repository made by vecdb",
          at: path, remedy: "Name an empty or a new directory.")
      }
    }
    try fileSystem.createDirectory(path)
    return try create(
      in: DirectoryStore(path, fileSystem: fileSystem), databaseID: databaseID,
      encryption: encryption)
  }

  /// Opens a repository; `.notFound` if there is none at that path.
  package static func open(
    _ path: String, fileSystem: any FileSystem, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    guard let info = try fileSystem.info(path), info.isDirectory else {
      throw StoreError(
        .notFound, "there is no backup repository", at: path,
        remedy: "Check the path; `vecdb backup DB REPO` makes a repository.")
    }
    return try open(in: DirectoryStore(path, fileSystem: fileSystem), encryption: encryption)
  }

  /// Opens the repository of a database, or makes it. Throws `.invalidArgument` if it holds
  /// another database's backups.
  package static func openOrCreate(
    _ path: String, databaseID: UInt128, fileSystem: any FileSystem,
    encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    guard try fileSystem.exists(path + "/" + RepositoryMarker.name) else {
      do {
        return try create(
          path, databaseID: databaseID, fileSystem: fileSystem, encryption: encryption)
      } catch let error as StoreError where error.kind == .alreadyExists {
        // Another backup may have been faster.
        guard try fileSystem.exists(path + "/" + RepositoryMarker.name) else { throw error }
        return try openOrCreate(
          path, databaseID: databaseID, fileSystem: fileSystem, encryption: encryption)
      }
    }
    let repository = try open(path, fileSystem: fileSystem, encryption: encryption)
    guard repository.databaseID == databaseID else {
      throw StoreError(
        .invalidArgument, "the repository holds backups of another database", at: path,
        remedy:
          "Back this database up to a repository of its own. A copy that you restored from this "
          + "repository can use it only if you restored with --continue.")
    }
    return repository
  }
}
