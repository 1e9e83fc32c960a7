import Testing
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// Damage that appears in the files of an open database: the scrub finds it, and no change is
/// built on it.
@Suite struct ScrubTests {
  private static let path = "/data/db"

  /// A closed database of some records, with one block for each array.
  private static func prepared(_ count: Int = 600) throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: 11)
    try disk.createDirectory("/data")
    var configuration = CrashTests.configuration
    configuration.checkpointOnClose = true
    var generator = SeededGenerator(seed: 11)
    let records = (0..<count).map {
      VectorRecord(key: "k\($0)", vector: generator.vector(8), metadata: ["n": .integer(Int64($0))])
    }
    let database = try Database.open(at: path, fileSystem: disk, configuration: configuration)
    try CrashTests.wait {
      _ = try await database.createCollection("c", dimensions: 8, metric: .l2).upsert(records)
      try await database.close()
    }
    return disk.restarted(.everything)
  }

  private static func open(_ disk: any FileSystem) throws -> Database {
    try Database.open(at: path, fileSystem: disk, configuration: CrashTests.configuration)
  }

  private static func scrub(_ database: Database) throws -> ScrubStats {
    try database.scrubOnce()
    return try #require(try database.stats().activity?.scrub)
  }

  @Test func findsWhatDecaysWhileTheDatabaseIsOpen() async throws {
    try await onThread {
      let disk = try Self.prepared()
      let database = try Self.open(disk)
      let whole = try Self.scrub(database)
      #expect(whole.passes == 1 && whole.problems.isEmpty && whole.bytesChecked > 600 * 32)
      let pack = try #require(disk.filePaths.last { $0.hasSuffix(".pack") })
      disk.corrupt(pack, at: 4_096 + 5)
      let damaged = try Self.scrub(database)
      let problem = try #require(damaged.problems.first)
      #expect(problem.contains(pack) && problem.contains("array") && problem.contains("'c'"))
      #expect(try database.stats().activity?.corruptions == 1)
      // What is whole again is not reported for ever.
      disk.corrupt(pack, at: 4_096 + 5)
      #expect(try Self.scrub(database).problems.isEmpty)
      try CrashTests.wait { try await database.close() }
    }
  }

  @Test func readsTheLogAndTheRecordsToo() async throws {
    try await onThread {
      let disk = try Self.prepared()
      let records = "/data/db/records.sqlite"
      let bytes = try #require(disk.contents(records))
      // A metadata value in a leaf page: SQLite itself has no checksum that would notice.
      let key = Array("k599".utf8)
      let place = try #require(
        (0..<bytes.count - 12).first {
          Array(bytes[$0..<$0 + 4]) == key && bytes[$0 + 4..<$0 + 12].contains(UInt8(ascii: "n"))
        })
      disk.corrupt(records, at: place + 5)
      let database = try Self.open(disk)
      let found = try Self.scrub(database).problems
      #expect(found.contains { $0.contains("k599") || $0.contains("records") }, "\(found)")
      DamageFixture.close(database)
    }
  }

  /// A change would give the block a new hash, and the damage with it.
  @Test func aDamagedBlockIsNotBuiltUpon() async throws {
    try await onThread {
      let disk = try Self.prepared()
      let pack = try #require(disk.filePaths.last { $0.hasSuffix(".pack") })
      disk.corrupt(pack, at: 4_096 + 5)
      let database = try Self.open(disk)
      let new = VectorRecord(key: "new", vector: Array(repeating: 0.5, count: 8))
      let first = CrashTests.failure { _ = try await database.collection("c").upsert(new) }
      #expect(first?.code == .poisoned, "\(String(describing: first))")
      #expect(first?.message.contains(pack) == true, "\(String(describing: first))")
      let checkpoint = CrashTests.failure { _ = try await database.checkpoint() }
      #expect(checkpoint?.code == .poisoned)
      DamageFixture.close(database)
      // The batch is in the log; opening replays it and meets the same block.
      let again = CrashTests.failure { _ = try Self.open(disk) }
      #expect(again?.code == .corrupt && again?.remedy.contains("--repair") == true)
      // With the block whole again nothing was lost.
      disk.corrupt(pack, at: 4_096 + 5)
      let healed = try Self.open(disk)
      #expect(try healed.collection("c").get("new") == new)
      #expect(try CrashTests.wait { try await healed.check().problems } == [])
      try CrashTests.wait { try await healed.close() }
    }
  }

  /// On the real file system the thread in the background does it by itself.
  @Test func runsInTheBackground() async throws {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.scrubBytesPerSecond = 64 << 20
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let collection = try await database.createCollection("c", dimensions: 2, metric: .l2)
    try await collection.upsert(VectorRecord(key: "a", vector: [1, 2]))
    try await database.checkpoint()
    for _ in 0..<100 where try database.stats().activity?.scrub.passes == 0 {
      try await Task.sleep(nanoseconds: 100_000_000)
    }
    let activity = try #require(try database.stats().activity)
    #expect(activity.scrub.passes == 1 && activity.scrub.problems.isEmpty)
    #expect(activity.scrub.bytesChecked > 0 && activity.scrub.lastPassMilliseconds != nil)
    #expect(activity.commitGroups == 2 && activity.logAppend.count == 2)
    #expect(activity.checkpoint.count >= 1 && activity.applyLag == 0)
    try await database.close()
  }
}
