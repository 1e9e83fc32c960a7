import ArgumentParser
import VecDB

/// How long it takes to open a database and answer the first query, by its size.
struct Opening: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "open",
    abstract: "Time to open after a clean close and to answer the first query.")

  @Option(help: "Numbers of records.") var counts: [Int] = [6_000, 60_000]
  @Option(help: "Vectors (.fvecs); clustered random vectors if missing.") var base: String?
  @Option(help: "Components of a random vector.") var dimensions = 784
  @Option(help: "How often to open; the median counts.") var rounds = 9
  @Option(help: "Where to put the databases.") var directory: String?

  func run() async throws {
    try await withTemporaryDirectory(in: directory) { path in
      var medians: [Double] = []
      var databases: [(path: String, count: Int, query: [Float])] = []
      for count in counts {
        let target = path + "/\(count)"
        databases.append((target, count, try await build(target, count)))
      }
      // The sizes in turn, so that a slow moment of the machine meets all.
      var times = [[Double]](repeating: [], count: databases.count)
      for _ in 0..<rounds {
        for (index, database) in databases.enumerated() {
          times[index].append(try await open(database.path, database.query))
        }
      }
      print("| records | open and first query, ms (median of \(rounds)) | slowest |")
      print("| ---: | ---: | ---: |")
      for (index, database) in databases.enumerated() {
        let middle = median(times[index])
        medians.append(middle)
        print(
          "| \(database.count) | \(decimal(middle * 1e3, 1)) "
            + "| \(decimal((times[index].max() ?? 0) * 1e3, 1)) |")
      }
      if let first = medians.first, let last = medians.last, medians.count > 1 {
        print("\nlargest to smallest: \(decimal(last / first, 2))")
      }
    }
  }

  /// Makes a database and closes it cleanly; returns a query.
  private func build(_ path: String, _ count: Int) async throws -> [Float] {
    var generator = ClusteredVectors(dimensions: dimensions)
    let vectors =
      try base.map { try readFvecs($0, limit: count) }
      ?? (0..<count).map { _ in generator.next() }
    guard let first = vectors.first else { throw ValidationError("There are no vectors.") }
    let database = try await Database.open(at: path)
    let collection = try await database.createCollection(
      "c", dimensions: first.count, metric: .l2)
    for chunk in stride(from: 0, to: vectors.count, by: 1000) {
      let records = (chunk..<min(chunk + 1000, vectors.count)).map {
        VectorRecord(key: String($0), vector: vectors[$0], metadata: ["row": .integer(Int64($0))])
      }
      _ = try await collection.upsert(records)
    }
    try await database.close()
    return first
  }

  private func open(_ path: String, _ query: [Float]) async throws -> Double {
    let start = ContinuousClock.now
    let database = try await Database.open(at: path)
    let found = try database.collection("c").search(query, k: 10)
    let seconds = (ContinuousClock.now - start).inSeconds
    guard found.hits.first?.distance == 0 else {
      throw ValidationError("The first query did not find its own vector.")
    }
    try await database.close()
    return seconds
  }
}
