import Glibc
import Testing
import VecDBFiles
import VecDBSimulatedDisk

@Suite struct SimulatedDiskTests {
  static func file(_ disk: SimulatedDisk, _ path: String, _ bytes: [UInt8]) throws {
    let file = try disk.open(path, .createOrTruncate)
    try write(bytes, to: file, at: 0)
    try file.sync()
    try disk.syncDirectory(directoryName(path))
  }

  @Test func syncedDataSurvivesEverySeed() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("/a/b")
    try Self.file(disk, "/a/b/f", Array(0..<200))
    let handle = try disk.open("/a/b/f", .readWrite)
    try write([UInt8](repeating: 9, count: 10_000), to: handle, at: 200)
    for seed in UInt64(1)...200 {
      let bytes = try disk.restarted(.random(seed: seed)).readAll("/a/b/f")
      #expect(Array(bytes.prefix(200)) == Array(0..<200), "seed \(seed)")
    }
    #expect(try disk.restarted(.syncedOnly).readAll("/a/b/f").count == 200)
    #expect(try disk.restarted(.everything).readAll("/a/b/f").count == 10_200)
  }

  /// Over many seeds, unsynced writes must meet every fate that the contract names.
  @Test func unsyncedWritesAreLostKeptTornAndReordered() throws {
    let disk = SimulatedDisk()
    try Self.file(disk, "/f", [UInt8](repeating: 1, count: 16_384))
    let handle = try disk.open("/f", .readWrite)
    try write([UInt8](repeating: 2, count: 8192), to: handle, at: 0)
    try write([UInt8](repeating: 3, count: 8192), to: handle, at: 8192)
    try write([UInt8](repeating: 4, count: 4096), to: handle, at: 16_384)
    var seen: Set<String> = []
    for seed in UInt64(1)...300 {
      let bytes = try disk.restarted(.random(seed: seed)).readAll("/f")
      let (first, second) = (Set(bytes[..<8192]), Set(bytes[8192..<16_384]))
      if first == [1], second == [1] { seen.insert("lost") }
      if first == [2], second == [3], bytes.count == 20_480 { seen.insert("kept") }
      if first == [2], second == [1] { seen.insert("in order") }
      if first == [1], second.contains(3) { seen.insert("out of order") }
      if first == [1, 2] {
        seen.insert("torn")
        let pages = stride(from: 0, to: 8192, by: 4096).map { Set(bytes[$0..<$0 + 4096]) }
        seen.insert(pages.allSatisfy { $0.count == 1 } ? "torn at 4096" : "torn at 512")
      }
      if !first.isSubset(of: [1, 2]) { seen.insert("garbage") }
      if bytes.count == 16_384 { seen.insert("old size") }
      if bytes.count == 20_480, Set(bytes[16_384...]) == [0] { seen.insert("size without data") }
    }
    #expect(
      seen == [
        "lost", "kept", "in order", "out of order", "torn", "torn at 512", "torn at 4096",
        "garbage",
        "old size", "size without data",
      ])
  }

  @Test func sameSeedSameOutcome() throws {
    func survivor(_ seed: UInt64) throws -> [String: [UInt8]] {
      let disk = SimulatedDisk(seed: 5)
      for index in 0..<20 {
        let handle = try disk.open("/f\(index)", .createNew)
        try write([UInt8](repeating: UInt8(index), count: 3000), to: handle, at: 0)
        if index % 3 == 0 { try handle.sync() }
        if index % 7 == 0 { try disk.syncDirectory("/") }
      }
      let result = disk.restarted(.random(seed: seed))
      return Dictionary(
        uniqueKeysWithValues: result.filePaths.map { ($0, result.contents($0) ?? []) })
    }
    for seed in UInt64(1)...30 { #expect(try survivor(seed) == survivor(seed), "seed \(seed)") }
    #expect(Set(try (1...30).map { try survivor($0) }).count > 20)
  }

  @Test func namesNeedTheirDirectorySynced() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("/d")
    let handle = try disk.open("/d/a.tmp", .createNew)
    try write([1, 2, 3], to: handle, at: 0)
    try handle.sync()
    #expect(try disk.restarted(.syncedOnly).list("/d") == [])
    let later = SimulatedDisk()
    try later.createDirectory("/d")
    try Self.file(later, "/d/a.tmp", [1, 2, 3])
    try later.rename("/d/a.tmp", to: "/d/a")
    #expect(try later.restarted(.syncedOnly).list("/d") == ["a.tmp"])
    var seen: Set<[String]> = []
    for seed in UInt64(1)...50 {
      seen.insert(try later.restarted(.random(seed: seed)).list("/d"))
    }
    #expect(seen == [["a"], ["a.tmp"]], "a rename is atomic")
    let synced = SimulatedDisk()
    try synced.createDirectory("/d")
    try synced.writeAtomically([7], to: "/d/a")
    try synced.remove("/d/a")
    #expect(try synced.restarted(.syncedOnly).readAll("/d/a") == [7])
    let removed = SimulatedDisk()
    try removed.writeAtomically([7], to: "/a")
    try removed.remove("/a")
    try removed.syncDirectory("/")
    for seed in UInt64(1)...20 {
      #expect(try removed.restarted(.random(seed: seed)).list("/") == [])
    }
  }

  @Test func renameBetweenDirectoriesLastsWithTheTarget() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("/s")
    try disk.createDirectory("/t")
    _ = try disk.open("/s/x", .createNew)
    try disk.rename("/s/x", to: "/t/y")
    try disk.syncDirectory("/t")
    for survival in [Survival.syncedOnly, .everything] + (1...20).map({ .random(seed: $0) }) {
      let survivor = disk.restarted(survival)
      #expect(try survivor.list("/t") == ["y"])
      #expect(try survivor.list("/s") == [])
    }
  }

  /// Write, sync, rename, sync of the directory: the old file or the new one, at every crash.
  @Test func atomicPublicationSurvivesEveryCrash() throws {
    let old = [UInt8](repeating: 1, count: 5000)
    let new = [UInt8](repeating: 2, count: 9000)
    struct Wrong: Error {}
    let test = CrashTest(
      initial: false, prepare: { try $0.writeAtomically(old, to: "/f") },
      work: { disk, isDone in
        try disk.writeAtomically(new, to: "/f")
        isDone = true
      },
      check: { disk, isDone in
        let found = try disk.readAll("/f")
        guard found == new || (!isDone && found == old) else { throw Wrong() }
      })
    #expect(try test.run(chances: 50) > 300)
    for effect in [Fault.Effect.inputOutputError, .diskFull, .failedSync] {
      try test.run(effect, on: OperationKind.changing, chances: 20)
    }
    // The same without the sync of the file must be found out.
    let careless = CrashTest(
      initial: false, prepare: test.prepare,
      work: { disk, isDone in
        try write(new, to: try disk.open("/f.tmp", .createOrTruncate), at: 0)
        try disk.rename("/f.tmp", to: "/f")
        try disk.syncDirectory("/")
        isDone = true
      }, check: test.check)
    #expect(throws: CrashTestFailure.self) { try careless.run(chances: 5) }
  }

  @Test func diesAtTheChosenOperationAndStaysDead() throws {
    let disk = SimulatedDisk()
    let handle = try disk.open("/f", .createNew)
    let lock = try disk.lock("/LOCK", owner: "me")
    disk.crash(atOperation: 2)
    try write([1], to: handle, at: 0)
    expect(.inputOutput, at: "/f") { try handle.sync() }
    #expect(disk.isCrashed)
    expect(.inputOutput, at: "/f") { _ = try handle.sizeBytes() }
    expect(.inputOutput, at: "/") { _ = try disk.list("/") }
    expect(.inputOutput, at: "/f") { _ = try disk.info("/f") }
    disk.restart(seed: 3)
    #expect(!disk.isCrashed)
    expect(.inputOutput, at: "/f") { try write([1], to: handle, at: 0) }
    lock.unlock()
    _ = try disk.lock("/LOCK", owner: "you")
    #expect(disk.trace.contains { $0.remark == "powerFailure" })
  }

  @Test func locks() throws {
    let disk = SimulatedDisk()
    var lock: (any FileLock)? = try disk.lock("/LOCK", owner: "process 17")
    do {
      _ = try disk.lock("/LOCK", owner: "process 18")
      Issue.record("the lock was given twice")
    } catch let error as StoreError {
      #expect(error.kind == .locked && error.message == "held by process 17")
    }
    #expect(lock != nil)
    lock = nil
    #expect(try disk.readAll("/LOCK") == [])
    try disk.lock("/LOCK", owner: "process 18").unlock()
  }

  @Test func mapsACopy() throws {
    let disk = SimulatedDisk()
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    try Self.file(disk, "/f", [UInt8](repeating: 5, count: 2 * page))
    let address = try #require(
      mmap(nil, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
    defer { munmap(address, 3 * page) }
    try disk.map("/f", offset: page, length: page, at: address)
    let bytes = address.assumingMemoryBound(to: UInt8.self)
    #expect(bytes[0] == 5 && bytes[page - 1] == 5)
    bytes[0] = 6
    #expect(disk.contents("/f")?[page] == 5)
    expect(.corrupt, at: "/f") { try disk.map("/f", offset: page, length: page + 1, at: address) }
    expect(.invalidArgument, at: "/f") { try disk.map("/f", offset: 5, length: 1, at: address) }
    disk.inject(Fault(.flippedBit))
    try disk.map("/f", offset: 0, length: page, at: address)
    #expect((0..<page).count { bytes[$0] != 5 } == 1)
  }
}
