import VecDBFiles

/// Repositories by their places: a directory, or a bucket.
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
    if RepositoryPlace.isRemote(path) {
      return try open(
        RepositoryPlace(path, fileSystem: fileSystem), encryption: encryption)
    }
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
    if RepositoryPlace.isRemote(path) {
      return try openOrCreate(
        RepositoryPlace(path, fileSystem: fileSystem), databaseID: databaseID,
        encryption: encryption)
    }
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
    return try open(path, fileSystem: fileSystem, encryption: encryption).requiring(databaseID)
  }

  private func requiring(_ databaseID: UInt128) throws -> StoredRepository {
    guard self.databaseID == databaseID else {
      throw StoreError(
        .invalidArgument, "the repository holds backups of another database", at: location,
        remedy:
          "Back this database up to a repository of its own. A copy that you restored from this "
          + "repository can use it only if you restored with --continue.")
    }
    return self
  }

  // MARK: In a place

  package static func open(
    _ place: RepositoryPlace, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    switch place.kind {
    case .directory(let fileSystem):
      try open(place.address, fileSystem: fileSystem, encryption: encryption)
    case .bucket(let store): try open(in: store, encryption: encryption)
    }
  }

  /// Opens the repository of a database, or makes it. Throws `.invalidArgument` if it holds another
  /// database's backups.
  package static func openOrCreate(
    _ place: RepositoryPlace, databaseID: UInt128, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    switch place.kind {
    case .directory(let fileSystem):
      return try openOrCreate(
        place.address, databaseID: databaseID, fileSystem: fileSystem, encryption: encryption)
    case .bucket(let store):
      return try openOrCreate(in: store, databaseID: databaseID, encryption: encryption)
    }
  }

  /// As above, in a bucket.
  package static func openOrCreate(
    in store: BucketStore, databaseID: UInt128, encryption: (any ObjectCipherSource)? = nil
  ) throws -> StoredRepository {
    if try store.info(RepositoryMarker.name) == nil {
      // What a process that died left of making one does not count.
      guard try store.isEmptyPlace(but: [BucketProbe.prefix, keysName]) else {
        throw StoreError(
          .alreadyExists, "there are objects under this prefix, and no repository made by vecdb",
          at: store.location, remedy: "Name an empty or a new prefix.")
      }
      do {
        return try create(in: store, databaseID: databaseID, encryption: encryption)
      } catch let error as StoreError where error.kind == .alreadyExists {
        // Another backup may have been faster.
        try store.refresh([""])
      }
    }
    return try open(in: store, encryption: encryption).requiring(databaseID)
  }
}
