import CVecDBSQLite
import Testing
import VecDBFiles
import VecDBLogStore

/// Segments of older versions have pages of 64 KiB.
@Suite struct LargerPagesTests {
  /// Gives the pages of a segment that was closed cleanly the size that they once had.
  static func enlargePages(of path: String) throws {
    var opened: OpaquePointer?
    defer { sqlite3_close_v2(opened) }
    try #require(sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK)
    let conversion = """
      PRAGMA journal_mode = DELETE;
      PRAGMA page_size = 65536;
      VACUUM;
      PRAGMA journal_mode = WAL;
      """
    try #require(sqlite3_exec(opened, conversion, nil, nil, nil) == SQLITE_OK)
  }

  @Test func segmentsOfLargerPagesAreReadAndContinued() throws {
    let files = PosixFileSystem()
    let directory = try TemporaryDirectory()
    let path = directory.path + "/log"
    var random = TestRandom(seed: 17)
    let payloads = [700, 90_000, 20, 200_000, 5, 5].map { random.bytes($0) }
    let log = try WriteAheadLog.create(directory: path, fileSystem: files, identity: testIdentity)
    for payload in payloads[..<3] { _ = try log.append([(payload, 0)]) }
    try log.close()
    let segment = path + "/00000000000000000001.segment"
    try Self.enlargePages(of: segment)
    #expect(try files.readAll(segment)[16..<18] == [0, 1])

    let continued = try WriteAheadLog.open(directory: path, fileSystem: files)
    for payload in payloads[3...] { _ = try continued.append([(payload, 0)]) }
    // The size of its frames is that of its pages.
    #expect((continued.walBytes - 32) % (24 + 65_536) == 0)
    let wal = try files.readAll(segment + "-wal")
    let committedBytes = continued.walBytes

    // As a lost process leaves it: with its WAL.
    func copied(_ wal: [UInt8]) throws -> String {
      let copy = directory.path + "/copy"
      try files.removeTree(copy)
      try files.createDirectory(copy)
      for (bytes, suffix) in [(try files.readAll(segment), ""), (wal, "-wal")] {
        let name = copy + "/00000000000000000001.segment" + suffix
        let file = try files.open(name, .createNew)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
      }
      return copy
    }
    let recovered = try WriteAheadLog.open(directory: try copied(wal), fileSystem: files)
    var found: [[UInt8]] = []
    try recovered.read(after: 0) { found.append($0.payload) }
    #expect(found == payloads)
    _ = try recovered.append([([1], 0)])
    try recovered.close()

    // Damage in its WAL is found, in a frame and in the header that tells the pages' size.
    for offset in [9, 40, committedBytes / 2] {
      var bad = wal
      bad[offset] ^= 1
      let copy = try copied(bad)
      let error = #expect(throws: StoreError.self) {
        try WriteAheadLog.open(directory: copy, fileSystem: files)
      }
      #expect(error?.kind == .corrupt, "byte \(offset)")
    }
    try continued.close()
  }
}
