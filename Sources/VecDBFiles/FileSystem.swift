/// All that the database asks of a file system, behind one seam so that tests can put a simulated
/// disk under it. Paths are absolute or relative to the working directory and are never
/// interpreted. Every method throws `StoreError`.
///
/// The durability rules are those of POSIX: bytes written are durable after `FileHandle.sync()`;
/// a name created, renamed or removed is durable after `syncDirectory` of its directory.
package protocol FileSystem: Sendable {
  /// Makes the directory, and its parents where they are missing; no error if it is there. Durable
  /// on return.
  func createDirectory(_ path: String) throws
  /// The names in a directory, sorted, without `.` and `..`.
  func list(_ directory: String) throws -> [String]
  /// What is at `path`, or nil if nothing is.
  func info(_ path: String) throws -> FileInfo?
  func open(_ path: String, _ mode: OpenMode) throws -> any FileHandle
  /// Removes a file. An error if it is not there.
  func remove(_ path: String) throws
  /// Removes a file or a directory with all that is in it; no error if nothing is there.
  func removeTree(_ path: String) throws
  /// Replaces `target` atomically.
  func rename(_ source: String, to target: String) throws
  /// As `rename`, but throws `.alreadyExists` if `target` is there; atomic also between processes.
  func renameExclusively(_ source: String, to target: String) throws
  /// Gives each of two files or directories the other's name, in one atomic step. Returns false,
  /// and changes nothing, where the file system has no such operation.
  func exchange(_ one: String, with other: String) throws -> Bool
  func syncDirectory(_ path: String) throws
  /// Maps `length` bytes of an immutable file at `offset` (a multiple of the page size) privately
  /// over the pages that start at `address`: later writes there never reach the file. A simulated
  /// disk copies instead. The caller has reserved the pages; what lies behind the file's end is
  /// an error, not zeros.
  func map(_ path: String, offset: Int, length: Int, at address: UnsafeMutableRawPointer) throws
  /// Takes the advisory lock of the file at `path` (created if missing) for this process and
  /// writes `owner` into it; throws `.locked`, naming the owner found there, if another holds it.
  /// The lock ends with the handle or the process.
  func lock(_ path: String, owner: String) throws -> any FileLock
  /// Bytes that can still be written to the file system that holds `path`.
  func freeSpaceBytes(_ path: String) throws -> Int
  /// The name of the SQLite VFS that stores its files on this same disk; nil for SQLite's default.
  var sqliteVFSName: String? { get }
}

package enum OpenMode: Sendable {
  case read
  /// Reads and writes; the file must be there.
  case readWrite
  /// Reads and writes a new file; throws `.alreadyExists` if it is there.
  case createNew
  /// Reads and writes; created, or emptied if it is there.
  case createOrTruncate
}

package struct FileInfo: Sendable, Equatable {
  package var sizeBytes: Int
  package var isDirectory: Bool
  /// Milliseconds since 1970.
  package var modifiedMilliseconds: Int64

  package init(sizeBytes: Int, isDirectory: Bool, modifiedMilliseconds: Int64) {
    self.sizeBytes = sizeBytes
    self.isDirectory = isDirectory
    self.modifiedMilliseconds = modifiedMilliseconds
  }
}

/// An open file. It is closed when the last reference goes. Positional reads and writes may run
/// on several threads at once.
package protocol FileHandle: AnyObject, Sendable {
  var path: String { get }
  func sizeBytes() throws -> Int
  /// Fills the buffer from `offset`; returns how many bytes there were (fewer only at the end of
  /// the file).
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
  /// Writes the whole buffer at `offset`, or throws.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws
  func truncate(to sizeBytes: Int) throws
  /// Returns when the contents are durable (fdatasync or stronger).
  func sync() throws
  /// Asks that what was written be on its way to the disk, so that a later `sync` finds little
  /// left to do. A hint: it promises nothing and never fails.
  func startSync()
  /// Sets space aside so that writes up to `sizeBytes` cannot fail for lack of it; the file's size
  /// stays as it is. Throws `.diskFull`. Where a file system has no such operation, nothing happens.
  func reserve(through sizeBytes: Int) throws
}

extension FileHandle {
  package func startSync() {}
  package func reserve(through sizeBytes: Int) throws {}
}

package protocol FileLock: AnyObject, Sendable {
  /// Throws `.locked` if it is not held any more. A lock that ends by time is renewed by this, so that
  /// whoever holds it asks before each thing that it does.
  func check() throws
  func unlock()
}

extension FileLock {
  package func check() throws {}
}

extension FileSystem {
  package func exists(_ path: String) throws -> Bool { try info(path) != nil }

  /// Copies a file, or a directory with all that is in it, to a place that must not exist yet. Not
  /// durable; a file that becomes shorter meanwhile is copied as far as it goes.
  package func copyTree(_ source: String, to target: String) throws {
    if try info(source)?.isDirectory == true {
      try createDirectory(target)
      for name in try list(source) { try copyTree(source + "/" + name, to: target + "/" + name) }
      return
    }
    let (from, to) = (try open(source, .read), try open(target, .createNew))
    try withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 16) { buffer in
      var offset = 0
      while true {
        let count = try from.read(at: offset, into: buffer)
        guard count > 0 else { return }
        try to.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
        offset += count
      }
    }
  }

  /// The whole file; throws `.limitExceeded` beyond `maximumBytes`.
  package func readAll(_ path: String, maximumBytes: Int = 1 << 30) throws -> [UInt8] {
    let file = try open(path, .read)
    let size = try file.sizeBytes()
    guard size <= maximumBytes else {
      throw StoreError(
        .limitExceeded, "the file has \(size) bytes; the limit is \(maximumBytes)", at: path,
        remedy: "Something has added bytes to it: put back the original file.")
    }
    let bytes = try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = try file.read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
    }
    guard bytes.count == size else {
      throw StoreError(
        .inputOutput, "read only \(bytes.count) of \(size) bytes", at: path)
    }
    return bytes
  }

  /// Publishes `bytes` as `path` so that a crash leaves either the old file or the whole new one:
  /// temporary file, sync, rename, sync of the directory. With `exclusively`, an existing file is
  /// an `.alreadyExists` error.
  package func writeAtomically(_ bytes: [UInt8], to path: String, exclusively: Bool = false) throws
  {
    let temporary = path + ".tmp"
    let file = try open(temporary, .createOrTruncate)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    if exclusively {
      do { try renameExclusively(temporary, to: path) } catch {
        try remove(temporary)
        throw error
      }
    } else {
      try rename(temporary, to: path)
    }
    try syncDirectory(directoryName(path))
  }
}

/// The part of a path before its last component; `.` if there is none.
package func directoryName(_ path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The last component of a path.
package func fileName(_ path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return path }
  return String(path[path.index(after: slash)...])
}
