import Foundation
import Testing
import VecDB

/// Rebuilds in the log: whoever replays it, from wherever, gets the same generations.
@Suite struct RebuildHistoryTests {
  private static func open(_ path: String) async throws -> Database {
    try await Database.open(at: path, configuration: RebuildTests.stepped())
  }

  private static func graphDigest(_ database: Database) async throws -> String {
    try database.stats(graphDigests: true).collections[0].graphDigest ?? ""
  }

  private static var options: RebuildOptions {
    var options = RebuildOptions(m: 10, efConstruction: 60)
    options.gate.queries = 50
    options.gate.latencyFactor = 100
    options.gate.recallTolerance = 0.05
    return options
  }

  private static func stepUntil(
    _ stage: RebuildStage, _ items: VectorCollection, _ database: Database
  ) throws {
    for _ in 0..<2_000 where try items.rebuildStatus().stage != stage {
      _ = database.stepRebuilds()
    }
    let status = try items.rebuildStatus()
    #expect(status.stage == stage, "\(status)")
  }

  @Test func `a restore to any point of a rebuild gives the same generations`() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let database = try await Self.open(directory.file("db"))
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .cosine)
    try await RebuildTests.fill(items, count: 3_000)
    _ = try await database.backup(to: repository)
    // LSN to the graph's digest and the data's.
    var points: [(lsn: UInt64, graph: String, data: String, stage: RebuildStage)] = []
    func note() async throws {
      let stats = try database.stats()
      points.append(
        (
          stats.lsn, try await Self.graphDigest(database), stats.dataDigest,
          try items.rebuildStatus().stage
        ))
    }
    try await items.beginRebuild(Self.options)
    for step in 0..<12 {
      _ = database.stepRebuilds()
      try await items.upsert(RebuildTests.records(9_000 + step * 10..<9_010 + step * 10))
    }
    try await items.delete(["k5", "k9003"])
    try await note()
    try Self.stepUntil("grace", items, database)
    try await note()
    try await items.upsert(RebuildTests.records(12_000..<12_400))
    try await note()
    try await items.rollBackRebuild()
    try await note()
    try await items.upsert(RebuildTests.records(13_000..<13_300))
    try await note()
    _ = try await database.backup(to: repository)
    try await database.close()
    for (number, point) in points.enumerated() {
      let path = directory.file("copy\(number)")
      let report = try await Database.restore(
        from: repository, to: path, target: .lsn(point.lsn),
        configuration: RebuildTests.stepped())
      #expect(report.lsn == point.lsn)
      let copy = try await Self.open(path)
      let restored = try copy.collection("items")
      #expect(try copy.stats().dataDigest == point.data)
      #expect(try await Self.graphDigest(copy) == point.graph, "at LSN \(point.lsn)")
      let stage = try restored.rebuildStatus().stage
      #expect(
        (stage == "grace") == (point.stage == "grace")
          && (stage == "none") == (point.stage == "none"))
      if stage != "none" { try Self.stepUntil("grace", restored, copy) }
      #expect(try await copy.check().problems.isEmpty)
      try await copy.close()
    }
  }

  @Test func `a backup in the middle of a rebuild restores and completes it`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Self.open(directory.file("db"))
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 12_000)
    try await items.beginRebuild(Self.options)
    while (items.otherGeneration?.graphSlotCount ?? 0) < 6_000 { _ = database.stepRebuilds() }
    let inserted = try #require(items.otherGeneration?.graphSlotCount)
    try await items.upsert(RebuildTests.records(20_000..<20_100))
    let backup = try await database.backup(to: directory.file("repository"))
    // The original goes on, too.
    try Self.stepUntil("grace", items, database)
    let digest = try await Self.graphDigest(database)
    try await database.close()
    _ = try await Database.restore(
      from: directory.file("repository"), to: directory.file("copy"), target: .lsn(backup.lsn),
      configuration: RebuildTests.stepped())
    let copy = try await Self.open(directory.file("copy"))
    let restored = try copy.collection("items")
    #expect(restored.otherGeneration?.graphSlotCount == inserted, "the partial build travels")
    try Self.stepUntil("grace", restored, copy)
    #expect(try await Self.graphDigest(copy) == digest)
    #expect(try await copy.check().problems.isEmpty)
    #expect(try RebuildTests.recall(restored) > 0.9)
    try await copy.close()
  }

  @Test func `a partial build survives a close and is the same with other threads`() async throws {
    let directory = try TemporaryDirectory()
    var digests: [String] = []
    for threads in [1, 3] {
      let path = directory.file("db\(threads)")
      var configuration = RebuildTests.stepped()
      configuration.buildThreads = threads
      // How maintenance is cut into batches is a matter of time.
      configuration.maintenanceMinimum = .max
      var database = try await Database.open(at: path, configuration: configuration)
      var items = try await database.createCollection(
        "items", dimensions: RebuildTests.dimensions, metric: .dot)
      try await RebuildTests.fill(items, count: 4_000)
      var options = Self.options
      options.budget.threads = threads
      try await items.beginRebuild(options)
      // The newest checkpoint has the LSN, but nothing of what the steps build.
      try await database.checkpoint()
      for _ in 0..<(threads * 7) { _ = database.stepRebuilds() }
      if threads == 3 {
        let inserted = items.otherGeneration?.graphSlotCount ?? 0
        #expect(inserted > 0)
        try await database.close()
        database = try await Database.open(at: path, configuration: configuration)
        items = try database.collection("items")
        #expect(items.otherGeneration?.graphSlotCount == inserted)
      }
      try await items.upsert(RebuildTests.records(30_000..<30_700))
      try Self.stepUntil("grace", items, database)
      digests.append(try await Self.graphDigest(database))
      try await database.close()
    }
    #expect(digests[0] == digests[1])
  }

  @Test func `retiring returns memory and disk`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Self.open(directory.file("db"))
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 20_000)
    try await database.checkpoint()
    let before = try database.stats()
    var options = Self.options
    options.m = nil
    try await items.beginRebuild(options)
    try Self.stepUntil("grace", items, database)
    let during = try #require(try database.stats().livePackBytes)
    weak let other = items.otherGeneration
    #expect(other != nil)
    try await items.retireRebuild()
    for _ in 0..<1_000 where other != nil { try await Task.sleep(for: .milliseconds(10)) }
    #expect(other == nil, "the arrays of the old generation are gone")
    let after = try database.stats()
    // While both are kept the packs have both; then the old one's share is dead. How much of it is
    // gone at once depends on which checkpoints came when.
    let (old, new) = (before.collections[0].indexBytes, after.collections[0].indexBytes)
    #expect(during > (old + new) / 10 * 9, "\(during), \(old), \(new)")
    #expect(try #require(after.livePackBytes) < during - old / 10 * 9)
    // What is left is the new generation, and at most as much again that is dead.
    #expect(after.packBytes < new * 2 + (4 << 20))
    // Dead slots take no vectors and no nodes.
    #expect(after.collections[0].indexBytes < before.collections[0].indexBytes)
    try await database.close()
  }

  @Test func `slots that were dead when the graph was built are used again`() async throws {
    let directory = try TemporaryDirectory()
    var configuration = RebuildTests.stepped()
    configuration.maintenanceMinimum = .max
    var database = try await Database.open(at: directory.file("db"), configuration: configuration)
    var items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 3_000)
    try await items.beginRebuild(Self.options)
    try Self.stepUntil("grace", items, database)
    try await items.retireRebuild()
    let absent = try database.stats().collections[0].dead
    #expect(absent > 600)
    try await database.close()
    // Only now is maintenance allowed.
    configuration.maintenanceMinimum = 10
    configuration.maintenanceShare = 0
    database = try await Database.open(at: directory.file("db"), configuration: configuration)
    items = try database.collection("items")
    try await items.delete("k2999")
    for _ in 0..<2_000 where try database.stats().collections[0].free < absent {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(try database.stats().collections[0].free >= absent)
    var problems = try await database.check().problems
    #expect(problems.isEmpty, "\(problems)")
    let slots = try database.stats().collections[0].slots
    try await items.upsert(RebuildTests.records(50_000..<50_400))
    #expect(try database.stats().collections[0].slots == slots)
    problems = try await database.check().problems
    #expect(problems.isEmpty, "\(problems)")
    #expect(try RebuildTests.recall(items) > 0.95)
    try await database.close()
  }

  @Test func `what cannot be begun says why`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Self.open(directory.file("db"))
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 500)
    await expectError(.notFound) { try await items.cancelRebuild() }
    await expectError(.notFound) { try await items.rollBackRebuild() }
    await expectError(.notFound) { try items.setRebuildBudget(RebuildBudget()) }
    await expectError(.invalidArgument) { try await items.beginRebuild(RebuildOptions(m: 1_000)) }
    var small = RebuildOptions()
    small.budget.memoryBytes = 1_000
    await expectError(.limitExceeded) { try await items.beginRebuild(small) }
    try await items.beginRebuild(Self.options)
    await expectError(.alreadyExists) { try await items.beginRebuild() }
    await expectError(.alreadyExists) { _ = try await items.tryRebuild([]) }
    var budget = RebuildBudget()
    budget.recordsPerSecond = 10
    try items.setRebuildBudget(budget)
    #expect(try items.rebuildStatus().budget == budget)
    try await items.cancelRebuild()
    let trial = try await items.tryRebuild([
      .init(m: 8), .init(m: 24, efConstruction: 90), .init(efConstruction: 70),
    ])
    #expect(trial.rows.map(\.m) == [16, 8, 24, 16] && trial.rows[0].isCurrent)
    // What is not given stays as it is.
    #expect(trial.rows.map(\.efConstruction) == [128, 128, 90, 70])
    try await database.close()
  }

  @Test func `threads of the database do it all while others search and write`() async throws {
    let directory = try TemporaryDirectory()
    var configuration = RebuildTests.stepped()
    configuration.rebuildsInBackground = true
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 6_000)
    var options = Self.options
    options.graceSeconds = 3_600
    let wanted = options
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { _ = try await items.rebuild(wanted) }
      group.addTask {
        for batch in 0..<30 {
          let new = RebuildTests.records(40_000 + batch * 20..<40_020 + batch * 20)
          try await items.upsert(new)
          let hits = try items.search(new[3].vector, k: 1).hits
          #expect(hits.first?.key == new[3].key && hits.first?.distance == 0)
          try await items.delete(new[4].key)
          #expect(try items.search(new[4].vector, k: 1).hits.first?.key != new[4].key)
        }
      }
      try await group.waitForAll()
    }
    #expect(try items.rebuildStatus().stage == "grace")
    let started = ContinuousClock.now
    try await items.rollBackRebuild()
    let took = ContinuousClock.now - started
    print("rollback took \(took)")
    // Not built again: that takes far longer than the moment that it takes on a quiet machine.
    #expect(took < .seconds(20))
    #expect(try await database.check().problems.isEmpty)
    try await database.close()
  }
}
