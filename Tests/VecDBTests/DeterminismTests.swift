import Foundation
import Testing
import VecDB

/// Equal logs give equal databases: whatever the threads, whenever it was closed or killed.
@Suite struct DeterminismTests {
  private static let dimensions = 16

  /// Upserts, updates and deletes, in batches of many sizes.
  private static func load(_ items: VectorCollection, batches: Range<Int>) async throws {
    for batch in batches {
      var generator = SeededGenerator(seed: UInt64(1_000 + batch))
      let size = [1, 7, 300, 90, 700][batch % 5]
      try await items.upsert(
        (0..<size).map { _ in
          VectorRecord(
            key: "k\(Int.random(in: 0..<4_000, using: &generator))",
            vector: generator.vector(dimensions), metadata: ["b": .integer(Int64(batch))])
        })
      if batch % 4 == 3 {
        try await items.delete(
          (0..<50).map { _ in "k\(Int.random(in: 0..<4_000, using: &generator))" })
      }
    }
  }

  private struct Outcome: Equatable {
    var collections: [CollectionStats]
    var chainedDigest: String
    var answers: [[Hit]]
  }

  private static func outcome(_ database: Database) throws -> Outcome {
    var generator = SeededGenerator(seed: 99)
    let items = try database.collection("items")
    let stats = try database.stats(graphDigests: true)
    return Outcome(
      collections: stats.collections, chainedDigest: stats.dataDigest,
      answers: try (0..<40).map { _ in try items.search(generator.vector(dimensions), k: 10).hits })
  }

  private static func run(
    threads: Int, metric: Metric, reopening: Set<Int>, killing: Set<Int>
  ) async throws -> Outcome {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = threads
    configuration.logger.logLevel = .critical
    // The copies below would stumble over a socket.
    configuration.controlSocket = false
    // When maintenance comes depends on when the writer is idle; it is logged like all else, and
    // MaintenanceTests replays it.
    configuration.maintenanceMinimum = .max
    // A "kill" is a copy of the directory as it is, opened instead: nothing gets to say goodbye.
    var path = directory.file("db")
    var database = try await Database.open(at: path, configuration: configuration)
    try await database.createCollection("items", dimensions: dimensions, metric: metric)
    for batch in 0..<20 {
      if reopening.contains(batch) {
        try await database.close()
        database = try await Database.open(at: path, configuration: configuration)
      }
      if killing.contains(batch) {
        let copy = directory.file("copy-\(batch)")
        try copyTree(atPath: path, toPath: copy)
        try await database.close()
        path = copy
        database = try await Database.open(at: path, configuration: configuration)
      }
      try await load(database.collection("items"), batches: batch..<batch + 1)
    }
    let result = try outcome(database)
    let problems = try await database.check().problems
    #expect(problems == [], "\(problems)")
    try await database.close()
    return result
  }

  @Test(arguments: [Metric.l2, .cosine, .dot])
  func sameLogSameDatabase(metric: Metric) async throws {
    let base = try await Self.run(threads: 1, metric: metric, reopening: [], killing: [])
    for threads in [2, 4] {
      let other = try await Self.run(threads: threads, metric: metric, reopening: [], killing: [])
      #expect(other == base, "\(threads) threads")
    }
    let reopened = try await Self.run(
      threads: 2, metric: metric, reopening: [3, 8, 9, 15], killing: [])
    #expect(reopened == base)
    let killed = try await Self.run(
      threads: 1, metric: metric, reopening: [7], killing: [2, 5, 11, 12, 18])
    #expect(killed == base)
  }
}
