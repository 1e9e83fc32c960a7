import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Objects as files in a directory: a local disk or a mounted one.
///
/// A file appears under its name only when its bytes are durable. Names ending in `.tmp` are
/// unfinished.
///
/// What is put later is synced and renamed in batches: the first sync of a batch then carries the
/// file system's journal for all, and a directory is synced once a flush, not once a file.
package final class DirectoryStore: ObjectStore {
  package let location: String
  private let fileSystem: any FileSystem
  private let pending = Guarded(Pending())
  /// Held while a batch is published, so that `flush` waits for batches of other threads.
  private let publishing = Guarded(())

  /// A batch is published when it has this many objects or bytes.
  private static let batchObjects = 256
  private static let batchBytes = 256 << 20
  private static let syncThreads = 8
  private static let syncStepBytes = 2 << 20

  /// Objects whose bytes are written but not yet durable under their names.
  private struct Pending: Sendable {
    var files: [PendingFile] = []
    /// The names of `files` and of those being written or published right now.
    var names: Set<String> = []
    /// Folders in which names have changed since the last flush.
    var folders: Set<String> = []
    /// Folders that are known to be there and durable.
    var madeFolders: Set<String> = []
    var bytes = 0
    var failure: StoreError?
  }

  private struct PendingFile: Sendable {
    var name: String
    var temporaryPath: String
    var handle: any FileHandle
  }

  /// The directory must be there.
  package init(_ path: String, fileSystem: any FileSystem) {
    location = path
    self.fileSystem = fileSystem
  }

  deinit {
    // What was put and never flushed, since something else failed. What cannot be removed now is
    // cleared up by `removeUnfinished`.
    for file in pending.withLock({ $0.files }) { try? fileSystem.remove(file.temporaryPath) }
  }

  package func place(_ name: String) -> String { location + "/" + name }

  package func info(_ name: String) throws -> FileInfo? { try fileSystem.info(place(name)) }

  package func names(in folder: String) throws -> [String] {
    guard try fileSystem.exists(place(folder)) else { return [] }
    return try fileSystem.list(place(folder))
  }

  package func get(_ name: String, maximumBytes: Int) throws -> [UInt8] {
    let path = place(name)
    guard try fileSystem.exists(path) else {
      throw StoreError(
        .notFound, "an object is missing from the repository", at: path,
        remedy: Remedy.repository)
    }
    return try fileSystem.readAll(path, maximumBytes: maximumBytes)
  }

  package func create(_ name: String, _ bytes: [UInt8]) throws {
    let path = place(name)
    try makeFolder(directoryName(path))
    let (temporary, handle) = try openTemporary(for: path)
    do {
      try bytes.withUnsafeBytes { try Self.write($0, to: handle) }
      try handle.sync()
      try fileSystem.renameExclusively(temporary, to: path)
    } catch {
      // What cannot be removed now is cleared up by `removeUnfinished`.
      try? fileSystem.remove(temporary)
      throw error
    }
    try fileSystem.syncDirectory(directoryName(path))
  }

  /// In steps, of which each is on its way to the disk while the next is copied.
  private static func write(_ bytes: UnsafeRawBufferPointer, to handle: any FileHandle) throws {
    for start in stride(from: 0, to: bytes.count, by: syncStepBytes) {
      let end = min(start + syncStepBytes, bytes.count)
      try handle.write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: start)
      if end < bytes.count { handle.startSync() }
    }
  }

  package func replace(_ name: String, _ bytes: UnsafeRawBufferPointer) throws {
    let path = place(name)
    try makeFolder(directoryName(path))
    let (temporary, handle) = try openTemporary(for: path)
    do {
      try handle.write(bytes, at: 0)
      try handle.sync()
      try fileSystem.rename(temporary, to: path)
    } catch {
      // What cannot be removed now is cleared up by `removeUnfinished`.
      try? fileSystem.remove(temporary)
      throw error
    }
    try fileSystem.syncDirectory(directoryName(path))
  }

  @discardableResult
  package func delete(_ name: String, durably: Bool) throws -> Bool {
    let path = place(name)
    guard try fileSystem.exists(path) else {
      throw StoreError(.notFound, "there is no such object", at: path)
    }
    try fileSystem.remove(path)
    if durably { try fileSystem.syncDirectory(directoryName(path)) }
    return true
  }

  package func lock(_ name: String, owner: String) throws -> any FileLock {
    try fileSystem.lock(place(name), owner: owner)
  }

  /// Makes a folder of objects and those above it, up to the location, durable; each at most once,
  /// since syncing a directory takes as long as a write. Whoever made them before may have died
  /// before their names were durable.
  private func makeFolder(_ path: String) throws {
    guard path.count > location.count, !pending.withLock({ $0.madeFolders.contains(path) }) else {
      return
    }
    try makeFolder(directoryName(path))
    try fileSystem.createDirectory(path)
    pending.withLock { _ = $0.madeFolders.insert(path) }
  }

  // MARK: Objects put later

  package func isPending(_ name: String) -> Bool { pending.withLock { $0.names.contains(name) } }

  package func putLater(_ name: String, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    let isMine = try pending.withLock { pending in
      if let failure = pending.failure { throw failure }
      return pending.names.insert(name).inserted
    }
    guard isMine else { return false }
    do {
      try makeFolder(directoryName(place(name)))
      let (path, handle) = try openTemporary(for: place(name))
      let isFull: Bool
      do {
        try handle.write(bytes, at: 0)
        handle.startSync()
        isFull = try pending.withLock { pending in
          // Of another thread, meanwhile.
          if let failure = pending.failure { throw failure }
          pending.files.append(PendingFile(name: name, temporaryPath: path, handle: handle))
          pending.bytes += bytes.count
          return pending.files.count >= Self.batchObjects || pending.bytes >= Self.batchBytes
        }
      } catch {
        // What cannot be removed now is cleared up by `removeUnfinished`.
        try? fileSystem.remove(path)
        throw error
      }
      if isFull { try publishBatch() }
      return true
    } catch {
      fail(error)
      throw error
    }
  }

  package func flush(_ folders: [String]) throws {
    try publishBatch()
    let touched = try pending.withLock { pending in
      if let failure = pending.failure { throw failure }
      defer { pending.folders = [] }
      return pending.folders
    }
    // Also for objects that another process renamed and did not live to make durable.
    for folder in touched.union(folders.map(place)).sorted() where try fileSystem.exists(folder) {
      try fileSystem.syncDirectory(folder)
    }
  }

  /// Takes all pending objects and gives them their names once their bytes are durable.
  private func publishBatch() throws { try publishing.withLock { _ in try publishBatchLocked() } }

  private func publishBatchLocked() throws {
    let batch = pending.withLock { pending in
      defer {
        pending.files = []
        pending.bytes = 0
      }
      return pending.files
    }
    do {
      try sync(batch)
      for file in batch { try fileSystem.rename(file.temporaryPath, to: place(file.name)) }
      pending.withLock { pending in
        for file in batch {
          pending.names.remove(file.name)
          pending.folders.insert(directoryName(place(file.name)))
        }
      }
    } catch {
      for file in batch {
        // Those already renamed are not there; the others are cleared up by `removeUnfinished`.
        try? fileSystem.remove(file.temporaryPath)
      }
      fail(error)
      throw error
    }
  }

  /// Makes the bytes of all these durable. Each sync waits for the disk to write out its cache, and
  /// those that wait at the same time wait for the same: so many do.
  private func sync(_ batch: [PendingFile]) throws {
    let next = Atomic(0)
    let failure = Guarded<(any Error)?>(nil)
    let work: @Sendable () -> Void = {
      while failure.withLock({ $0 == nil }) {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < batch.count else { return }
        do { try batch[index].handle.sync() } catch { failure.withLock { $0 = error } }
      }
    }
    if batch.count < Self.syncThreads {
      work()
    } else {
      // They only wait; their priority is that of this thread.
      try LowPriorityThread.perform(Self.syncThreads, yields: false, work)
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  /// After a failure nothing more is published through this value: an object that another thread
  /// took for stored may be missing.
  private func fail(_ error: any Error) {
    let abandoned = pending.withLock { pending in
      pending.failure =
        pending.failure ?? (error as? StoreError)
        ?? StoreError(.inputOutput, "cannot store an object: \(error)", at: location)
      defer {
        pending.files = []
        pending.names = []
        pending.bytes = 0
      }
      return pending.files
    }
    // What cannot be removed now is cleared up by `removeUnfinished`.
    for file in abandoned { try? fileSystem.remove(file.temporaryPath) }
  }

  // MARK: Unfinished files

  /// Opens a new file beside `path` that no other process uses, also where they share a disk.
  private func openTemporary(for path: String) throws -> (path: String, handle: any FileHandle) {
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

  package func removeUnfinished(olderThanMilliseconds limit: Int64) throws -> Int {
    var folders = [location]
    var count = 0
    while let folder = folders.popLast() {
      for name in try fileSystem.list(folder) {
        let path = folder + "/" + name
        guard let info = try fileSystem.info(path) else { continue }
        if info.isDirectory {
          folders.append(path)
        } else if name.hasSuffix(".tmp"), info.modifiedMilliseconds < limit {
          try fileSystem.remove(path)
          count += 1
        }
      }
    }
    return count
  }
}
