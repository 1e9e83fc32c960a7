import Foundation
import VecDB

/// Several writers, checkpoints and backups at once, until the process is killed.
struct Writing {
  let directory: String
  let receipts: String
  let seed: UInt64
  let writers: Int
  /// Ends by itself after this; nil runs until it is killed.
  let seconds: Double?

  static func configuration() -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    // Small, so that every kind of file is written, sealed and removed all the time.
    configuration.logSegmentBytes = 256 << 10
    configuration.checkpointLogBytes = 200 << 10
    configuration.controlSocket = false
    configuration.scrubBytesPerSecond = 4 << 20
    configuration.scrubIntervalSeconds = 2
    return configuration
  }

  func run() async throws {
    let known = try Receipts(path: receipts)
    let journal = try ReceiptWriter(path: receipts)
    let database = try await Database.open(
      at: directory + "/db", configuration: Self.configuration())
    let name = "c"
    if try database.collections().isEmpty {
      try await database.createCollection(
        name, dimensions: Operation.dimensions, metric: .l2)
    }
    print("writing")
    fflush(nil)
    let collection = try database.collection(name)
    let deadline = seconds.map { Date().addingTimeInterval($0) }
    @Sendable func isOver() -> Bool { deadline.map { Date() >= $0 } ?? false }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<writers {
        group.addTask {
          var step = known.next[writer] ?? 0
          while !isOver() {
            do {
              try await Operation(seed: seed, writer: writer, step: step).perform(on: collection)
              try journal.add(writer: writer, step: step, isAcknowledged: true)
            } catch let error as VecDBError
              where error.code == .diskFull || error.code == .overloaded
            {
              try journal.add(writer: writer, step: step, isAcknowledged: false)
              try await Task.sleep(nanoseconds: 5_000_000)
            }
            step += 1
          }
        }
      }
      group.addTask { try await keepHouse(database, isOver: isOver) }
      if Rebuilding.isOn { group.addTask { try await Rebuilding(seed).run(database, isOver) } }
      try await group.waitForAll()
    }
    try await database.close()
  }

  /// Checkpoints and backups at random moments, and searches between them.
  private func keepHouse(
    _ database: Database, isOver: @Sendable () -> Bool
  ) async throws {
    var generator = SplitMix64(seed: seed ^ UInt64(getpid()))
    var round = 0
    while !isOver() {
      try await Task.sleep(nanoseconds: UInt64.random(in: 5...60, using: &generator) * 1_000_000)
      round += 1
      do {
        if round % 3 == 0 { try await database.checkpoint() }
        if round % 8 == 5 { _ = try await database.backup(to: directory + "/repository") }
        let query = (0..<Operation.dimensions).map { _ in
          Float.random(in: -1...1, using: &generator)
        }
        _ = try database.collection("c").search(query, k: 5)
      } catch let error as VecDBError where error.code == .diskFull {
        continue
      }
    }
  }
}
