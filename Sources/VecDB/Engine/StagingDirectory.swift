import Glibc
import Logging
import VecDBFiles

/// A directory in which a database is built before it becomes live in one step.
///
/// It lies beside its target and is locked as long as somebody works in it, so any number of
/// processes build at once. What one that was killed leaves behind is not locked, and `sweep`
/// removes it.
final class StagingDirectory: Sendable {
  let target: DatabaseDirectory
  let directory: DatabaseDirectory
  private let name: StagingName
  private let files: any FileSystem
  private let logger: Logger
  let lock: any FileLock

  var path: String { directory.path }
  var records: String { directory.records }

  /// Sweeps what is left of others, then makes an empty directory for `target` and locks it.
  init(
    for target: String, _ purpose: StagingName.Purpose, _ files: any FileSystem, _ logger: Logger
  ) throws {
    name = StagingName(beside: target)
    self.target = DatabaseDirectory(path: target)
    self.files = files
    self.logger = logger
    try StagingSweep(target, files, logger).run()
    (directory, lock) = try Self.make(name, purpose, files)
  }

  private static func make(
    _ name: StagingName, _ purpose: StagingName.Purpose, _ files: any FileSystem
  ) throws -> (DatabaseDirectory, any FileLock) {
    while true {
      let directory = DatabaseDirectory(path: name.fresh(purpose))
      try files.createDirectory(directory.path)
      do {
        return (directory, try files.lock(directory.lockFile, owner: "process \(getpid())"))
      } catch let error as StoreError where error.kind == .locked || error.kind == .notFound {
        // Somebody swept it before it was locked: again, under another name.
      }
    }
  }

  /// Makes the finished database live where nothing, or an empty directory, is.
  ///
  /// - Returns: The lock of the database, which nobody else could take since.
  /// - Throws: `alreadyExists` and others, and then nothing is live and this directory is gone.
  func publish() throws -> any FileLock {
    do {
      try files.syncDirectory(path)
      if try files.info(target.path)?.isDirectory == true {
        // The kernel replaces an empty directory, and no other.
        try files.rename(path, to: target.path)
      } else {
        try files.renameExclusively(path, to: target.path)
      }
    } catch {
      discard()
      throw error
    }
    do { try files.syncDirectory(name.parent) } catch {
      undo { try files.renameExclusively(target.path, to: path) }
      throw error
    }
    return lock
  }

  /// Takes back a step that may not be durable; what was built goes once it is sure not to be needed.
  private func undo(_ step: () throws -> Void) {
    do {
      try step()
      try files.syncDirectory(name.parent)
    } catch {
      logger.info(
        "cannot remove a directory that could not be made durable",
        metadata: ["path": "\(path)", "error": "\(error)"])
      return lock.unlock()
    }
    discard()
  }

  /// Makes the finished database live in the place of an older one, which is removed.
  ///
  /// - Parameter lock: of the older one, nil to take it here. It is released.
  /// - Returns: The lock of the new one.
  /// - Throws: Then the older one is as it was, and this directory is gone.
  func replace(holding lock: (any FileLock)? = nil) throws -> any FileLock {
    var older = lock
    do {
      guard try Opening.isDatabase(target, files) else {
        throw StoreError(
          .invalidArgument, "the path is not a database, so vecdb does not replace it",
          at: target.path, remedy: "Choose another path, or move it away.")
      }
      older =
        try older
        ?? BriefOwners.waiting { try files.lock(target.lockFile, owner: "process \(getpid())") }
      try files.syncDirectory(path)
    } catch {
      discard()
      throw error
    }
    defer { older?.unlock() }
    let away = try exchange()
    // The older copy may go only when the new name is sure to stay.
    do { try files.syncDirectory(name.parent) } catch {
      if away == path { undo { _ = try files.exchange(path, with: target.path) } }
      throw error
    }
    removeReplaced(away)
    return self.lock
  }

  /// Returns where the older copy now is.
  private func exchange() throws -> String {
    do {
      if try files.exchange(path, with: target.path) { return path }
    } catch {
      discard()
      throw error
    }
    return try ReplacementMarker(name, files).replace(target.path, by: path)
  }

  private func removeReplaced(_ away: String) {
    do {
      // What somebody else has put into the directory stays where it was.
      for entry in try files.list(away) where !DatabaseDirectory.isOwn(entry) {
        try files.renameExclusively(away + "/" + entry, to: target.path + "/" + entry)
      }
      try StagingSweep.remove(DatabaseDirectory(path: away), files, logger)
    } catch {
      // The next sweep takes it up.
      logger.info(
        "cannot remove the replaced copy yet", metadata: ["path": "\(path)", "error": "\(error)"])
    }
  }

  /// Removes what was built.
  func discard() {
    do { try files.removeTree(path) } catch {
      logger.info(
        "cannot remove an unfinished directory yet",
        metadata: ["path": "\(path)", "error": "\(error)"])
    }
    lock.unlock()
  }
}
