import Foundation
import Logging
import Testing
import VecDB
import VecDBSimulatedDisk

/// A rebuild that cannot finish ends, and so does whoever waits for it.
@Suite struct RebuildBoundTests {
  private static func database(
    _ directory: TemporaryDirectory, _ change: (inout DatabaseConfiguration) -> Void
  ) async throws -> (Database, VectorCollection) {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    change(&configuration)
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    var generator = SeededGenerator(seed: 3)
    try await items.upsert(
      (0..<2_000).map { VectorRecord(key: "k\($0)", vector: generator.vector(8)) })
    return (database, items)
  }

  private static var easyGate: RebuildOptions {
    var options = RebuildOptions(m: 12)
    options.gate.minimumRecall = 0
    options.gate.latencyFactor = 1_000_000
    return options
  }

  private static func update(
    _ items: VectorCollection, _ generator: inout SeededGenerator
  ) async throws {
    try await items.upsert(
      (0..<200).map { VectorRecord(key: "k\($0)", vector: generator.vector(8)) })
  }

  @Test func aCandidateThatIsNeverReadyIsGivenUp() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.database(directory) {
      // Nobody works on it, as on a machine that has no time for it.
      $0.rebuildsInBackground = false
      $0.rebuildDeadSlots = 1_000
    }
    var generator = SeededGenerator(seed: 4)
    try await items.beginRebuild(Self.easyGate)
    for _ in 0..<40 { try await Self.update(items, &generator) }
    let status = try items.rebuildStatus()
    #expect(status.stage == "none" && status.lastOutcome.contains("keep up"), "\(status)")
    let stats = try database.stats().collections[0]
    #expect(stats.slots < 2_000 + 4_000, "\(stats)")
    #expect(try await database.check().problems == [])
    try await database.close()
  }

  @Test func theOldGenerationIsGivenUpWhenItCostsTooMuch() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.database(directory) { $0.rebuildDeadSlots = 1_000 }
    var generator = SeededGenerator(seed: 5)
    let report = try await items.rebuild(Self.easyGate)
    #expect(report.graceSeconds == 600)
    // The policy may begin another rebuild after it.
    var outcomes: Set<String> = []
    for _ in 0..<60 {
      try await Self.update(items, &generator)
      outcomes.insert(try items.rebuildStatus().lastOutcome)
    }
    #expect(outcomes.contains { $0.contains("early") }, "\(outcomes)")
    #expect(try database.stats().collections[0].slots < 2_000 + 6_000)
    #expect(try items.rebuildStatus().m == 12)
    try await database.close()
  }

  /// Free slots are taken while a rebuild goes on: many rebuilds cost no more slots than two.
  @Test func slotsStayBoundedWhileRebuildsFollowEachOther() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.database(directory) { $0.maintenanceMinimum = 100 }
    var generator = SeededGenerator(seed: 8)
    var slots: [Int] = []
    for round in 0..<7 {
      var options = Self.easyGate
      options.m = round % 2 == 0 ? 12 : 16
      try await items.beginRebuild(options)
      for _ in 0..<10 { try await Self.update(items, &generator) }
      for _ in 0..<2_000 where try items.rebuildStatus().stage != "grace" {
        try await Task.sleep(nanoseconds: 5_000_000)
      }
      for _ in 0..<5 { try await Self.update(items, &generator) }
      // The old generation takes free slots as the new one does: it can serve again.
      if round == 3 {
        try await items.rollBackRebuild(reason: "test")
      } else {
        try await items.retireRebuild()
      }
      #expect(try await database.check().problems == [], "round \(round)")
      for _ in 0..<2_000 {
        let stats = try database.stats().collections[0]
        if stats.dead < 900 { break }
        try await Task.sleep(nanoseconds: 5_000_000)
      }
      slots.append(try database.stats().collections[0].slots)
    }
    // Each round writes 3,000 records.
    #expect(try #require(slots.last) <= slots[1] + 1_500, "\(slots)")
    try await database.close()
  }

  /// The end of the grace period must not be missed, however short it is.
  @Test func aRebuildWithoutGraceSucceeds() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.database(directory) { _ in }
    for turn in 0..<8 {
      var options = Self.easyGate
      options.m = 8 + turn
      options.graceSeconds = 0
      let report = try await items.rebuild(options)
      #expect(report.m == 8 + turn && report.swapLSN > 0)
      for _ in 0..<1_000 where try items.rebuildStatus().stage != "none" {
        try await Task.sleep(nanoseconds: 5_000_000)
      }
    }
    try await database.close()
  }

  @Test func whoWaitsForARebuildLearnsThatItIsHeldUp() async throws {
    let disk = SimulatedDisk(seed: 9)
    try disk.createDirectory("/data")
    var configuration = CrashTests.configuration
    configuration.rebuildPatienceMilliseconds = 300
    let database = try Database.open(
      at: "/data/db", fileSystem: disk, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    var generator = SeededGenerator(seed: 6)
    try await items.upsert(
      (0..<1_500).map { VectorRecord(key: "k\($0)", vector: generator.vector(8)) })
    // The checkpoint before the swap fails again and again.
    disk.inject(Fault(.diskFull, pathContaining: "packs", times: .max))
    await expectError(.notReached) { _ = try await items.rebuild(Self.easyGate) }
    disk.removeFaults()
    // It goes on by itself.
    for _ in 0..<1_000 where try items.rebuildStatus().stage != "grace" {
      try await Task.sleep(nanoseconds: 10_000_000)
    }
    #expect(try items.rebuildStatus().stage == "grace")
    // A poisoned database never finishes one.
    try await items.retireRebuild()
    disk.inject(Fault(.failedSync, pathContaining: "segment-wal", skipping: 1, times: .max))
    var options = Self.easyGate
    options.m = 20
    let error = await expectError(.poisoned) { _ = try await items.rebuild(options) }
    #expect(error != nil)
    try? await database.close()
  }
}
