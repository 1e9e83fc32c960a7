import Foundation
import Testing
import VecDB
import VecDBBytes

/// The times in the log never go back, whatever the system's clock does.
@Suite struct ClockTests {
  private static let start: Int64 = 1_800_000_000_000
  private static let tenYears: Int64 = 10 * 365 * 86_400_000

  @Test func aJumpOfTheClockLeavesPointsInTimeWhole() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let now = Guarded(Self.start)
    var configuration = DatabaseConfiguration()
    configuration.clock = { now.withLock { $0 } }
    configuration.maintenanceMinimum = .max
    configuration.logger.logLevel = .critical
    var database = try await Database.open(at: directory.file("db"), configuration: configuration)
    var items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    _ = try await database.backup(to: repository)
    func write(_ key: String, at time: Int64) async throws {
      now.withLock { $0 = time }
      try await items.upsert(VectorRecord(key: key, vector: [1, 2]))
    }
    try await write("a", at: Self.start + 10_000)
    try await write("b", at: Self.start + Self.tenYears)
    try await write("c", at: Self.start + 30_000)
    #expect(try database.stats().clockAheadMilliseconds == Self.tenYears - 30_000)
    // It is known after a restart, too.
    try await database.close()
    database = try await Database.open(at: directory.file("db"), configuration: configuration)
    items = try database.collection("items")
    try await write("d", at: Self.start + 40_000)
    #expect(try database.stats().clockAheadMilliseconds == Self.tenYears - 40_000)
    _ = try await database.archive(to: repository)
    try await database.close()
    func restore(_ time: Int64) async throws -> (RestoreReport, Int) {
      let path = directory.file("copy\(time)")
      let report = try await Database.restore(
        from: repository, to: path, target: .time(milliseconds: time))
      let copy = try await Database.open(at: path)
      defer { Task { try await copy.close() } }
      return (report, try copy.collection("items").count)
    }
    let (early, count) = try await restore(Self.start + 35_000)
    #expect(count == 1)
    #expect(early.omittedBatches == 3, "\(early)")
    #expect(early.omittedFromMilliseconds == Self.start + Self.tenYears)
    let (late, all) = try await restore(Self.start + Self.tenYears)
    #expect(all == 4 && late.omittedBatches == 0)
  }

  /// Times that a random clock gives: never before the one before, in the log and in the manifests.
  @Test(arguments: UInt64(1)...3)
  func timesNeverGoBack(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    let directory = try TemporaryDirectory()
    let now = Guarded(Self.start)
    var configuration = DatabaseConfiguration()
    configuration.clock = { now.withLock { $0 } }
    configuration.logger.logLevel = .critical
    var database = try await Database.open(at: directory.file("db"), configuration: configuration)
    try await database.createCollection("items", dimensions: 2, metric: .l2)
    for number in 0..<40 {
      let jump = Int64.random(in: -100_000...100_000, using: &generator)
      now.withLock { $0 += jump }
      if number % 10 == 9 {
        try await database.close()
        database = try await Database.open(at: directory.file("db"), configuration: configuration)
      }
      try await database.collection("items").upsert(
        VectorRecord(key: "k\(number)", vector: [Float(number), 0]))
    }
    let times = try database.logFrames(after: 0, bytesMaximum: 1 << 20).map(\.timeMilliseconds)
    #expect(times.count == 41 && times == times.sorted(), "seed \(seed): \(times)")
    try await database.close()
  }

  /// A prune whose clock was ahead condemns nothing for longer than any other.
  @Test func aPruneWithAClockAheadIsMadeUpFor() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<3 {
      try await items.upsert(
        (0..<500).map { VectorRecord(key: "k\($0)", vector: generator.vector(64)) })
      _ = try await database.backup(to: repository)
    }
    try await database.close()
    var policy = RetentionPolicy()
    policy.keepLast = 1
    func prune(at time: Int64) async throws -> PruneReport {
      try await Database.prune(
        repository: repository, keeping: policy, graceSeconds: 3_600, dryRun: false, force: false,
        nowMilliseconds: time)
    }
    let ahead = try await prune(at: Self.start + Self.tenYears)
    #expect(ahead.blocksCondemned > 0)
    #expect(try await prune(at: Self.start).blocksDeleted == 0)
    let later = try await prune(at: Self.start + 3_700_000)
    #expect(later.blocksDeleted == ahead.blocksCondemned)
  }
}
