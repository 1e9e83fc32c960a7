import Foundation
import Synchronization
import Testing
import VecDB

final class Flag: Sendable {
  private let value = Atomic(false)
  var isSet: Bool { value.load(ordering: .relaxed) }
  func set() { value.store(true, ordering: .relaxed) }
}

/// Many writers, many readers, checkpoints and backups at once.
@Suite struct ConcurrencyTests {
  /// Small enough to run under the thread sanitizer.
  @Test func writersReadersCheckpointsAndBackups() async throws {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.checkpointReplayMilliseconds = 5
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    let isDone = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for reader in 0..<2 {
        group.addTask {
          var generator = SeededGenerator(seed: UInt64(reader))
          while !isDone.isSet {
            let hits = try items.search(
              generator.vector(8), k: 5, options: .init(includeMetadata: true)
            ).hits
            #expect(hits.allSatisfy { $0.metadata?["writer"] != nil })
            await Task.yield()
          }
        }
      }
      try await withThrowingTaskGroup(of: Void.self) { writers in
        for writer in 0..<4 {
          writers.addTask {
            var generator = SeededGenerator(seed: UInt64(100 + writer))
            for round in 0..<40 {
              let key = "w\(writer)-\(round % 25)"
              let records = (0..<20).map { number in
                VectorRecord(
                  key: "\(key)-\(number)", vector: generator.vector(8),
                  metadata: ["writer": .integer(Int64(writer))])
              }
              try await items.upsert(records)
              #expect(try items.get("\(key)-0") == records[0])
              #expect(try items.search(records[7].vector, k: 1).hits.first?.key == records[7].key)
              if round % 10 == 9 { try await items.delete(records.map(\.key)) }
            }
          }
        }
        writers.addTask {
          var last: UInt64 = 0
          for round in 0..<30 {
            let stats = try database.stats(graphDigests: round % 10 == 0)
            #expect(stats.lsn >= last)
            last = stats.lsn
            await Task.yield()
          }
        }
        writers.addTask {
          for _ in 0..<3 { _ = try await database.backup(to: directory.file("repo")) }
        }
        try await writers.waitForAll()
      }
      isDone.set()
      try await group.waitForAll()
    }
    #expect(try await database.check().problems == [])
    let digest = try database.stats().dataDigest
    try await database.close()
    let reopened = try await Database.open(at: directory.file("db"))
    #expect(try reopened.stats().dataDigest == digest)
    try await reopened.close()
    #expect(try await Database.verify(repository: directory.file("repo")).problems == [])
  }

  /// Writers that come together share transactions: fewer commits than calls is not visible, but
  /// LSNs are gap-free, one for each call, and every receipt is unique.
  @Test func everyCallGetsItsOwnReceipt() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    let first = database.lsn
    let receipts = try await withThrowingTaskGroup(of: Receipt.self) { group in
      for number in 0..<64 {
        group.addTask {
          try await items.upsert(VectorRecord(key: "\(number)", vector: [Float(number), 1])).receipt
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(receipts.map(\.lsn).sorted() == Array(first + 1...first + 64))
    try await database.close()
  }

  /// Calls that change the same key in one group see each other.
  @Test func callsOnTheSameKey() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 1, metric: .l2)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for round in 0..<200 {
        group.addTask {
          if round % 3 == 0 {
            try await items.delete(["same"])
          } else {
            try await items.upsert(VectorRecord(key: "same", vector: [Float(round)]))
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(items.count <= 1)
    #expect(try await database.check().problems == [])
    try await database.close()
  }

  /// A call of more than 16 MiB is split, and says so.
  @Test func largeCallsAreSplit() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 65_536, metric: .l2)
    var vector = [Float](repeating: 0.5, count: 65_536)
    let records = (0..<70).map { number in
      vector[number] = Float(number)
      return VectorRecord(key: "\(number)", vector: vector)
    }
    let result = try await items.upsert(records)
    #expect(result.batches == 2 && result.inserted == 70)
    #expect(try items.search(records[69].vector, k: 1).hits.first?.key == "69")
    #expect(try items.get("3") == records[3])
    try await database.close()
  }
}
