import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What happens to a log that was not closed, when bytes of its `-wal` are lost or wrong.
@Suite struct WALDamageTests {
  static let frameBytes = 24 + 16384
  let files = PosixFileSystem()
  let directory: TemporaryDirectory
  let log: UnclosedLog

  init() throws {
    directory = try TemporaryDirectory()
    log = try UnclosedLog(directory.path + "/base")
  }

  /// A log that lost its process: the bytes of its two files, and where each commit ended.
  struct UnclosedLog {
    var main: [UInt8]
    var wal: [UInt8]
    var ends: [LogPosition] = []
    /// Where each commit ended in the WAL; zeros may follow the last one.
    var walBytes: [Int] = []
    static let name = "00000000000000000001.segment"

    init(_ path: String) throws {
      let files = PosixFileSystem()
      var random = TestRandom(seed: 3)
      let log = try WriteAheadLog.create(
        directory: path, fileSystem: files, identity: testIdentity)
      // A leaf page alone, a new leaf, overflow pages, several batches: all shapes of transaction.
      for size in [100, 100, 40_000, 30_000, 200_000, 10, 10, 66_000, 1000, 150_000, 20, 20] {
        let batches = (0...(size == 1000 ? 3 : 0)).map { _ in (random.bytes(size), Int64(size)) }
        ends.append(try #require(try log.append(batches).last))
        walBytes.append(log.walBytes)
      }
      main = try files.readAll(path + "/" + Self.name)
      wal = try files.readAll(path + "/" + Self.name + "-wal")
    }
  }

  enum Outcome: Equatable {
    case corrupt
    case end(LogPosition)
  }

  /// Opens the log with another WAL, and checks that corruption changes no file and that whatever
  /// is there reads whole.
  func open(wal: [UInt8], expectedAtLeast: UInt64 = 0) throws -> Outcome {
    let path = directory.path + "/log"
    try files.removeTree(path)
    try files.createDirectory(path)
    func write(_ bytes: [UInt8], _ name: String) throws {
      let file = try files.open(path + "/" + name, .createNew)
      try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }
    try write(log.main, UnclosedLog.name)
    try write(wal, UnclosedLog.name + "-wal")
    do {
      let opened = try WriteAheadLog.open(
        directory: path, fileSystem: files, expectedAtLeast: expectedAtLeast)
      try opened.verify()
      var end = LogPosition.zero
      try opened.read(after: 0) { end = $0.position }
      #expect(end == opened.end)
      return .end(end)
    } catch let error as StoreError {
      #expect(error.kind == .corrupt, "\(error)")
      #expect(try files.readAll(path + "/" + UnclosedLog.name) == log.main)
      #expect(try files.readAll(path + "/" + UnclosedLog.name + "-wal") == wal)
      return .corrupt
    }
  }

  /// The number of whole commits in the first so many bytes.
  func commits(in bytes: Int) -> Int { log.walBytes.count { $0 <= bytes } }

  func end(_ commits: Int) -> LogPosition { commits == 0 ? .zero : log.ends[commits - 1] }

  @Test func undamagedOpensWhole() throws {
    #expect(try open(wal: log.wal) == .end(end(12)))
  }

  @Test func tornTailOfEveryLengthLosesOnlyTheTail() throws {
    var lengths = Set([0, 1, 31, 32, 33])
    for frame in 0..<(log.wal.count / Self.frameBytes) {
      for delta in [0, 1, 23, 24, 25, 512, 4096, Self.frameBytes - 1] {
        lengths.insert(32 + frame * Self.frameBytes + delta)
      }
    }
    for length in lengths where length <= log.wal.count {
      let expected = end(commits(in: length))
      #expect(try open(wal: Array(log.wal[..<length])) == .end(expected), "\(length) bytes")
    }
    // With proof that more was durable, the same is corruption.
    let shorter = Array(log.wal[..<log.walBytes[10]])
    #expect(try open(wal: shorter, expectedAtLeast: end(11).lsn) == .end(end(11)))
    #expect(try open(wal: shorter, expectedAtLeast: end(12).lsn) == .corrupt)
  }

  /// Any subset of the last transaction's sectors may be missing after a power failure.
  @Test func unfinishedTransactionWithHolesIsATornTail() throws {
    var random = TestRandom(seed: 4)
    // The last but two has several frames; nothing follows it here.
    let (start, stop) = (log.walBytes[8], log.walBytes[9])
    for round in 0..<200 {
      var wal = Array(log.wal[..<stop])
      let sector = round % 2 == 0 ? 512 : 4096
      var isWhole = true
      for offset in stride(from: start / sector * sector, to: stop, by: sector)
      where Int.random(in: 0..<(round % 7 == 0 ? 2 : 200), using: &random) == 0 {
        let range = max(offset, start)..<min(offset + sector, stop)
        if wal[range].contains(where: { $0 != 0 }) { isWhole = false }
        for index in range { wal[index] = 0 }
      }
      #expect(try open(wal: wal) == .end(end(isWhole ? 10 : 9)), "round \(round)")
    }
  }

  /// Flips each bit position of every structure in turn, one at a time.
  @Test func everyFlippedBitBeforeTheLastTransactionIsCorruption() throws {
    var random = TestRandom(seed: 5)
    var offsets = Array(0..<32)
    let frames = log.walBytes[11] / Self.frameBytes
    for frame in 0..<frames {
      let start = 32 + frame * Self.frameBytes
      offsets += start..<(start + 24)
      offsets += (0..<6).map { _ in start + 24 + Int.random(in: 0..<16384, using: &random) }
    }
    for (number, offset) in offsets.enumerated() {
      var wal = log.wal
      wal[offset] ^= 1 << UInt8(number % 8)
      let outcome = try open(wal: wal)
      if offset < log.walBytes[10] {
        #expect(outcome == .corrupt, "byte \(offset), bit \(number % 8)")
      } else {
        // Damage to the last transaction looks like a torn one; only proof of it helps.
        #expect(outcome == .end(end(11)), "byte \(offset), bit \(number % 8)")
        #expect(try open(wal: wal, expectedAtLeast: end(12).lsn) == .corrupt)
      }
    }
  }

  /// A WAL shorter than two frames counts as empty if its header cannot be read, so not even the
  /// smallest first commit may be that short.
  @Test func aDamagedHeaderBeforeOneSmallCommitIsCorruption() throws {
    let path = directory.path + "/small"
    let small = try WriteAheadLog.create(
      directory: path, fileSystem: files, identity: testIdentity)
    _ = try small.append([([1], 0)])
    let committedBytes = small.walBytes
    let wal = try files.readAll(path + "/" + UnclosedLog.name + "-wal")
    for (number, length) in (0..<32).flatMap({ [($0, committedBytes), ($0, wal.count)] }) {
      var bad = Array(wal[..<length])
      bad[number] ^= 1 << UInt8(number % 8)
      #expect(try open(wal: bad) == .corrupt, "byte \(number)")
    }
  }

  /// Small commits are written into zeros, which are nobody's.
  @Test func damageToTheZerosAheadIsHarmless() throws {
    #expect(log.wal.count > log.walBytes[11] + 3 * Self.frameBytes)
    #expect(log.wal[log.walBytes[11]...].allSatisfy { $0 == 0 })
    var random = TestRandom(seed: 7)
    for round in 0..<200 {
      var wal = log.wal
      let offset = Int.random(in: log.walBytes[11]..<wal.count, using: &random)
      if round % 2 == 0 {
        wal[offset] ^= 1 << UInt8(round / 2 % 8)
      } else {
        for index in offset..<min(offset + 4_096, wal.count) { wal[index] = 0xa5 }
      }
      #expect(try open(wal: wal) == .end(end(12)), "byte \(offset)")
    }
  }

  @Test func wipedSectorsAreCorruption() throws {
    for sector in [512, 4096] {
      var random = TestRandom(seed: 6)
      for _ in 0..<100 {
        // Two transactions after the damage are enough for any of it.
        let offset = Int.random(in: 0..<(log.walBytes[9] / sector), using: &random) * sector
        var wal = log.wal
        for index in offset..<min(offset + sector, log.walBytes[9]) { wal[index] = 0xa5 }
        #expect(try open(wal: wal) == .corrupt, "byte \(offset)")
      }
    }
  }

  /// What a second power failure leaves behind a recovered end must not look like later commits.
  @Test func appendsAfterATornTail() throws {
    var wal = Array(log.wal[..<log.walBytes[9]])
    wal[log.walBytes[8] + 100] ^= 1
    #expect(try open(wal: wal) == .end(end(9)))
    let path = directory.path + "/log"
    for _ in 0..<3 {
      let again = try WriteAheadLog.open(directory: path, fileSystem: files)
      _ = try again.append([([1, 2, 3], 0)])
    }
    let again = try WriteAheadLog.open(directory: path, fileSystem: files)
    #expect(again.end.lsn == end(9).lsn + 3)
    try again.verify()
  }
}
