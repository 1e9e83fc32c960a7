import Foundation
import Testing
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// Power failures at every operation of histories with rebuilds: the database opens serving, has
/// all that was acknowledged, and the rebuild goes on to its end or was never begun.
@Suite struct RebuildCrashTests {
  private enum Step: Sendable {
    case begin(m: Int)
    /// Steps of the rebuild, then a few records.
    case build(steps: Int)
    /// Until the new generation serves.
    case swap
    case upsert(Range<Int>)
    case delete([String])
    case checkpoint
    case rollBack
    case retire
    case cancel
    case reopen
  }

  private static let first = 1_100

  private static var configuration: DatabaseConfiguration {
    var configuration = CrashTests.configuration
    configuration.rebuildsInBackground = false
    return configuration
  }

  private static func open(_ disk: SimulatedDisk) throws -> Database {
    try Database.open(at: "/data/db", fileSystem: disk, configuration: configuration)
  }

  private static func records(_ range: Range<Int>) -> [VectorRecord] {
    range.map { number in
      var generator = SeededGenerator(seed: UInt64(number) &+ 900)
      return VectorRecord(key: "r\(number)", vector: generator.vector(CrashTests.dimensions))
    }
  }

  private static func prepare(_ disk: SimulatedDisk) throws {
    try CrashTests.prepare(disk)
    let database = try open(disk)
    try CrashTests.wait {
      let items = try database.collection("items")
      _ = try await items.upsert(records(0..<first))
      _ = try await items.delete(["r7", "r8", "r500"])
      try await database.close()
    }
  }

  private static var initial: CrashTests.Model {
    var model = CrashTests.Model()
    for record in records(0..<first) { model.acknowledged[record.key] = record }
    for key in ["r7", "r8", "r500"] { model.acknowledged[key] = nil }
    return model
  }

  private static var options: RebuildOptions {
    var options = RebuildOptions()
    options.gate.queries = 10
    options.gate.recallTolerance = 1
    options.gate.latencyFactor = 1_000
    return options
  }

  private static func perform(
    _ steps: [Step], on disk: SimulatedDisk, _ model: inout CrashTests.Model
  ) throws {
    var database = try open(disk)
    for step in steps {
      let now = database
      let items = try now.collection("items")
      switch step {
      case .begin(let m):
        var options = options
        options.m = m
        try CrashTests.wait { [options] in _ = try await items.beginRebuild(options) }
      case .build(let count): for _ in 0..<count { _ = now.stepRebuilds() }
      case .swap: try finish(now)
      case .upsert(let range):
        let records = records(range)
        model.attempted = model.acknowledged
        for record in records { model.attempted?[record.key] = record }
        try CrashTests.wait { _ = try await items.upsert(records) }
        model.acknowledged = model.attempted ?? [:]
        model.attempted = nil
      case .delete(let keys):
        model.attempted = model.acknowledged
        for key in keys { model.attempted?[key] = nil }
        try CrashTests.wait { _ = try await items.delete(keys) }
        model.acknowledged = model.attempted ?? [:]
        model.attempted = nil
      case .checkpoint: try CrashTests.wait { _ = try await now.checkpoint() }
      case .rollBack: try CrashTests.wait { _ = try await items.rollBackRebuild() }
      case .retire: try CrashTests.wait { _ = try await items.retireRebuild() }
      case .cancel: try CrashTests.wait { _ = try await items.cancelRebuild() }
      case .reopen:
        try CrashTests.wait { try await now.close() }
        database = try open(disk)
      }
    }
    let last = database
    try CrashTests.wait { try await last.close() }
  }

  /// Steps until no candidate is built any more.
  private static func finish(_ database: Database) throws {
    let items = try database.collection("items")
    for _ in 0..<400 {
      let stage = try items.rebuildStatus().stage
      if stage == "grace" || stage == "none" { return }
      _ = database.stepRebuilds()
      if try items.rebuildStatus().reason.hasPrefix("held up") {
        throw CrashTests.Wrong(description: try items.rebuildStatus().reason)
      }
    }
    throw CrashTests.Wrong(description: "the rebuild does not end: \(try items.rebuildStatus())")
  }

  /// As after any crash; then the rebuild is taken to its end, and all must hold again.
  private static func verify(_ disk: SimulatedDisk, _ model: CrashTests.Model) throws {
    let database = try open(disk)
    let items = try database.collection("items")
    for record in try items.scroll(limit: 5).records {
      guard try items.search(record.vector, k: 1).hits.first?.distance == 0 else {
        throw CrashTests.Wrong(description: "search does not find \(record.key) at once")
      }
    }
    try finish(database)
    try CrashTests.wait {
      if try items.rebuildStatus().stage == "grace" {
        if model.acknowledged.count % 2 == 0 {
          try await items.rollBackRebuild()
        } else {
          try await items.retireRebuild()
        }
      }
      try await database.close()
    }
    try CrashTests.verify(disk, model)
    let left = try disk.list("/data/db/packs") + disk.list("/data/db/manifests")
    guard !left.contains(where: { $0.hasSuffix(".tmp") }) else {
      throw CrashTests.Wrong(description: "temporary files are left: \(left)")
    }
  }

  @Test func powerFailureDuringARebuild() async throws {
    let checked = try await onThread {
      try CrashTest(
        initial: Self.initial, prepare: Self.prepare,
        work: { disk, model in
          try Self.perform(
            [
              .begin(m: 8), .build(steps: 6), .upsert(2_000..<2_030), .checkpoint,
              .build(steps: 6), .delete(["r9", "r2001"]), .swap, .upsert(3_000..<3_040),
              .checkpoint, .rollBack, .upsert(3_100..<3_104),
            ], on: disk, &model)
        }, check: Self.verify
      ).run(seed: 21, chances: 1, limit: 22)
    }
    print("power failures checked: \(checked) (rebuild and rollback, seed 21)")
  }

  @Test func powerFailureAcrossReopening() async throws {
    let checked = try await onThread {
      try CrashTest(
        initial: Self.initial, prepare: Self.prepare,
        work: { disk, model in
          try Self.perform(
            [
              .begin(m: 6), .build(steps: 10), .reopen, .build(steps: 4), .cancel, .begin(m: 8),
              .swap, .upsert(3_000..<3_020), .reopen, .retire, .delete(["r3", "r3001"]),
            ], on: disk, &model)
        }, check: Self.verify
      ).run(seed: 22, chances: 1, limit: 22)
    }
    print("power failures checked: \(checked) (rebuild, cancelled, again and retired, seed 22)")
  }
}
