import CVecDBSQLite
import Glibc
import Synchronization
import VecDBBytes
import VecDBFiles

/// A SQLite VFS in front of another one that ends each page of a main file with a checksum: set
/// when the page is written there, compared whenever it is read. `plain` is one without checksums.
///
/// Either calls what the system refuses to read by its name. SQLite's own VFS calls that damage, and
/// nothing that SQLite tells later can be relied on to tell one from the other: its last `errno` may
/// be of an earlier read.
///
/// SQLite believes what it reads: a damaged key index makes records disappear or sorts them wrong
/// without a word. With this, damage to any page is an error where the page is read. The checksum
/// covers the page's number too, so that a page in the place of another is found. WAL and temporary
/// files pass through; SQLite keeps checksums of its own in a WAL.
final class PageChecksums: @unchecked Sendable {
  static let pageSizeBytes = 4096
  /// At the end of each page, kept free by SQLite. Little-endian CRC-32C of the rest, with the
  /// page's number (from 1) as its seed.
  static let reservedBytes = 4

  /// What connections ask SQLite for. They keep this object as long as they are open.
  let name: String
  private let nameBytes: UnsafeMutablePointer<CChar>
  private let vfs: UnsafeMutablePointer<sqlite3_vfs>

  private static let counter = Atomic<Int>(0)

  /// In front of SQLite's own, for files whose content has checksums of its own; nil if there is
  /// none, which only a SQLite without any file system is like.
  static let plain: PageChecksums? = {
    do { return try PageChecksums(over: nil, sealing: false) } catch { return nil }
  }()

  /// Stands in front of the VFS of that name, or the usual one.
  init(over inner: String?, sealing: Bool = true) throws(StoreError) {
    let wanted = inner ?? "default"
    guard let inner = sqlite3_vfs_find(inner), let copy = strdup(Self.nextName()) else {
      throw StoreError(.inputOutput, "SQLite has no VFS called '\(wanted)'")
    }
    nameBytes = copy
    name = String(cString: copy)
    vfs = .allocate(capacity: 1)
    var table = sqlite3_vfs()
    table.iVersion = 2
    table.szOsFile = Int32(pageFileBytes) + inner.pointee.szOsFile
    table.mxPathname = inner.pointee.mxPathname
    table.zName = UnsafePointer(copy)
    table.pAppData = UnsafeMutableRawPointer(inner)
    if sealing { table.xOpen = openSealed } else { table.xOpen = openPlain }
    table.xDelete = { vfs, path, sync in
      behind(vfs).map { $0.pointee.xDelete($0, path, sync) } ?? SQLITE_ERROR
    }
    table.xAccess = { vfs, path, flags, result in
      behind(vfs).map { $0.pointee.xAccess($0, path, flags, result) } ?? SQLITE_ERROR
    }
    table.xFullPathname = { vfs, path, count, out in
      behind(vfs).map { $0.pointee.xFullPathname($0, path, count, out) } ?? SQLITE_ERROR
    }
    // Extensions are never loaded.
    table.xDlOpen = { _, _ in nil }
    table.xDlError = { _, count, text in if count > 0 { text?.pointee = 0 } }
    table.xDlSym = { _, _, _ in nil }
    table.xDlClose = { _, _ in }
    table.xRandomness = { vfs, count, out in
      behind(vfs).map { $0.pointee.xRandomness($0, count, out) } ?? 0
    }
    table.xSleep = { vfs, microseconds in
      behind(vfs).map { $0.pointee.xSleep($0, microseconds) } ?? 0
    }
    table.xCurrentTime = { vfs, days in
      behind(vfs).map { $0.pointee.xCurrentTime($0, days) } ?? SQLITE_ERROR
    }
    table.xGetLastError = { vfs, count, text in
      behind(vfs).map { $0.pointee.xGetLastError($0, count, text) } ?? 0
    }
    table.xCurrentTimeInt64 = { vfs, time in
      behind(vfs).map { $0.pointee.xCurrentTimeInt64($0, time) } ?? SQLITE_ERROR
    }
    vfs.initialize(to: table)
    sqlite3_vfs_register(vfs, 0)
  }

  deinit {
    sqlite3_vfs_unregister(vfs)
    vfs.deallocate()
    free(nameBytes)
  }

  private static func nextName() -> String {
    "vecdb-pages-\(counter.wrappingAdd(1, ordering: .relaxed).newValue)"
  }

  // MARK: Pages

  private static func checksum(_ page: UnsafeRawPointer, number: UInt32) -> UInt32 {
    CRC32C.checksum(
      UnsafeRawBufferPointer(start: page, count: pageSizeBytes - reservedBytes), seed: number)
  }

  static func seal(_ page: UnsafeMutableRawPointer, number: UInt32) {
    page.storeBytes(
      of: checksum(page, number: number).littleEndian,
      toByteOffset: pageSizeBytes - reservedBytes, as: UInt32.self)
  }

  static func isIntact(_ page: UnsafeRawPointer, number: UInt32) -> Bool {
    let stored = page.loadUnaligned(
      fromByteOffset: pageSizeBytes - reservedBytes, as: UInt32.self)
    return UInt32(littleEndian: stored) == checksum(page, number: number)
  }

  static func isZero(_ page: UnsafeRawPointer) -> Bool {
    UnsafeRawBufferPointer(start: page, count: pageSizeBytes).allSatisfy { $0 == 0 }
  }
}

// MARK: The functions that SQLite calls

private typealias OpenFile = UnsafeMutablePointer<sqlite3_file>

/// What SQLite allocates for a main file or a WAL: our part, then that of the VFS behind. Other files
/// are those of the VFS behind alone.
private let pageFileBytes = (MemoryLayout<sqlite3_file>.size + 15) / 16 * 16

private func behind(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?
) -> UnsafeMutablePointer<sqlite3_vfs>? {
  vfs?.pointee.pAppData?.assumingMemoryBound(to: sqlite3_vfs.self)
}

private func behind(_ file: OpenFile) -> OpenFile {
  (UnsafeMutableRawPointer(file) + pageFileBytes).assumingMemoryBound(to: sqlite3_file.self)
}

/// Calls a method of the file behind.
private func forward(
  _ file: OpenFile?, _ body: (sqlite3_io_methods, OpenFile) -> Int32
) -> Int32 {
  guard let inner = file.map(behind), let methods = inner.pointee.pMethods else {
    return SQLITE_IOERR
  }
  return body(methods.pointee, inner)
}

private func openSealed(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
  _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
  openFile(
    vfs, name, file, flags, outFlags,
    flags & SQLITE_OPEN_MAIN_DB != 0 ? Methods.sealed : Methods.plain)
}

private func openPlain(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
  _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
  openFile(vfs, name, file, flags, outFlags, Methods.plain)
}

private func openFile(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
  _ outFlags: UnsafeMutablePointer<Int32>?, _ tables: Methods.Tables
) -> Int32 {
  guard let file, let inner = behind(vfs), let open = inner.pointee.xOpen else {
    return SQLITE_CANTOPEN
  }
  guard flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL) != 0 else {
    return open(inner, name, file, flags, outFlags)
  }
  // Without methods SQLite does not call xClose after a failure.
  file.pointee.pMethods = nil
  let opened = behind(file)
  opened.pointee.pMethods = nil
  let code = open(inner, name, opened, flags, outFlags)
  if let methods = opened.pointee.pMethods {
    file.pointee.pMethods = methods.pointee.iVersion >= 2 ? tables.shared : tables.alone
  }
  return code
}

private enum Methods {
  struct Tables {
    /// For a VFS with shared memory.
    var shared: UnsafePointer<sqlite3_io_methods>
    var alone: UnsafePointer<sqlite3_io_methods>

    init(sealing: Bool) {
      shared = table(version: 2, sealing: sealing)
      alone = table(version: 1, sealing: sealing)
    }
  }

  nonisolated(unsafe) static let sealed = Tables(sealing: true)
  nonisolated(unsafe) static let plain = Tables(sealing: false)

  private static func table(
    version: Int32, sealing: Bool
  ) -> UnsafePointer<sqlite3_io_methods> {
    var methods = sqlite3_io_methods()
    // Version 3 would let SQLite map the file and pass the checksums by.
    methods.iVersion = version
    methods.xClose = { forward($0) { $0.xClose($1) } }
    if sealing {
      methods.xRead = readFile
      methods.xWrite = writeFile
    } else {
      methods.xRead = readBehind
      methods.xWrite = { file, bytes, count, offset in
        forward(file) { $0.xWrite($1, bytes, count, offset) }
      }
    }
    methods.xTruncate = { file, size in forward(file) { $0.xTruncate($1, size) } }
    methods.xSync = { file, flags in forward(file) { $0.xSync($1, flags) } }
    methods.xFileSize = { file, size in forward(file) { $0.xFileSize($1, size) } }
    methods.xLock = { file, level in forward(file) { $0.xLock($1, level) } }
    methods.xUnlock = { file, level in forward(file) { $0.xUnlock($1, level) } }
    methods.xCheckReservedLock = { file, result in
      forward(file) { $0.xCheckReservedLock($1, result) }
    }
    methods.xFileControl = { file, operation, argument in
      forward(file) { $0.xFileControl($1, operation, argument) }
    }
    methods.xSectorSize = { forward($0) { $0.xSectorSize($1) } }
    methods.xDeviceCharacteristics = { forward($0) { $0.xDeviceCharacteristics($1) } }
    if version >= 2 {
      methods.xShmMap = { file, index, size, extend, out in
        forward(file) { $0.xShmMap($1, index, size, extend, out) }
      }
      methods.xShmLock = { file, first, count, flags in
        forward(file) { $0.xShmLock($1, first, count, flags) }
      }
      methods.xShmBarrier = { file in
        _ = forward(file) {
          $0.xShmBarrier($1)
          return SQLITE_OK
        }
      }
      methods.xShmUnmap = { file, delete in forward(file) { $0.xShmUnmap($1, delete) } }
    }
    let result = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
    result.initialize(to: methods)
    return UnsafePointer(result)
  }
}

/// Reads from the VFS behind. What the system refuses is no damage.
private func readBehind(
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ out: UnsafeMutableRawPointer?, _ count: Int32,
  _ offset: sqlite3_int64
) -> Int32 {
  let code = forward(file) { $0.xRead($1, out, count, offset) }
  return code == ioerrCorruptFS ? ioerrRead : code
}

private func readFile(
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ out: UnsafeMutableRawPointer?, _ count: Int32,
  _ offset: sqlite3_int64
) -> Int32 {
  guard let out else { return SQLITE_IOERR }
  let size = sqlite3_int64(PageChecksums.pageSizeBytes)
  if Int64(count) == size, offset % size == 0 { return readPage(file, out, offset) }
  // SQLite looks at the header before it knows whether a WAL holds a newer first page; the whole
  // first page is compared when it is used.
  let headerBytes: sqlite3_int64 = 100
  if offset + Int64(count) <= headerBytes {
    return readBehind(file, out, count, offset)
  }
  let start = offset % size
  guard start + Int64(count) <= size else { return ioerrData }
  return withUnsafeTemporaryAllocation(
    byteCount: PageChecksums.pageSizeBytes, alignment: 16
  ) { page in
    guard let base = page.baseAddress else { return SQLITE_IOERR }
    let code = readPage(file, base, offset - start)
    out.copyMemory(from: base + Int(start), byteCount: Int(count))
    return code
  }
}

private func readPage(
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ out: UnsafeMutableRawPointer,
  _ offset: sqlite3_int64
) -> Int32 {
  let code = readBehind(file, out, Int32(PageChecksums.pageSizeBytes), offset)
  guard code == SQLITE_OK || code == ioerrShortRead else { return code }
  let number = UInt32(truncatingIfNeeded: offset / Int64(PageChecksums.pageSizeBytes) + 1)
  if PageChecksums.isIntact(out, number: number) { return code }
  // Behind the end of the file SQLite expects zeros.
  return code == ioerrShortRead && PageChecksums.isZero(out) ? code : ioerrData
}

private func writeFile(
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ bytes: UnsafeRawPointer?, _ count: Int32,
  _ offset: sqlite3_int64
) -> Int32 {
  let size = PageChecksums.pageSizeBytes
  guard let bytes, Int(count) == size, Int(offset) % size == 0 else { return ioerrWrite }
  return withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { page in
    guard let base = page.baseAddress else { return SQLITE_IOERR }
    base.copyMemory(from: bytes, byteCount: size)
    PageChecksums.seal(base, number: UInt32(truncatingIfNeeded: Int(offset) / size + 1))
    return forward(file) { $0.xWrite($1, base, count, offset) }
  }
}
