import Foundation
import Logging
import Synchronization
import Testing
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// The database on a simulated disk: the power fails at every operation of some work, and what
/// comes back must be what was acknowledged, whole and searchable.
@Suite struct CrashTests {
  /// What is known to be done: the records that were acknowledged, and those after the call that
  /// was under way, which may have been done or not.
  struct Model: Sendable {
    var acknowledged: [String: VectorRecord] = [:]
    var attempted: [String: VectorRecord]?
  }

  enum Step: Sendable {
    case upsert([VectorRecord])
    case delete([String])
    case checkpoint
    case reopen
    case backup
  }

  struct Wrong: Error, CustomStringConvertible {
    var description: String
  }

  static let dimensions = 4

  static func steps(seed: UInt64, count: Int) -> [Step] {
    var generator = SeededGenerator(seed: seed)
    func key() -> String { "k\(Int.random(in: 0..<40, using: &generator))" }
    return (0..<count).map { _ in
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...5:
        let keys = Set((0..<Int.random(in: 1...6, using: &generator)).map { _ in key() }).sorted()
        return .upsert(
          keys.map {
            VectorRecord(
              key: $0, vector: generator.vector(dimensions),
              metadata: ["n": .integer(Int64.random(in: 0...5, using: &generator))])
          })
      case 6, 7: return .delete([key(), key()])
      case 8, 9: return .checkpoint
      case 10: return .reopen
      default: return .backup
      }
    }
  }

  static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = 1
    // Checkpoints come only where the steps say, so that operations have the same order each time.
    configuration.checkpointReplayMilliseconds = 1_000_000
    // Poisoned databases are expected here; their messages would drown the rest.
    configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    return configuration
  }

  static func open(_ disk: SimulatedDisk) throws -> Database {
    try Database.open(at: "/data/db", fileSystem: disk, configuration: configuration)
  }

  /// Runs async work to its end on this thread's behalf.
  static func wait<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      let outcome: Result<Value, any Error>
      do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
      result.withLock { $0 = outcome }
      done.signal()
    }
    done.wait()
    guard let outcome = result.withLock({ $0 }) else { throw Wrong(description: "no result") }
    return try outcome.get()
  }

  /// The `VecDBError` of some work; nil if it succeeds.
  static func failure(_ body: @escaping @Sendable () async throws -> Void) -> VecDBError? {
    do { try wait(body) } catch { return error as? VecDBError }
    return nil
  }

  static func prepare(_ disk: SimulatedDisk) throws {
    try disk.createDirectory("/data")
    let database = try open(disk)
    try wait {
      try await database.createCollection("items", dimensions: dimensions, metric: .l2)
      try await database.close()
    }
  }

  static func perform(_ steps: [Step], on disk: SimulatedDisk, _ model: inout Model) throws {
    var database = try open(disk)
    for step in steps {
      let now = database
      switch step {
      case .upsert(let records):
        var next = model.acknowledged
        for record in records { next[record.key] = record }
        model.attempted = next
        try wait { _ = try await now.collection("items").upsert(records) }
        model.acknowledged = next
      case .delete(let keys):
        var next = model.acknowledged
        for key in keys { next[key] = nil }
        model.attempted = next
        try wait { _ = try await now.collection("items").delete(keys) }
        model.acknowledged = next
      case .checkpoint: try wait { _ = try await now.checkpoint() }
      case .backup: try wait { _ = try await now.backup(to: "/data/repository") }
      case .reopen:
        try wait { try await now.close() }
        database = try open(disk)
      }
      model.attempted = nil
    }
    let last = database
    try wait { try await last.close() }
  }

  /// The recovered state is what was acknowledged, or that and the call under way; it is found by
  /// key and by search, `check` finds nothing, and writing works.
  static func verify(_ disk: SimulatedDisk, _ model: Model) throws {
    let database = try open(disk)
    let items = try database.collection("items")
    let found = try items.scroll(limit: 10_000).records
    let byKey = Dictionary(uniqueKeysWithValues: found.map { ($0.key, $0) })
    guard byKey == model.acknowledged || byKey == model.attempted else {
      let missing = model.acknowledged.keys.filter { byKey[$0] == nil }
      throw Wrong(description: "recovered \(byKey.count) records, missing \(missing)")
    }
    for record in found {
      let hits = try items.search(record.vector, k: 3).hits
      guard hits.contains(where: { $0.key == record.key && $0.distance == 0 }) else {
        throw Wrong(description: "search does not find \(record.key)")
      }
    }
    let everything = try items.search([0, 0, 0, 0], k: 10_000).hits.map(\.key)
    guard Set(everything) == Set(byKey.keys), everything.count == byKey.count else {
      throw Wrong(description: "search returns what is not there")
    }
    let problems = try wait { try await database.check().problems }
    guard problems.isEmpty else { throw Wrong(description: "check: \(problems)") }
    try wait {
      try await items.upsert(VectorRecord(key: "after", vector: [1, 2, 3, 4]))
      try await database.close()
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func powerFailureAtEveryOperation(seed: UInt64) async throws {
    let checked = try await onThread {
      let steps = Self.steps(seed: seed, count: 14)
      let test = CrashTest(
        initial: Model(), prepare: Self.prepare,
        work: { disk, model in try Self.perform(steps, on: disk, &model) }, check: Self.verify)
      return try test.run(seed: seed, chances: 2, limit: 60)
    }
    #expect(checked > 100)
    print("power failures checked: \(checked) (seed \(seed))")
  }

  @Test(arguments: [Fault.Effect.failedSync, .diskFull, .inputOutputError])
  func faultAtEveryOperation(effect: Fault.Effect) async throws {
    let checked = try await onThread {
      let steps = Self.steps(seed: 11, count: 12)
      let test = CrashTest(
        initial: Model(), prepare: Self.prepare,
        work: { disk, model in
          // A fault may fail a call or go unnoticed; what was acknowledged must be there all the
          // same.
          do { try Self.perform(steps, on: disk, &model) } catch is VecDBError {}
        }, check: Self.verify)
      return try test.run(effect, chances: 1, limit: 40)
    }
    print("faults checked: \(checked) (\(effect))")
  }

  /// The graph is built when 1,024 records are there; a crash around that must not change it.
  @Test func powerFailureWhileTheGraphIsBuilt() async throws {
    let checked = try await onThread { try Self.crashWhileBuilding() }
    print("power failures checked: \(checked) (graph)")
  }

  private static func crashWhileBuilding() throws -> Int {
    var generator = SeededGenerator(seed: 5)
    let records = (0..<1_300).map {
      VectorRecord(key: "r\($0)", vector: generator.vector(Self.dimensions))
    }
    let test = CrashTest(
      initial: Model(),
      prepare: { disk in
        try Self.prepare(disk)
        let database = try Self.open(disk)
        try Self.wait {
          _ = try await database.collection("items").upsert(Array(records[0..<1_000]))
          try await database.close()
        }
      },
      work: { disk, model in
        for record in records[0..<1_000] { model.acknowledged[record.key] = record }
        try Self.perform(
          [
            .upsert(Array(records[1_000..<1_150])), .checkpoint,
            .upsert(Array(records[1_150..<1_300])), .delete(["r3", "r1200"]), .checkpoint,
          ], on: disk, &model)
      }, check: Self.verify)
    return try test.run(chances: 1, limit: 15)
  }
}
