import Bytes
import Files

/// A repository in a directory:
///
///     repository                          the marker, see `RepositoryMarker`
///     blocks/<64 hex digits>              a block, named by its SHA-256
///     manifests/<epoch>/<lsn>             20 decimal digits each
///     log/<epoch>/<first>-<last>          20 decimal digits each
///     epochs/<counter>                    see `EpochClaim`
///
/// A file appears under its name only when its bytes are durable. Names ending in `.tmp` are
/// unfinished; `removeTemporaries` clears up those of processes that died.
///
/// Blocks are synced and renamed in batches: the first sync of a batch then carries the file
/// system's journal for all, and the directory is synced once per publication, not per block.
package final class DirectoryRepository: Repository {
  package let databaseID: UInt128
  package let location: String
  let fileSystem: any FileSystem
  let blocksDirectory: String
  let manifestsDirectory: String
  let logDirectory: String
  let epochsDirectory: String
  let pending = Guarded(Pending())
  /// Held while a batch is published, so that `synchronize` waits for batches of other threads.
  let publishing = Guarded(())

  /// Blocks whose bytes are written but not yet durable under their names.
  struct Pending: Sendable {
    var files: [PendingBlock] = []
    /// The names of `files` and of those being written or published right now.
    var hashes: Set<Digest> = []
    var bytes = 0
    var failure: StoreError?
  }

  struct PendingBlock: Sendable {
    var hash: Digest
    var temporaryPath: String
    var handle: any FileHandle
  }

  private init(path: String, databaseID: UInt128, fileSystem: any FileSystem) throws {
    location = path
    self.databaseID = databaseID
    self.fileSystem = fileSystem
    blocksDirectory = path + "/blocks"
    manifestsDirectory = path + "/manifests"
    logDirectory = path + "/log"
    epochsDirectory = path + "/epochs"
    for folder in [blocksDirectory, manifestsDirectory, logDirectory, epochsDirectory] {
      if try !fileSystem.exists(folder) { try fileSystem.createDirectory(folder) }
    }
  }

  /// Makes a new repository in a directory that is missing or empty. Throws `.alreadyExists` for
  /// anything else.
  package static func create(
    _ path: String, databaseID: UInt128, fileSystem: any FileSystem
  ) throws -> DirectoryRepository {
    if let info = try fileSystem.info(path) {
      guard info.isDirectory else {
        throw StoreError(
          .alreadyExists, "a repository must be a directory; this is a file", at: path,
          remedy: "Name another place.")
      }
      guard try fileSystem.list(path).allSatisfy({ $0.hasPrefix(RepositoryMarker.fileName + ".") })
      else {
        throw StoreError(
          .alreadyExists, "the directory is not empty and is not a repository made by vecdb",
          at: path, remedy: "Name an empty or a new directory.")
      }
    }
    try fileSystem.createDirectory(path)
    try publish(
      RepositoryMarker(databaseID: databaseID).encode(),
      as: path + "/" + RepositoryMarker.fileName, fileSystem: fileSystem)
    return try DirectoryRepository(path: path, databaseID: databaseID, fileSystem: fileSystem)
  }

  /// Opens a repository; `.notFound` if there is none at that path.
  package static func open(
    _ path: String, fileSystem: any FileSystem
  ) throws -> DirectoryRepository {
    let marker = path + "/" + RepositoryMarker.fileName
    guard let info = try fileSystem.info(path), info.isDirectory else {
      throw StoreError(
        .notFound, "there is no backup repository", at: path,
        remedy: "Check the path; `vecdb backup DB REPO` makes a repository.")
    }
    guard try fileSystem.exists(marker) else {
      throw StoreError(
        .notFound, "the directory is not a backup repository: it has no file 'repository'",
        at: path, remedy: "Check the path; `vecdb backup DB REPO` makes a repository.")
    }
    let bytes = try fileSystem.readAll(marker, maximumBytes: 4096)
    let decoded = try RepositoryMarker(decoding: bytes, at: marker)
    return try DirectoryRepository(
      path: path, databaseID: decoded.databaseID, fileSystem: fileSystem)
  }

  /// Opens the repository of a database, or makes it. Throws `.invalidArgument` if it holds
  /// another database's backups.
  package static func openOrCreate(
    _ path: String, databaseID: UInt128, fileSystem: any FileSystem
  ) throws -> DirectoryRepository {
    guard try fileSystem.exists(path + "/" + RepositoryMarker.fileName) else {
      return try create(path, databaseID: databaseID, fileSystem: fileSystem)
    }
    let repository = try open(path, fileSystem: fileSystem)
    guard repository.databaseID == databaseID else {
      throw StoreError(
        .invalidArgument, "the repository holds backups of another database", at: path,
        remedy: "Back this database up to a repository of its own.")
    }
    return repository
  }

  /// Removes unfinished files last written before a moment, in milliseconds since 1970; they
  /// belong to processes that died. Returns how many.
  package func removeTemporaries(olderThanMilliseconds limit: Int64) throws -> Int {
    var folders = [location, blocksDirectory, epochsDirectory]
    for parent in [manifestsDirectory, logDirectory] {
      folders += try fileSystem.list(parent).map { parent + "/" + $0 }
    }
    var count = 0
    for folder in folders where try fileSystem.info(folder)?.isDirectory == true {
      for name in try fileSystem.list(folder) where name.hasSuffix(".tmp") {
        let path = folder + "/" + name
        guard let info = try fileSystem.info(path), info.modifiedMilliseconds < limit else {
          continue
        }
        try fileSystem.remove(path)
        count += 1
      }
    }
    return count
  }
}

extension DirectoryRepository {
  /// Opens a new file beside `path` that no other process uses, also where they share a disk.
  static func openTemporary(
    for path: String, fileSystem: any FileSystem
  ) throws -> (path: String, handle: any FileHandle) {
    for attempt in 0..<1000 {
      let temporary = "\(path).\(attempt).tmp"
      do {
        return (temporary, try fileSystem.open(temporary, .createNew))
      } catch let error as StoreError where error.kind == .alreadyExists {
        continue
      }
    }
    throw StoreError(
      .alreadyExists, "there are too many unfinished files", at: path,
      remedy: "Remove the files ending in .tmp while no backup is running.")
  }

  /// Publishes a file that must not be there yet; durable on return.
  static func publish(_ bytes: [UInt8], as path: String, fileSystem: any FileSystem) throws {
    let (temporary, handle) = try openTemporary(for: path, fileSystem: fileSystem)
    do {
      try bytes.withUnsafeBytes { try handle.write($0, at: 0) }
      try handle.sync()
      try fileSystem.renameExclusively(temporary, to: path)
    } catch {
      // What cannot be removed now is cleared up by `removeTemporaries`.
      try? fileSystem.remove(temporary)
      throw error
    }
    try fileSystem.syncDirectory(directoryName(path))
  }
}
