import CVecDBSQLite
import Glibc
import Testing
import VecDBFiles
import VecDBLogStore

/// What the system refuses to read is no damage, and damage is called so, also where a read of the
/// same file has failed before.
@Suite(.serialized) struct ReadFailureTests {
  /// The file whose reads fail now; 0 if none does.
  private nonisolated(unsafe) static var failing: UInt = 0

  private typealias Read = @convention(c) (Int32, UnsafeMutableRawPointer?, Int, Int) -> Int

  /// Takes the place of the calls by which SQLite reads, in this process. It changes nothing for other
  /// files.
  private static let isInstalled: Bool = {
    let read: Read = { descriptor, bytes, count, offset in
      var status = stat()
      // Not of the schema: that is read before the statement runs, and fails in another way.
      if failing != 0, offset >= 16384 * 4, fstat(descriptor, &status) == 0,
        status.st_ino == failing
      {
        errno = EIO
        return -1
      }
      return pread(descriptor, bytes, count, offset)
    }
    guard let vfs = sqlite3_vfs_find("unix"), let set = vfs.pointee.xSetSystemCall else {
      return false
    }
    let call = unsafeBitCast(read, to: sqlite3_syscall_ptr.self)
    let codes = ["pread", "pread64"].map { name in name.withCString { set(vfs, $0, call) } }
    return codes.contains(SQLITE_OK)
  }()

  @Test func aFailureToReadIsNotTakenForDamageNorTheOtherWay() throws {
    let isInstalled = Self.isInstalled
    try #require(isInstalled)
    let directory = try TemporaryDirectory()
    let path = directory.path + "/log"
    let files = PosixFileSystem()
    var random = TestRandom(seed: 3)
    var options = WriteAheadLog.Options()
    options.segmentSizeBytes = 600_000
    let log = try WriteAheadLog.create(
      directory: path, fileSystem: files, identity: testIdentity, options: options)
    for number in 0..<40 { _ = try log.append([(random.bytes(50_000), Int64(number))]) }
    try log.close()
    let opened = try WriteAheadLog.open(directory: path, fileSystem: files, options: options)
    let name = try #require(
      try files.list(path).filter { $0.hasSuffix(".segment") }.sorted().first)
    var status = stat()
    #expect(stat(path + "/" + name, &status) == 0)
    Self.failing = status.st_ino
    let refused = #expect(throws: StoreError.self) { try opened.read(after: 0) { _ in } }
    Self.failing = 0
    #expect(refused?.kind == .inputOutput, "\(String(describing: refused))")
    #expect(refused?.message.contains("Input/output error") == true)
    // SQLite has not forgotten that failure when it meets this.
    var bytes = try files.readAll(path + "/" + name)
    for page in stride(from: 16384 * 4, to: bytes.count, by: 16384) {
      for offset in 0..<16384 { bytes[page + offset] = 0xff }
    }
    let file = try files.open(path + "/" + name, .readWrite)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    let damaged = #expect(throws: StoreError.self) { try opened.read(after: 0) { _ in } }
    #expect(damaged?.kind == .corrupt, "\(String(describing: damaged))")
    try opened.close()
  }
}
