import Glibc
import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBSimulatedDisk

/// Full disks, failed syncs, and power failures at every operation.
@Suite struct FaultTests {
  static var options: WriteAheadLog.Options {
    var options = WriteAheadLog.Options()
    options.segmentSizeBytes = 250_000
    options.checkpointWALBytes = 300_000
    return options
  }

  static func create(_ disk: SimulatedDisk) throws -> WriteAheadLog {
    try WriteAheadLog.create(
      directory: "/db/log", fileSystem: disk, identity: testIdentity, options: options)
  }

  static func open(_ disk: SimulatedDisk, atLeast: UInt64 = 0) throws -> WriteAheadLog {
    try WriteAheadLog.open(
      directory: "/db/log", fileSystem: disk, options: options, expectedAtLeast: atLeast)
  }

  /// The write-ahead log of the last segment.
  static func wal(_ disk: SimulatedDisk) throws -> [UInt8] {
    let name = try disk.list("/db/log").filter { $0.hasSuffix("-wal") }.max()
    return name.flatMap { disk.contents("/db/log/" + $0) } ?? []
  }

  static func payload(_ lsn: UInt64) -> [UInt8] {
    var random = TestRandom(seed: lsn)
    return random.bytes(lsn % 4 == 0 ? 90_000 : 700)
  }

  static func contents(_ log: WriteAheadLog) throws -> [LogFrame] {
    var frames: [LogFrame] = []
    try log.read(after: log.firstLSN - 1) { frames.append($0) }
    return frames
  }

  @Test func fullDiskFailsWholeAndWritingResumes() throws {
    let disk = SimulatedDisk(seed: 1)
    let log = try Self.create(disk)
    for lsn in 1...3 as ClosedRange<UInt64> { _ = try log.append([(Self.payload(lsn), 0)]) }
    let end = log.end
    for point in 0..<12 {
      let before = try Self.wal(disk)
      disk.inject(Fault(.diskFull, skipping: point, times: .max))
      let error = #expect(throws: StoreError.self) {
        try log.append([([1], 0), (Array(repeating: 7, count: 300_000), 0)])
      }
      #expect(error?.kind == .diskFull)
      #expect(log.end == end)
      // Zeros that were written ahead may be gone, but nothing of the batch has come.
      let nothingCame = before.starts(with: try Self.wal(disk))
      #expect(nothingCame, "point \(point): part of the batch stays")
      #expect(try log.position(at: 3) == end)
      try log.verify()
      // Had the process died here, nothing of the failed batch would come back.
      let survivor = disk.restarted(.everything)
      #expect(try Self.open(survivor).end == end, "point \(point)")
      disk.removeFaults()
    }
    #expect(try log.append([(Self.payload(4), 0)])[0].lsn == 4)
    try log.verify()
  }

  @Test func failedSyncPoisons() throws {
    let disk = SimulatedDisk(seed: 2)
    let log = try Self.create(disk)
    _ = try log.append([(Self.payload(1), 0)])
    disk.inject(Fault(.failedSync))
    for _ in 0..<2 {
      let error = #expect(throws: StoreError.self) { try log.append([(Self.payload(2), 0)]) }
      #expect(error?.kind == .poisoned)
    }
    let error = #expect(throws: StoreError.self) { try log.position(at: 1) }
    #expect(error?.kind == .poisoned)
    try log.close()
    let again = try Self.open(disk.restarted(.syncedOnly))
    #expect(again.end.lsn >= 1)
    try again.verify()
  }

  struct Progress {
    var acknowledged: [LogPosition] = []
    var trimmedThrough: UInt64 = 0
    var isCreated = false
  }

  struct Lost: Error { var text: String }

  /// Creates a log, appends with rotations, checkpoints and trims, and reopens with and without
  /// close.
  static func work(_ disk: SimulatedDisk, _ progress: inout Progress) throws {
    try disk.createDirectory("/db")
    var log = try create(disk)
    progress.isCreated = true
    for round in 1...14 as ClosedRange<UInt64> {
      let group = round % 5 == 0 ? 3 : 1
      let first = UInt64(progress.acknowledged.count) + 1
      do {
        progress.acknowledged += try log.append(
          (0..<UInt64(group)).map { (payload(first + $0), Int64(first + $0)) })
      } catch let error as StoreError where error.kind == .diskFull {
        continue
      }
      if round == 8 {
        try log.trim(through: 4)
        progress.trimmedThrough = 4
      }
      if round == 9 {
        try log.close()
        log = try open(disk)
      }
    }
    try log.close()
  }

  /// Every acknowledged batch is there, in order, and at most one group more.
  static func check(_ disk: SimulatedDisk, _ progress: Progress) throws {
    let log: WriteAheadLog
    do { log = try open(disk, atLeast: UInt64(progress.acknowledged.count)) } catch let error
      as StoreError where error.kind == .notFound && !progress.isCreated
    {
      return
    }
    try log.verify()
    let frames = try contents(log)
    guard log.firstLSN <= progress.trimmedThrough + 5 else { throw Lost(text: "trimmed too much") }
    for frame in frames {
      guard frame.payload == payload(frame.lsn) else { throw Lost(text: "wrong payload") }
      let index = Int(frame.lsn) - 1
      if index < progress.acknowledged.count, frame.position != progress.acknowledged[index] {
        throw Lost(text: "another position")
      }
    }
    guard log.end.lsn <= progress.acknowledged.count + 3 else { throw Lost(text: "too many") }
    guard try disk.list("/db/log").allSatisfy({ !$0.contains(".new") }) else {
      throw Lost(text: "leftovers")
    }
    // It goes on from there, also after another reopening.
    let next = log.end.lsn + 1
    _ = try log.append([(payload(next), 0)])
    try log.close()
    let again = try open(disk)
    guard again.end.lsn == next else { throw Lost(text: "lost after recovery") }
    try again.verify()
  }

  static func test() -> CrashTest<Progress> {
    CrashTest(initial: Progress(), work: work, check: check)
  }

  /// More seeds than 1 with `VECDB_CRASH_SEEDS=n`.
  static let seeds: Range<UInt64> = {
    let count = getenv("VECDB_CRASH_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 1
    return 21..<21 + count
  }()

  @Test(arguments: seeds) func survivesPowerFailureAtEveryOperation(seed: UInt64) throws {
    let checked = try Self.test().run(seed: seed, chances: 2)
    #expect(checked > 300, "\(checked)")
  }

  /// Where a torn write may spoil its neighbours, SQLite pads its commits.
  @Test(arguments: seeds) func survivesPowerFailureWithoutPowersafeOverwrite(seed: UInt64) throws {
    var test = Self.test()
    test.options.powersafeOverwrite = false
    try test.run(seed: seed, chances: 2)
  }

  /// What was recovered may end in the middle of a sector, where the padding behind the last commit
  /// was torn off. A write behind it that is torn itself must not take the commit along. Opening
  /// empties the WAL, unless the disk is full then.
  @Test func whatWasRecoveredOutlivesATornWriteBehindIt() throws {
    var options = SimulatedDisk.Options()
    options.powersafeOverwrite = false
    var recovered = 0
    for seed in 1...600 as ClosedRange<UInt64> {
      let disk = SimulatedDisk(seed: seed, options: options)
      try disk.createDirectory("/db")
      let log = try Self.create(disk)
      for lsn in 1...2 as ClosedRange<UInt64> { _ = try log.append([(Self.payload(lsn), 0)]) }
      disk.crash(atOperation: 1 + Int(seed % 8))
      _ = Result { try log.append([(Self.payload(3), 0)]) }

      let second = disk.restarted(.random(seed: seed))
      second.inject(Fault(.diskFull, pathContaining: ".segment", times: .max))
      let found = try Self.open(second, atLeast: 2)
      second.removeFaults()
      #expect(found.walBytes > 0)
      let end = found.end
      recovered += end.lsn == 3 ? 1 : 0
      second.crash(atOperation: 1 + Int(seed / 8 % 8))
      _ = Result { try found.append([(Self.payload(end.lsn + 1), 0)]) }

      for chance in 0..<4 as Range<UInt64> {
        let third = second.restarted(.random(seed: seed &* 4 &+ chance))
        let again = try Self.open(third, atLeast: end.lsn)
        #expect(try again.position(at: end.lsn) == end, "seed \(seed), chance \(chance)")
        try again.verify()
      }
    }
    #expect(recovered > 50)
  }

  @Test(arguments: seeds) func survivesFullDiskAtEveryOperation(seed: UInt64) throws {
    try Self.test().run(.diskFull, seed: seed, chances: 1)
  }

  @Test(arguments: seeds) func survivesFailedSyncAtEveryOperation(seed: UInt64) throws {
    try Self.test().run(.failedSync, seed: seed, chances: 2)
  }

  @Test(arguments: seeds) func survivesInputOutputErrorAtEveryOperation(seed: UInt64) throws {
    try Self.test().run(.inputOutputError, seed: seed, chances: 1)
  }
}
