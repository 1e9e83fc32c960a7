import Dispatch
import Glibc
import Testing
import VecDBFiles

@Suite struct PosixFileSystemTests {
  let files = PosixFileSystem()

  @Test func readsBackWhatWasWritten() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/a"
    let file = try files.open(path, .createNew)
    try write([1, 2, 3, 4, 5], to: file, at: 0)
    try write([9, 9], to: file, at: 10)
    try file.sync()
    #expect(try file.sizeBytes() == 12)
    #expect(try files.readAll(path) == [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 9, 9])
    var buffer = [UInt8](repeating: 7, count: 8)
    let count = try buffer.withUnsafeMutableBytes { try file.read(at: 9, into: $0) }
    #expect(count == 3 && buffer == [0, 9, 9, 7, 7, 7, 7, 7])
    #expect(try buffer.withUnsafeMutableBytes { try file.read(at: 50, into: $0) } == 0)
    try file.truncate(to: 2)
    #expect(try files.readAll(path) == [1, 2])
  }

  @Test func openModes() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/a"
    expect(.notFound, at: path) { _ = try files.open(path, .read) }
    expect(.notFound, at: path) { _ = try files.open(path, .readWrite) }
    try write([1], to: try files.open(path, .createNew), at: 0)
    expect(.alreadyExists, at: path) { _ = try files.open(path, .createNew) }
    #expect(try files.open(path, .readWrite).sizeBytes() == 1)
    expect(.inputOutput, at: path) { try write([1], to: try files.open(path, .read), at: 0) }
    #expect(try files.open(path, .createOrTruncate).sizeBytes() == 0)
    expect(.inputOutput, at: directory.path) { _ = try files.open(directory.path, .read) }
  }

  @Test func directories() throws {
    let directory = try TemporaryDirectory()
    let deep = directory.path + "/x/y/z"
    try files.createDirectory(deep)
    try files.createDirectory(deep)
    #expect(try files.info(deep)?.isDirectory == true)
    try files.writeAtomically([1], to: deep + "/b")
    try files.writeAtomically([1, 2], to: deep + "/a")
    #expect(try files.list(deep) == ["a", "b"])
    expect(.alreadyExists, at: deep + "/a") { try files.createDirectory(deep + "/a") }
    expect(.inputOutput, at: deep + "/a/b") { try files.createDirectory(deep + "/a/b") }
    expect(.notFound, at: deep + "/q") { _ = try files.list(deep + "/q") }
    #expect(try files.info(deep + "/a/none") == nil)
    try #require(symlink("/etc", directory.path + "/x/link") == 0)
    try files.removeTree(directory.path + "/x")
    try files.removeTree(directory.path + "/x")
    #expect(try files.list(directory.path) == [])
    #expect(try files.exists("/etc"))
  }

  @Test func renames() throws {
    let directory = try TemporaryDirectory()
    let (a, b, c) = (directory.path + "/a", directory.path + "/b", directory.path + "/c")
    try files.writeAtomically([1], to: a)
    try files.writeAtomically([2], to: b)
    expect(.alreadyExists, at: b) { try files.renameExclusively(a, to: b) }
    expect(.alreadyExists, at: b) { try files.writeAtomically([3], to: b, exclusively: true) }
    #expect(try files.list(directory.path) == ["a", "b"])
    try files.renameExclusively(a, to: c)
    try files.rename(c, to: b)
    #expect(try files.readAll(b) == [1])
    expect(.notFound, at: a) { try files.rename(c, to: a) }
    try files.createDirectory(a)
    try files.createDirectory(c)
    expect(.alreadyExists, at: c) { try files.renameExclusively(a, to: c) }
    try files.writeAtomically([2], to: a + "/x")
    #expect(try files.exchange(a, with: b))
    #expect(try files.readAll(a) == [1])
    #expect(try files.list(b) == ["x"])
    expect(.notFound, at: c + "/none") { _ = try files.exchange(a, with: c + "/none") }
    try files.remove(a)
    expect(.notFound, at: a) { try files.remove(a) }
  }

  @Test func renamesExclusivelyOnOldKernels() throws {
    let directory = try TemporaryDirectory()
    let (a, b, d) = (directory.path + "/a", directory.path + "/b", directory.path + "/d")
    try files.writeAtomically([1], to: a)
    try files.renameByLinking(a, to: b)
    #expect(try files.list(directory.path) == ["b"])
    try files.writeAtomically([2], to: a)
    expect(.alreadyExists, at: b) { try files.renameByLinking(a, to: b) }
    #expect(try files.readAll(b) == [1])
    try files.createDirectory(d)
    try files.rename(a, to: d + "/a")
    try files.renameByLinking(d, to: directory.path + "/e")
    #expect(try files.list(directory.path) == ["b", "e"])
    try files.createDirectory(d)
    expect(.alreadyExists, at: directory.path + "/e") {
      try files.renameByLinking(d, to: directory.path + "/e")
    }
    expect(.inputOutput, at: d + "/x") { try files.renameByLinking(d, to: d + "/x") }
    #expect(try files.list(d) == [])
  }

  @Test func mapsPrivately() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/a"
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let contents = (0..<3 * page).map { UInt8(truncatingIfNeeded: $0 / page + 1) }
    try files.writeAtomically(contents, to: path)
    let address = try #require(
      mmap(nil, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
    defer { munmap(address, 4 * page) }
    try files.map(path, offset: page, length: page + 100, at: address + page)
    let bytes = address.assumingMemoryBound(to: UInt8.self)
    #expect(bytes[page] == 2 && bytes[2 * page + 99] == 3)
    bytes[page] = 77
    #expect(try files.readAll(path) == contents)
    expect(.corrupt, at: path) {
      try files.map(path, offset: 2 * page, length: page + 1, at: address)
    }
    expect(.invalidArgument, at: path) { try files.map(path, offset: 1, length: 1, at: address) }
  }

  @Test func locksOnce() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/LOCK"
    let lock = try files.lock(path, owner: "process 17")
    do {
      _ = try files.lock(path, owner: "process 18")
      Issue.record("the lock was given twice")
    } catch let error as StoreError {
      #expect(error.kind == .locked)
      #expect(error.message == "held by process 17")
    }
    lock.unlock()
    lock.unlock()
    #expect(try files.readAll(path) == [])
    var second: (any FileLock)? = try files.lock(path, owner: "process 18")
    #expect(try files.readAll(path) == Array("process 18".utf8))
    #expect(second != nil)
    second = nil
    try files.lock(path, owner: "process 19").unlock()
  }

  /// Between taking the lock and writing its name the file tells nothing, or what a process left that
  /// was killed.
  @Test(arguments: ["", "process 16"])
  func namesTheHolderAndNobodyElse(before: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/LOCK"
    let lock = try files.lock(path, owner: "process 17")
    // A busy machine can hold up the name of the holder for longer than a name has to stay.
    var told: [String?] = []
    while told.count < 4, told.last != "held by process 17" {
      try Self.put(before, path)
      // On a thread of its own: those of tasks may all be waiting for locks.
      let isPut = DispatchSemaphore(value: 0)
      DispatchQueue(label: "holder").asyncAfter(deadline: .now() + .milliseconds(8)) {
        do { try Self.put("process 17", path) } catch { Issue.record(error) }
        isPut.signal()
      }
      do { _ = try files.lock(path, owner: "process 18") } catch let error as StoreError {
        told.append(error.message)
      }
      isPut.wait()
    }
    #expect(told.last == "held by process 17", "\(told)")
    // Where the disk was full, no name ever comes.
    try Self.put("", path)
    expect(.locked, at: path) { _ = try files.lock(path, owner: "process 18") }
    lock.unlock()
  }

  private static func put(_ text: String, _ path: String) throws {
    let file = try PosixFileSystem().open(path, .readWrite)
    try file.truncate(to: 0)
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
  }

  @Test func namesOperationPathAndRemedy() throws {
    let full = systemError(ENOSPC, "write the file", at: "/d/f")
    #expect(full.kind == .diskFull)
    #expect(
      full.description == "cannot write the file: No space left on device (/d/f). "
        + "Free space on this file system, then try again.")
    #expect(systemError(EDQUOT, "x", at: "p").kind == .diskFull)
    #expect(systemError(EIO, "x", at: "p").kind == .inputOutput)
    #expect(try files.freeSpaceBytes("/") > 0)
    expect(.notFound, at: "/no/such/place") { _ = try files.freeSpaceBytes("/no/such/place") }
    #expect(files.sqliteVFSName == nil)
  }

  /// A device that is always full and one that fails, as the kernel provides them.
  @Test func fullDeviceIsRefusedAsNotAFile() throws {
    expect(.inputOutput, at: "/dev/full") { _ = try files.open("/dev/full", .readWrite) }
  }
}
