import Logging
import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A directory in which a copy was being built when that was broken off, and its lock.
struct PartialCopy: Sendable {
  let directory: DatabaseDirectory
  let lock: any FileLock
}

/// What is left of attempts to fetch a copy, so that the next one fetches only what is missing.
///
/// It holds one directory at most, that with the most in it, and its lock, so that no sweep takes it.
/// A process that ends leaves the directory; the next one that follows takes it up with `claim`, and
/// one that opens the database without following sweeps it.
package final class PartialCopies: Sendable {
  private let path: String
  private let files: any FileSystem
  private let logger: Logger
  private let held = Guarded<(copy: PartialCopy, blocks: NearbyBlocks)?>(nil)

  package init(path: String, files: any FileSystem, logger: Logger) {
    self.path = path
    self.files = files
    self.logger = logger
  }

  deinit { release() }

  /// Leaves what is there to the next process.
  package func release() {
    let copy = held.withLock { held -> PartialCopy? in
      defer { held = nil }
      return held?.copy
    }
    copy?.lock.unlock()
  }

  /// Takes up what a process that ended has left. What cannot be taken up is left to the sweep.
  package func claim() {
    let name = StagingName(beside: path)
    let entries: [String]
    do { entries = try files.list(name.parent) } catch {
      return logger.info(
        "cannot look for the blocks of an earlier fetch", metadata: ["error": "\(error)"])
    }
    for entry in name.own(among: entries, .following) {
      let directory = DatabaseDirectory(path: name.folder + entry)
      do {
        let lock = try files.lock(directory.lockFile, owner: "a copy in the making")
        keep(PartialCopy(directory: directory, lock: lock))
      } catch let error as StoreError where error.kind == .locked || error.kind == .notFound {
        // Another process makes a copy there, or has just swept it.
        continue
      } catch {
        logger.info("cannot continue an earlier fetch", metadata: ["error": "\(error)"])
      }
    }
  }

  /// Keeps what has the most, and removes the other.
  func keep(_ copy: PartialCopy) {
    do {
      let blocks = try NearbyBlocks(partial: copy.directory, files, logger)
      let other = held.withLock { held -> PartialCopy? in
        if let present = held, present.blocks.contentBytes >= blocks.contentBytes { return copy }
        defer { held = (copy, blocks) }
        return held?.copy
      }
      if let other { remove(other) }
    } catch {
      logger.info("cannot use the blocks of an earlier fetch", metadata: ["error": "\(error)"])
      remove(copy)
    }
  }

  /// The blocks that were fetched before; nil if there are none.
  func blocks() -> NearbyBlocks? { held.withLock { $0?.blocks } }

  /// The copy is there, or is not wanted any more.
  package func discard() {
    let copy = held.withLock { held -> PartialCopy? in
      defer { held = nil }
      return held?.copy
    }
    if let copy { remove(copy) }
  }

  private func remove(_ copy: PartialCopy) {
    do { try StagingSweep.remove(copy.directory, files, logger) } catch {
      logger.info("cannot remove an unfinished copy yet", metadata: ["error": "\(error)"])
    }
    copy.lock.unlock()
  }
}

extension StagingDirectory {
  /// Leaves what was built where it is, still locked, for whoever takes it up.
  func leave() -> PartialCopy { PartialCopy(directory: directory, lock: lock) }
}
