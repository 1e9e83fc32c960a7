import CVecDBSQLite
import VecDBFiles

/// A file that SQLite has open on a simulated disk.
final class VFSFile {
  /// What SQLite allocates for an open file: its own part first, then the object.
  struct Slot {
    var base: sqlite3_file
    var object: Unmanaged<VFSFile>?
  }

  let disk: SimulatedDisk
  let generation: Int
  /// nil for a temporary file without a name, which has no faults and is no operation.
  let path: String?
  let file: FileNode
  private let deleteOnClose: Bool
  private var directoryToSync: String?
  var keepsWAL: Int32 = 0
  private var sharedMemory: SharedMemory?

  private var id: ObjectIdentifier { ObjectIdentifier(self) }

  init(disk: SimulatedDisk, generation: Int, path: String?, flags: Int32) throws {
    self.disk = disk
    self.generation = generation
    self.path = path
    deleteOnClose = flags & SQLITE_OPEN_DELETEONCLOSE != 0
    guard let path else {
      file = FileNode(modifiedMilliseconds: 0)
      return
    }
    let isNew: Bool
    (file, isNew) = try disk.lock.withLock {
      let isThere = disk.tree[path] != nil
      if isThere, flags & SQLITE_OPEN_EXCLUSIVE == 0 || flags & SQLITE_OPEN_CREATE == 0 {
        return (try disk.existingFile(path, generation: generation), false)
      }
      guard flags & SQLITE_OPEN_CREATE != 0, !isThere else {
        throw StoreError(.notFound, "cannot open the file", at: path)
      }
      return (try disk.createFile(path, generation: generation), true)
    }
    let journals = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL
    if isNew, flags & journals != 0 { directoryToSync = directoryName(path) }
  }

  func close() {
    disk.lock.withLock {
      file.locks.unlock(id, SQLITE_LOCK_NONE)
      leaveSharedMemory()
    }
    if deleteOnClose, let path {
      // A file that the power failure leaves behind is what DELETEONCLOSE allows.
      _ = try? disk.lock.withLock { try disk.removeFile(path, generation: generation) }
    }
  }

  func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
    if let path {
      return try disk.read(file, path, generation: generation, at: offset, into: buffer)
    }
    return disk.lock.withLock { disk.copy(file, at: offset, into: buffer) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    if let path {
      return try disk.write(bytes, to: file, path, generation: generation, at: offset)
    }
    disk.lock.withLock {
      file.write(Array(bytes), at: offset)
      file.sync()
    }
  }

  func truncate(to sizeBytes: Int) throws {
    if let path {
      return try disk.truncate(file, path, generation: generation, to: sizeBytes)
    }
    disk.lock.withLock {
      file.truncate(to: sizeBytes)
      file.sync()
    }
  }

  func sync() throws {
    guard let path else { return }
    try disk.sync(file, path, generation: generation)
    guard let name = directoryToSync else { return }
    try disk.lock.withLock {
      guard let directory = disk.tree.directory(name) else { return }
      try disk.sync(directory, name, generation: generation)
    }
    directoryToSync = nil
  }

  func sizeBytes() throws -> Int {
    try disk.sizeBytes(file, path ?? "", generation: generation)
  }

  func lock(_ level: Int32) -> Int32 {
    disk.lock.withLock {
      disk.isAlive(generation) ? file.locks.lock(id, level) : IOErrorCode.lock
    }
  }

  func unlock(_ level: Int32) {
    disk.lock.withLock { file.locks.unlock(id, level) }
  }

  func isReserved() -> Bool { disk.lock.withLock { file.locks.isReserved } }

  var sectorSizeBytes: Int32 { Int32(disk.options.sectorSizeBytes) }

  var characteristics: Int32 {
    disk.options.powersafeOverwrite ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0
  }

  // MARK: Shared memory

  func region(
    _ index: Int, sizeBytes: Int, extend: Bool, _ out: inout UnsafeMutableRawPointer?
  ) -> Int32 {
    disk.lock.withLock {
      guard disk.isAlive(generation) else { return IOErrorCode.sharedMemoryMap }
      let memory = sharedMemory ?? file.sharedMemory ?? SharedMemory()
      memory.join(id)
      sharedMemory = memory
      file.sharedMemory = memory
      out = memory.region(index, sizeBytes: sizeBytes, extend: extend)
      return SQLITE_OK
    }
  }

  func lockSharedMemory(first: Int32, count: Int32, flags: Int32) -> Int32 {
    disk.lock.withLock {
      guard let sharedMemory else { return IOErrorCode.sharedMemoryLock }
      guard disk.isAlive(generation) || flags & SQLITE_SHM_UNLOCK != 0 else {
        return IOErrorCode.sharedMemoryLock
      }
      return sharedMemory.lock(id, first: first, count: count, flags: flags)
    }
  }

  func unmapSharedMemory() { disk.lock.withLock { leaveSharedMemory() } }

  private func leaveSharedMemory() {
    guard let memory = sharedMemory else { return }
    memory.leave(id)
    // After the death of a process the file may have memory of another.
    if memory.holders.isEmpty, file.sharedMemory === memory { file.sharedMemory = nil }
    sharedMemory = nil
  }

  // MARK: Inside SQLite's structure

  static func install(_ object: VFSFile, in file: UnsafeMutablePointer<sqlite3_file>) {
    let methods =
      object.disk.options.sharedMemory ? VFSMethods.shared : VFSMethods.withoutSharedMemory
    UnsafeMutableRawPointer(file).assumingMemoryBound(to: Slot.self)
      .initialize(
        to: Slot(base: sqlite3_file(pMethods: methods), object: .passRetained(object)))
  }

  static func of(_ file: UnsafeMutablePointer<sqlite3_file>?) -> VFSFile? {
    guard let file else { return nil }
    return UnsafeMutableRawPointer(file).assumingMemoryBound(to: Slot.self).pointee.object?
      .takeUnretainedValue()
  }

  /// Takes the object out of the structure; it goes with the last reference.
  static func remove(from file: UnsafeMutablePointer<sqlite3_file>) {
    let slot = UnsafeMutableRawPointer(file).assumingMemoryBound(to: Slot.self)
    slot.pointee.object?.release()
    slot.pointee.object = nil
  }
}
