import Glibc

/// The file system of the operating system, by plain POSIX calls.
///
/// It has no state; any number of threads may use it. Errors are `StoreError`s that name the
/// operation and the path; interrupted calls are repeated.
package struct PosixFileSystem: FileSystem {
  package init() {}

  /// SQLite's own default VFS stores its files on this disk.
  package var sqliteVFSName: String? { nil }

  package func createDirectory(_ path: String) throws {
    if mkdir(path, 0o777) == 0 { return try syncDirectory(directoryName(path)) }
    let code = errno
    switch code {
    case EEXIST:
      guard try info(path)?.isDirectory == true else {
        throw StoreError(
          .alreadyExists, "cannot create the directory: a file of that name is there", at: path,
          remedy: "Choose another name, or move the file away.")
      }
      // Whoever made it may have died before it was durable. (A parent that may be passed but not
      // read cannot be synced; it is not one of ours.)
      let parent = directoryName(path)
      if access(parent, R_OK) == 0 { try syncDirectory(parent) }
    case ENOENT where directoryName(path) != path:
      try createDirectory(directoryName(path))
      guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
        throw systemError(errno, "create the directory", at: path)
      }
      try syncDirectory(directoryName(path))
    default:
      throw systemError(code, "create the directory", at: path)
    }
  }

  package func list(_ directory: String) throws -> [String] {
    guard let stream = opendir(directory) else {
      throw systemError(errno, "list the directory", at: directory)
    }
    defer { closedir(stream) }
    var names: [String] = []
    try forEachEntry(of: stream, at: directory) { names.append(String(cString: $0)) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  package func info(_ path: String) throws -> FileInfo? {
    var status = stat()
    while stat(path, &status) != 0 {
      switch errno {
      case EINTR: continue
      case ENOENT, ENOTDIR: return nil
      default: throw systemError(errno, "examine the file", at: path)
      }
    }
    return FileInfo(
      sizeBytes: Int(status.st_size), isDirectory: status.st_mode & S_IFMT == S_IFDIR,
      modifiedMilliseconds: Int64(status.st_mtim.tv_sec) * 1000
        + Int64(status.st_mtim.tv_nsec) / 1_000_000)
  }

  package func open(_ path: String, _ mode: OpenMode) throws -> any FileHandle {
    switch mode {
    case .read: try openFile(path, O_RDONLY, "open the file")
    case .readWrite: try openFile(path, O_RDWR, "open the file for writing")
    case .createNew: try openFile(path, O_RDWR | O_CREAT | O_EXCL, "create the file")
    case .createOrTruncate: try openFile(path, O_RDWR | O_CREAT | O_TRUNC, "create the file")
    }
  }

  package func remove(_ path: String) throws {
    guard unlink(path) == 0 else { throw systemError(errno, "remove the file", at: path) }
  }

  package func rename(_ source: String, to target: String) throws {
    guard Glibc.rename(source, target) == 0 else {
      throw systemError(errno, "rename \(source)", at: target)
    }
  }

  package func renameExclusively(_ source: String, to target: String) throws {
    let code = renameWithoutReplacing(source, target)
    if code == 0 { return }
    // Old kernels and some network file systems do not have the flag.
    guard code == EINVAL || code == ENOSYS || code == ENOTSUP else {
      throw systemError(code, "rename \(source) to a new name", at: target)
    }
    try renameByLinking(source, to: target)
  }

  package func exchange(_ one: String, with other: String) throws -> Bool {
    let code = renameExchanging(one, other)
    if code == 0 { return true }
    // The kernel says EINVAL also of a directory that is to go into itself; a plain rename will
    // say that again.
    if code == EINVAL || code == ENOSYS || code == ENOTSUP { return false }
    throw systemError(code, "exchange \(one)", at: other)
  }

  /// `renameExclusively` for kernels and file systems that have no such operation: mkdir and link
  /// create exclusively by themselves, and a directory then replaces the empty one. A crash in
  /// between leaves an empty directory, or a file under both names.
  package func renameByLinking(_ source: String, to target: String) throws {
    if try info(source)?.isDirectory == true {
      guard mkdir(target, 0o777) == 0 else {
        throw systemError(errno, "rename \(source) to a new name", at: target)
      }
      do { return try rename(source, to: target) } catch {
        _ = rmdir(target)
        throw error
      }
    }
    guard link(source, target) == 0 else {
      throw systemError(errno, "rename \(source) to a new name", at: target)
    }
    guard unlink(source) == 0 else {
      throw systemError(errno, "remove the old name after linking \(target)", at: source)
    }
  }

  package func syncDirectory(_ path: String) throws {
    let directory = try openDescriptor(
      path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, "open the directory")
    defer { close(directory) }
    // EINVAL means that this file system has no such operation for directories (some network
    // file systems): there is nothing stronger to ask it for.
    guard fsync(directory) == 0 || errno == EINVAL else {
      throw systemError(errno, "make the directory durable", at: path)
    }
  }

  package func map(
    _ path: String, offset: Int, length: Int, at address: UnsafeMutableRawPointer
  ) throws {
    let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
    guard offset >= 0, length > 0, offset % pageSize == 0,
      Int(bitPattern: address) % pageSize == 0
    else {
      throw StoreError(
        .invalidArgument,
        "cannot map \(length) bytes at \(offset): offset and address must be whole pages",
        at: path)
    }
    let file = try openFile(path, O_RDONLY, "open the file")
    // Access behind the end of a mapped file is a signal, not an error: refuse it here.
    let size = try file.sizeBytes()
    guard length <= size, offset <= size - length else {
      throw StoreError(
        .corrupt, "the file has only \(size) bytes; cannot map \(length) bytes at \(offset)",
        at: path, remedy: "Restore the file from a repository or a replica.")
    }
    let mapped = mmap(
      address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file.descriptor,
      off_t(offset))
    guard mapped != MAP_FAILED else { throw systemError(errno, "map the file", at: path) }
  }

  package func lock(_ path: String, owner: String) throws -> any FileLock {
    var named: String?
    var attempts = 0
    while true {
      let file = try openFile(path, O_RDWR | O_CREAT, "open the lock file")
      guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
        let code = errno
        if code == EINTR { continue }
        guard code == EWOULDBLOCK else { throw systemError(code, "lock the file", at: path) }
        // Who has just taken the lock has not written its name yet, and a process that was killed left
        // its own: only a name that stays is the holder's.
        let owner = try ownerText(file)
        guard attempts >= 50 || owner != nil && owner == named else {
          named = owner
          attempts += 1
          usleep(20_000)
          continue
        }
        throw StoreError(
          .locked, "held by \(owner ?? "another process")", at: path,
          remedy: "Stop that process, or access the database through it.")
      }
      // Whoever removed the file between our open and our lock left us a lock that nobody else
      // can see: take it again.
      var current = stat()
      let own = try file.status()
      guard stat(path, &current) == 0, current.st_ino == own.st_ino,
        current.st_dev == own.st_dev
      else { continue }
      // The name is for people: without the space for it the lock holds all the same.
      try? file.truncate(to: 0)
      try? Array(owner.utf8).withUnsafeBytes { try file.write($0, at: 0) }
      return PosixFileLock(holding: file)
    }
  }

  package func freeSpaceBytes(_ path: String) throws -> Int {
    var status = statvfs()
    _ = try retryingOnInterrupt("ask for the free space", at: path) { statvfs(path, &status) }
    let (bytes, overflow) = Int(clamping: status.f_bavail)
      .multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
    return overflow ? .max : bytes
  }

  /// Opens a regular file.
  private func openFile(_ path: String, _ flags: Int32, _ operation: String) throws -> PosixFile {
    // A pipe that stands in its place would keep us waiting for its other end before we could see
    // what it is; on files the flag does nothing.
    let flags = flags | O_CLOEXEC | O_NONBLOCK
    let file = PosixFile(descriptor: try openDescriptor(path, flags, operation), path: path)
    // What was made just now is a file, and to fail after that would leave it behind.
    if flags & O_EXCL != 0 { return file }
    // A directory opens for reading, and a pipe or device for anything.
    guard try file.status().st_mode & S_IFMT == S_IFREG else {
      throw StoreError(
        .inputOutput, "cannot \(operation): not a regular file", at: path,
        remedy: "Check the path.")
    }
    return file
  }

  private func openDescriptor(_ path: String, _ flags: Int32, _ operation: String) throws -> Int32 {
    try retryingOnInterrupt(operation, at: path) { Glibc.open(path, flags, 0o666) }
  }

  /// What the holder of a lock wrote about itself; nil if it is just about to write it, or had no space.
  private func ownerText(_ file: PosixFile) throws -> String? {
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return count == 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }
}

/// Calls `body` with each name in the directory except `.` and `..`.
func forEachEntry(
  of stream: OpaquePointer, at path: String, _ body: (UnsafePointer<CChar>) throws -> Void
) throws {
  while true {
    errno = 0
    guard let entry = readdir(stream) else {
      let code = errno
      if code == 0 { return }
      throw systemError(code, "list the directory", at: path)
    }
    // The name is longer than the declared array where the file system allows it: take the
    // address inside the entry and do not copy the array.
    let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
    let name = (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self)
    if strcmp(name, ".") != 0 && strcmp(name, "..") != 0 { try body(name) }
  }
}
