import ArgumentParser
import VecDB

/// Durable upserts of one record each, by several clients at once: each waits for its receipt
/// before it writes again.
struct Writes: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Durable upserts per second with 1, 8 and 64 concurrent writers.")

  @Option(help: "Components of a vector.") var dimensions = 384
  @Option(help: "Seconds per measurement.") var seconds = 3.0
  @Option(help: "Numbers of writers.") var writers: [Int] = [1, 8, 64]
  @Option(help: "Where to put the databases; the disk matters.") var directory: String?

  func run() async throws {
    print("| writers | durable upserts/s | p50 ms | p99 ms |")
    print("| ---: | ---: | ---: | ---: |")
    for count in writers {
      try await withTemporaryDirectory(in: directory) { path in
        let database = try await Database.open(at: path + "/db")
        let collection = try await database.createCollection(
          "c", dimensions: dimensions, metric: .l2)
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
          for writer in 0..<count {
            group.addTask { try await self.write(to: collection, writer, until: deadline) }
          }
          return try await group.reduce(into: []) { $0 += $1 }
        }.sorted()
        let elapsed = (ContinuousClock.now - start).inSeconds
        try await database.close()
        print(
          "| \(count) | \(decimal(Double(latencies.count) / elapsed)) "
            + "| \(decimal(latencies[latencies.count / 2] * 1e3, 2)) "
            + "| \(decimal(latencies[latencies.count * 99 / 100] * 1e3, 2)) |")
      }
    }
  }

  /// The seconds that each upsert of one writer took.
  private func write(
    to collection: VectorCollection, _ writer: Int, until deadline: ContinuousClock.Instant
  ) async throws -> [Double] {
    var vectors = ClusteredVectors(dimensions: dimensions, seed: UInt64(writer) + 1)
    var latencies: [Double] = []
    repeat {
      let record = VectorRecord(
        key: "\(writer)-\(latencies.count)", vector: vectors.next(),
        metadata: ["writer": .integer(Int64(writer))])
      let before = ContinuousClock.now
      _ = try await collection.upsert(record)
      latencies.append((ContinuousClock.now - before).inSeconds)
    } while ContinuousClock.now < deadline
    return latencies
  }
}
