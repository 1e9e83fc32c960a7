import CVecDBSQLite
import Glibc
import Synchronization
import VecDBFiles

/// A SQLite VFS whose files are on one simulated disk, for as long as that disk has power.
///
/// It orders its operations as SQLite's own VFS for Unix does: a new journal or WAL has its
/// directory synced with its first sync, a deletion when SQLite asks for it, and the database's
/// own name never.
final class SimulatedVFS {
  let name: String
  private let vfs: UnsafeMutablePointer<sqlite3_vfs>

  private static let counter = Atomic<Int>(0)

  /// What SQLite hands back to the functions below. It does not keep the disk alive.
  final class Context {
    weak var disk: SimulatedDisk?
    let generation: Int

    init(disk: SimulatedDisk, generation: Int) {
      self.disk = disk
      self.generation = generation
    }
  }

  init(disk: SimulatedDisk, generation: Int) {
    let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
    name = "vecdb-simulated-\(number)"
    // Never freed: connections keep pointers to it, also after it is unregistered.
    vfs = .allocate(capacity: 1)
    let context = Unmanaged.passRetained(Context(disk: disk, generation: generation))
    var table = sqlite3_vfs()
    table.iVersion = 2
    table.szOsFile = Int32(MemoryLayout<VFSFile.Slot>.size)
    table.mxPathname = 1024
    table.zName = UnsafePointer(strdup(name))
    table.pAppData = context.toOpaque()
    table.xOpen = openFile
    table.xDelete = deleteFile
    table.xAccess = accessFile
    table.xFullPathname = fullPathname
    table.xDlOpen = { _, _ in nil }
    table.xDlError = { _, count, text in if count > 0 { text?.pointee = 0 } }
    table.xDlSym = { _, _, _ in nil }
    table.xDlClose = { _, _ in }
    table.xRandomness = randomness
    table.xSleep = { _, microseconds in
      usleep(UInt32(max(0, min(microseconds, 1000))))
      return microseconds
    }
    table.xCurrentTime = { vfs, days in
      days?.pointee = Double(julianMilliseconds(vfs)) / 86_400_000
      return SQLITE_OK
    }
    table.xGetLastError = { _, _, _ in 0 }
    table.xCurrentTimeInt64 = { vfs, milliseconds in
      milliseconds?.pointee = julianMilliseconds(vfs)
      return SQLITE_OK
    }
    vfs.initialize(to: table)
    sqlite3_vfs_register(vfs, 0)
  }

  func unregister() { sqlite3_vfs_unregister(vfs) }
}

private func context(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> SimulatedVFS.Context? {
  guard let data = vfs?.pointee.pAppData else { return nil }
  return Unmanaged<SimulatedVFS.Context>.fromOpaque(data).takeUnretainedValue()
}

/// SQLite counts from noon of 24 November 4714 BC.
private func julianMilliseconds(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> sqlite3_int64 {
  guard let disk = context(vfs)?.disk else { return 0 }
  return disk.lock.withLock { disk.clockMilliseconds } + 210_866_760_000_000
}

private func randomness(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ count: Int32, _ out: UnsafeMutablePointer<CChar>?
) -> Int32 {
  guard let out, let disk = context(vfs)?.disk else { return 0 }
  disk.lock.withLock {
    for index in 0..<Int(count) { out[index] = CChar(truncatingIfNeeded: disk.random.next()) }
  }
  return count
}

private func openFile(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
  _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
  // Without methods SQLite does not call xClose after a failure.
  file?.pointee.pMethods = nil
  guard let file, let context = context(vfs), let disk = context.disk else {
    return SQLITE_CANTOPEN
  }
  let path = name.map { String(cString: $0) }
  do {
    let opened = try VFSFile(disk: disk, generation: context.generation, path: path, flags: flags)
    VFSFile.install(opened, in: file)
    outFlags?.pointee = flags
    return SQLITE_OK
  } catch let error as StoreError where error.kind == .diskFull {
    return SQLITE_FULL
  } catch {
    return SQLITE_CANTOPEN
  }
}

private func deleteFile(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ syncDirectory: Int32
) -> Int32 {
  guard let name, let context = context(vfs), let disk = context.disk else {
    return IOErrorCode.delete
  }
  let path = String(cString: name)
  do {
    try disk.lock.withLock {
      try disk.removeFile(path, generation: context.generation)
      if syncDirectory != 0, let (directory, _) = disk.tree.parent(path) {
        try disk.sync(directory, directoryName(path), generation: context.generation)
      }
    }
    return SQLITE_OK
  } catch let error as StoreError where error.kind == .notFound {
    return IOErrorCode.deleteMissing
  } catch {
    return IOErrorCode.delete
  }
}

private func accessFile(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ flags: Int32,
  _ result: UnsafeMutablePointer<Int32>?
) -> Int32 {
  guard let name, let context = context(vfs), let disk = context.disk else {
    return IOErrorCode.access
  }
  return disk.lock.withLock {
    guard disk.isAlive(context.generation) else { return IOErrorCode.access }
    // As on Unix, an empty file does not exist for SQLite: it may be a journal being created.
    let file = disk.tree.file(String(cString: name))
    let isThere = file.map { flags != SQLITE_ACCESS_EXISTS || !$0.contents.isEmpty } ?? false
    result?.pointee = isThere ? 1 : 0
    return SQLITE_OK
  }
}

private func fullPathname(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ count: Int32,
  _ out: UnsafeMutablePointer<CChar>?
) -> Int32 {
  guard let name, let out else { return SQLITE_CANTOPEN }
  let path = "/" + DirectoryTree.components(String(cString: name)).joined(separator: "/")
  let bytes = Array(path.utf8CString)
  guard bytes.count <= Int(count) else { return SQLITE_CANTOPEN }
  for (index, byte) in bytes.enumerated() { out[index] = byte }
  return SQLITE_OK
}
