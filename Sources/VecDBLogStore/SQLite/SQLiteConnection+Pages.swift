import CVecDBSQLite
import Glibc
import VecDBFiles

extension SQLiteConnection {
  /// Has every page of a new file end with so many bytes that SQLite leaves alone. To be called
  /// before anything is written.
  func reservePageEnds(bytes: Int) throws(StoreError) {
    var count = Int32(bytes)
    let code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &count)
    guard code == SQLITE_OK else { throw error(code, "reserving the ends of pages") }
  }

  /// Pages of the main file, from 0 to `count` of them beginning at `first` (which counts from 1),
  /// read from the disk itself; those whose checksum is wrong, and how many there were. A page of
  /// zeros is one that SQLite never used.
  ///
  /// Only while nothing writes the main file. Reading by a descriptor of one's own would, on closing
  /// it, give up SQLite's locks.
  func damagedPages(
    from first: Int, count: Int
  ) throws(StoreError) -> (damaged: [Int], read: Int) {
    var file: UnsafeMutablePointer<sqlite3_file>?
    var code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file)
    guard code == SQLITE_OK, let file, let methods = file.pointee.pMethods?.pointee else {
      throw error(code, "finding the file")
    }
    var size: sqlite3_int64 = 0
    code = methods.xFileSize(file, &size)
    guard code == SQLITE_OK else { throw error(code, "asking for the size") }
    let pageSize = PageChecksums.pageSizeBytes
    let pages = Int(size) / pageSize
    let page = UnsafeMutableRawPointer.allocate(byteCount: pageSize, alignment: 16)
    defer { page.deallocate() }
    var damaged: [Int] = []
    var number = first
    while number <= pages, number < first + count {
      code = methods.xRead(file, page, Int32(pageSize), sqlite3_int64((number - 1) * pageSize))
      if code == ioerrData {
        if !PageChecksums.isZero(page) { damaged.append(number) }
      } else if code != SQLITE_OK {
        throw error(code, "reading page \(number)")
      }
      number += 1
    }
    return (damaged, number - first)
  }
}

/// Extended codes of SQLITE_IOERR, macros that Swift does not import.
let ioerrRead = SQLITE_IOERR | 1 << 8
let ioerrShortRead = SQLITE_IOERR | 2 << 8
let ioerrWrite = SQLITE_IOERR | 3 << 8
/// What SQLite takes for damage, as it comes from a VFS.
let ioerrCorruptFS = SQLITE_IOERR | 33 << 8
/// What a page with a wrong checksum gives.
let ioerrData = SQLITE_IOERR | 32 << 8
