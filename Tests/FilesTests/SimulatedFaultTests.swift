import Testing
import VecDBFiles
import VecDBSimulatedDisk

@Suite struct SimulatedFaultTests {
  @Test func errorsHitTheNthMatchingOperation() throws {
    let disk = SimulatedDisk()
    let a = try disk.open("/a", .createNew)
    let b = try disk.open("/b", .createNew)
    disk.inject(Fault(.inputOutputError, on: [.write], pathContaining: "b", skipping: 1))
    try write([1], to: a, at: 0)
    try write([1], to: b, at: 0)
    try write([2], to: a, at: 0)
    expect(.inputOutput, at: "/b") { try write([2], to: b, at: 0) }
    try write([3], to: b, at: 0)
    #expect(disk.pendingFaults == 0)
    disk.inject(Fault(.diskFull, times: .max))
    expect(.diskFull, at: "/a") { try write([4], to: a, at: 0) }
    expect(.diskFull, at: "/c") { _ = try disk.open("/c", .createNew) }
    expect(.diskFull, at: "/d") { try disk.createDirectory("/d") }
    disk.removeFaults()
    try write([4], to: a, at: 0)
    disk.inject(Fault(.inputOutputError, on: [.read]))
    expect(.inputOutput, at: "/a") { _ = try disk.readAll("/a") }
    #expect(try disk.readAll("/a") == [4])
    #expect(disk.trace.last?.description == "#\(disk.operationCount) read /a 0+1: inputOutputError")
  }

  @Test func capacityIsRespected() throws {
    var options = SimulatedDisk.Options()
    options.capacityBytes = 1000
    let disk = SimulatedDisk(options: options)
    let file = try disk.open("/f", .createNew)
    try write([UInt8](repeating: 1, count: 900), to: file, at: 0)
    #expect(try disk.freeSpaceBytes("/") == 100)
    expect(.diskFull, at: "/f") {
      try write([UInt8](repeating: 2, count: 200), to: file, at: 900)
    }
    #expect(try file.sizeBytes() == 1000)
    try write([UInt8](repeating: 3, count: 1000), to: file, at: 0)
    try file.truncate(to: 0)
    #expect(try disk.freeSpaceBytes("/") == 1000)
    try disk.remove("/f")
    disk.options.capacityBytes = nil
    #expect(try disk.freeSpaceBytes("/") == 1 << 40)
  }

  /// After a failed sync the next one succeeds, and yet the data never reach the disk.
  @Test func failedSyncForgetsTheData() throws {
    var lost = 0
    for seed in UInt64(1)...40 {
      let disk = SimulatedDisk(seed: seed)
      try disk.writeAtomically([UInt8](repeating: 1, count: 4096), to: "/f")
      let file = try disk.open("/f", .readWrite)
      try write([UInt8](repeating: 2, count: 4096), to: file, at: 0)
      disk.inject(Fault(.failedSync))
      expect(.inputOutput, at: "/f") { try file.sync() }
      try file.sync()
      #expect(try disk.readAll("/f") == [UInt8](repeating: 2, count: 4096))
      let survivor = try disk.restarted(.everything).readAll("/f")
      #expect(try disk.restarted(.syncedOnly).readAll("/f") == survivor)
      if survivor == [UInt8](repeating: 1, count: 4096) { lost += 1 }
    }
    #expect(lost > 5, "\(lost) of 40")
  }

  @Test func failedDirectorySyncForgetsNames() throws {
    var seen: Set<[String]> = []
    for seed in UInt64(1)...40 {
      let disk = SimulatedDisk(seed: seed)
      _ = try disk.open("/f", .createNew)
      disk.inject(Fault(.failedSync, on: [.syncDirectory]))
      expect(.inputOutput, at: "/") { try disk.syncDirectory("/") }
      try disk.syncDirectory("/")
      seen.insert(try disk.restarted(.everything).list("/"))
    }
    #expect(seen == [[], ["f"]])
  }

  @Test func bitsFlipOnRequest() throws {
    let disk = SimulatedDisk()
    let zeros = [UInt8](repeating: 0, count: 100)
    try disk.writeAtomically(zeros, to: "/f")
    disk.inject(Fault(.flippedBit))
    #expect(try disk.readAll("/f").reduce(0) { $0 + $1.nonzeroBitCount } == 1)
    #expect(try disk.readAll("/f") == zeros)
    disk.inject(Fault(.flippedBit, on: [.write]))
    let file = try disk.open("/g", .createNew)
    try write(zeros, to: file, at: 0)
    #expect(try disk.readAll("/g").reduce(0) { $0 + $1.nonzeroBitCount } == 1)
    #expect(disk.corrupt("/f", at: 50, xor: 0x81))
    #expect(!disk.corrupt("/f", at: 100) && !disk.corrupt("/none", at: 0))
    #expect(try disk.restarted(.syncedOnly).readAll("/f")[50] == 0x81)
    // Damage to bytes that are not synced yet stays too.
    #expect(disk.corrupt("/g", at: 0, xor: 0xff))
    let damaged = try disk.readAll("/g")
    try file.sync()
    #expect(disk.durableContents("/g") == damaged)
    #expect(disk.replace("/f", with: [1]))
    #expect(disk.replace("/g", with: nil))
    #expect(!disk.replace("/none/x", with: [1]))
    #expect(disk.filePaths == ["/f"])
    #expect(try disk.restarted(.syncedOnly).readAll("/f") == [1])
  }

  /// SQLite itself keeps every acknowledged commit when any one operation fails.
  @Test(arguments: [Fault.Effect.inputOutputError, .diskFull, .failedSync])
  func sqliteKeepsCommits(effect: Fault.Effect) throws {
    let test = CrashTest(
      initial: 0, prepare: { try $0.createDirectory("/db") },
      work: {
        try SQLiteOnSimulatedDiskTests.commitRows(
          $0, &$1, rows: 8, rowBytes: 2500, pageSize: 4096, checkpointEvery: 3)
      },
      check: SQLiteOnSimulatedDiskTests.checkRows)
    try test.run(effect, seed: 3, chances: 3)
  }

  /// Threads that use one disk at once; meant for the thread sanitizer.
  @Test func servesManyThreads() async throws {
    let disk = SimulatedDisk()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask {
          let file = try disk.open("/f\(worker)", .createNew)
          for index in 0..<100 {
            try write([UInt8(index)], to: file, at: index)
            if index % 10 == 0 { try file.sync() }
          }
          try disk.rename("/f\(worker)", to: "/g\(worker)")
        }
      }
      try await group.waitForAll()
    }
    #expect(disk.operationCount == 8 * (1 + 100 + 10 + 1))
    #expect(try disk.list("/").count == 8)
  }
}
