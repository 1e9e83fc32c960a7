import Foundation
import VecDB
import VecDBBlockStore
import VecDBFiles

/// Rebuilds one after the other, each ended in another way, until the process is killed; and what
/// must be after that.
struct Rebuilding {
  static let isOn = ProcessInfo.processInfo.environment["VECDB_REBUILDS"] != nil

  private let seed: UInt64

  init(_ seed: UInt64) { self.seed = seed }

  private static var options: RebuildOptions {
    var options = RebuildOptions()
    options.gate.queries = 20
    options.gate.recallTolerance = 0.2
    options.gate.latencyFactor = 1_000
    // Slow enough that every stage is met.
    options.budget.recordsPerSecond = 4_000
    return options
  }

  func run(_ database: Database, _ isOver: @Sendable () -> Bool) async throws {
    var generator = SplitMix64(seed: seed ^ UInt64(getpid()) << 20)
    let collection = try database.collection("c")
    while !isOver() {
      do {
        if try collection.rebuildStatus().stage == "none" {
          var options = Self.options
          options.m = Int.random(in: 4...24, using: &generator)
          options.graceSeconds = Int.random(in: 0...1, using: &generator) * 60
          try await collection.beginRebuild(options)
        }
        let chance = Int.random(in: 0..<4, using: &generator)
        if chance == 0 {
          // Given up in the middle.
          try await Task.sleep(
            nanoseconds: UInt64.random(in: 1...500, using: &generator) * 1_000_000)
          try await collection.cancelRebuild()
        }
        try await wait(collection, for: ["grace", "none"])
        try await Task.sleep(
          nanoseconds: UInt64.random(in: 1...200, using: &generator) * 1_000_000)
        if chance == 1 {
          try await collection.rollBackRebuild()
        } else {
          try await collection.retireRebuild()
        }
      } catch let error as VecDBError where error.code == .notFound || error.code == .diskFull {
        // It had ended by itself.
        try await Task.sleep(nanoseconds: 5_000_000)
      }
    }
  }

  /// Takes the rebuild that the process was killed in to its end.
  func finish(_ database: Database) async throws -> [String] {
    let collection = try database.collection("c")
    let stages = ["grace", "none"]
    try await wait(collection, for: stages)
    let status = try collection.rebuildStatus()
    guard stages.contains(status.stage.rawValue) else {
      return ["the rebuild does not end: \(status)"]
    }
    if status.stage == "grace" {
      do {
        if database.lsn % 2 == 0 {
          try await collection.rollBackRebuild()
        } else {
          try await collection.retireRebuild()
        }
      } catch let error as VecDBError where error.code == .notFound {
        // Its grace period has just ended.
      }
    }
    // What was given up leaves with the next checkpoints.
    for number in 0..<3 {
      try await collection.upsert(
        VectorRecord(
          key: "left\(number)", vector: Array(repeating: 3, count: Operation.dimensions)))
      try await database.checkpoint()
    }
    try await collection.delete((0..<3).map { "left\($0)" })
    try await database.checkpoint()
    return []
  }

  private func wait(_ collection: VectorCollection, for stages: [String]) async throws {
    for _ in 0..<3_000 {
      if stages.contains(try collection.rebuildStatus().stage.rawValue) { return }
      try await Task.sleep(nanoseconds: 10_000_000)
    }
  }

  /// Packs that no kept manifest names, and unfinished files, in a database that is closed.
  static func orphans(_ path: String) throws -> [String] {
    let files = PosixFileSystem()
    var problems: [String] = []
    for folder in ["packs", "manifests", "log"] {
      for name in try files.list("\(path)/\(folder)") where name.hasSuffix(".tmp") {
        problems.append("\(folder)/\(name) is left over")
      }
    }
    let store = try BlockStore(directory: path, fileSystem: files)
    let before = try files.list("\(path)/packs").sorted()
    _ = try store.collectGarbage()
    let after = try files.list("\(path)/packs").sorted()
    for name in before where !after.contains(name) {
      problems.append("packs/\(name) is needed by nothing")
    }
    return problems
  }
}
