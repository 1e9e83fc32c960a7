import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What happens when the main files of segments are damaged, lost or mixed up.
@Suite struct SegmentDamageTests {
  let files = PosixFileSystem()
  let directory: TemporaryDirectory
  let frames: [LogFrame]
  let names: [String]
  var path: String { directory.path + "/log" }

  /// Some sealed segments and one that was closed cleanly.
  init() throws {
    directory = try TemporaryDirectory()
    var random = TestRandom(seed: 7)
    var options = WriteAheadLog.Options()
    options.segmentSizeBytes = 150_000
    let log = try WriteAheadLog.create(
      directory: directory.path + "/log", fileSystem: files, identity: testIdentity,
      options: options)
    for number in 0..<22 {
      _ = try log.append([(random.bytes(number % 5 == 0 ? 100_000 : 3000), Int64(number))])
    }
    var frames: [LogFrame] = []
    try log.read(after: 0) { frames.append($0) }
    self.frames = frames
    try log.close()
    names = try files.list(directory.path + "/log").filter { $0.hasSuffix(".segment") }
  }

  func readAll() throws -> [LogFrame] {
    let log = try WriteAheadLog.open(directory: path, fileSystem: files)
    var frames: [LogFrame] = []
    try log.read(after: 0) { frames.append($0) }
    try log.verify()
    return frames
  }

  func overwrite(_ name: String, _ bytes: [UInt8]) throws {
    let file = try files.open(path + "/" + name, .createOrTruncate)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  }

  @Test func flippedBitsNeverGoUnnoticed() throws {
    #expect(names.count >= 3)
    #expect(try readAll() == frames)
    var random = TestRandom(seed: 8)
    for name in names {
      let good = try files.readAll(path + "/" + name)
      // SQLite's own structures: the file header, and each page's header and cell pointers.
      var offsets = Array(0..<100)
      for page in stride(from: 0, to: good.count, by: 16384) {
        offsets += (0..<24).map { page + (page == 0 ? 100 : 0) + $0 }
        offsets += (0..<12).map { _ in page + Int.random(in: 0..<16384, using: &random) }
        offsets += (0..<6).map { _ in page + 16383 - Int.random(in: 0..<400, using: &random) }
      }
      var found = 0
      for (number, offset) in offsets.enumerated() {
        var bad = good
        bad[offset] ^= 1 << UInt8(number % 8)
        try overwrite(name, bad)
        do {
          #expect(try readAll() == frames, "\(name), byte \(offset)")
        } catch let error as StoreError {
          #expect(
            [.corrupt, .unknownVersion, .inputOutput, .limitExceeded].contains(error.kind),
            "\(error)")
          found += 1
        }
        for leftover in try files.list(path) where !names.contains(leftover) {
          try files.remove(path + "/" + leftover)
        }
      }
      #expect(found > offsets.count / 6)
      try overwrite(name, good)
    }
    #expect(try readAll() == frames)
  }

  func expectCorrupt(_ comment: Comment) {
    let error = #expect(throws: StoreError.self, comment) { try readAll() }
    #expect(error?.kind == .corrupt, comment)
  }

  /// A trim whose directory sync failed may be undone by a power failure for an older segment and
  /// not for a younger one that was removed later.
  @Test func segmentsBeforeAGapAreLeftOutOnlyWhereTheyAreCovered() throws {
    let firsts = names.compactMap { UInt64($0.prefix(20)) }
    try files.remove(path + "/" + names[1])
    let before = try files.list(path)
    let error = #expect(throws: StoreError.self) {
      try WriteAheadLog.open(directory: path, fileSystem: files, coveredThrough: firsts[2] - 2)
    }
    #expect(error?.kind == .corrupt)
    #expect(try files.list(path) == before)
    let log = try WriteAheadLog.open(
      directory: path, fileSystem: files, coveredThrough: firsts[2] - 1)
    #expect(log.firstLSN == firsts[2])
    var found: [LogFrame] = []
    try log.read(after: firsts[2] - 1) { found.append($0) }
    #expect(found == Array(frames.dropFirst(Int(firsts[2]) - 1)))
    // The next trim removes what was left out, even if it removes nothing else.
    try log.trim(through: 0)
    #expect(try !files.exists(path + "/" + names[0]))
    try log.verify()
    try log.close()
  }

  @Test func missingAndMixedUpSegmentsAreRefused() throws {
    func move(_ source: String, _ target: String) throws {
      try files.rename(path + "/" + source, to: path + "/" + target)
    }
    for name in names.dropFirst() {
      try move(name, "aside")
      expectCorrupt("without \(name)")
      try move("aside", name)
    }
    try move(names[1], "aside")
    try move(names[2], names[1])
    expectCorrupt("wrong name")
    try move(names[1], names[2])
    try move("aside", names[1])

    // A segment of another history with the same LSNs.
    let good = try files.readAll(path + "/" + names[0])
    let other = directory.path + "/other"
    let log = try WriteAheadLog.create(
      directory: other, fileSystem: files,
      identity: LogIdentity(
        databaseID: UniqueID(high: 1, low: 1), epochs: testIdentity.epochs))
    for _ in 0..<frames.count { _ = try log.append([([1], 0)]) }
    try log.close()
    try overwrite(names[0], try files.readAll(other + "/" + names[0]))
    expectCorrupt("another database's")
    try overwrite(names[0], good)

    // Not a segment at all, and one of a later version.
    try overwrite(names[0], Array(repeating: 1, count: 1000))
    expectCorrupt("rubbish")
    try overwrite(names[0], [])
    expectCorrupt("empty")
    var newer = good
    newer[63] = 2
    try overwrite(names[0], newer)
    let error = #expect(throws: StoreError.self) { try readAll() }
    #expect(error?.kind == .unknownVersion)
    try overwrite(names[0], good)
    #expect(try readAll() == frames)

    let missing = #expect(throws: StoreError.self) {
      try WriteAheadLog.open(directory: path + "x", fileSystem: files)
    }
    #expect(missing?.kind == .notFound)
    let there = #expect(throws: StoreError.self) {
      try WriteAheadLog.create(directory: path, fileSystem: files, identity: testIdentity)
    }
    #expect(there?.kind == .alreadyExists)
  }
}
