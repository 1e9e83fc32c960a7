import Logging
import VecDBFiles

/// Removes what processes that were killed have left beside a database.
///
/// It removes only what vecdb made: directories under a name of `StagingName` that nobody has
/// locked, and in them only what vecdb puts there.
struct StagingSweep {
  private let target: String
  private let files: any FileSystem
  private let logger: Logger

  init(_ target: String, _ files: any FileSystem, _ logger: Logger) {
    self.target = target
    self.files = files
    self.logger = logger
  }

  /// Finishes a replacement that was interrupted, and sweeps. What cannot be removed stays; only an
  /// unfinished replacement that cannot be finished is an error.
  func run() throws {
    let name = StagingName(beside: target)
    try ReplacementMarker(name, files).finish(target)
    let left: [String]
    do {
      left = name.own(among: try files.list(name.parent))
      if left.isEmpty { return }
      // A copy that was replaced may go only when the name of the new one is sure to stay.
      try files.syncDirectory(name.parent)
    } catch {
      return logger.info(
        "cannot look for unfinished directories",
        metadata: ["path": "\(target)", "error": "\(error)"])
    }
    for entry in left {
      let directory = DatabaseDirectory(path: name.folder + entry)
      do {
        let lock = try files.lock(directory.lockFile, owner: "a sweep")
        defer { lock.unlock() }
        try Self.remove(directory, files, logger)
        logger.info(
          "removed what a dead process had left", metadata: ["path": "\(directory.path)"])
      } catch let error as StoreError where error.kind == .locked || error.kind == .notFound {
        // In use, or swept by another process meanwhile.
        continue
      } catch {
        logger.info(
          "cannot remove what a dead process had left",
          metadata: ["path": "\(directory.path)", "error": "\(error)"])
      }
    }
  }

  /// Removes what vecdb has made in a directory, and the directory if nothing else is in it.
  static func remove(
    _ directory: DatabaseDirectory, _ files: any FileSystem, _ logger: Logger
  ) throws {
    let foreign = try files.list(directory.path).filter { !DatabaseDirectory.isOwn($0) }
    if foreign.isEmpty { return try files.removeTree(directory.path) }
    for entry in try files.list(directory.path) where DatabaseDirectory.isOwn(entry) {
      try files.removeTree(directory.path + "/" + entry)
    }
    logger.info(
      "a directory stays, with files that vecdb did not make",
      metadata: [
        "path": "\(directory.path)", "files": "\(foreign.joined(separator: ", "))",
      ])
  }
}
