import ArgumentParser
import VecDB

/// Recall before and after records are deleted and written again, beside a fresh build of the same
/// records.
struct Churn: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "churn",
    abstract: "Recall after rounds of deleting and re-inserting records.")

  @Option(help: "Vectors (.fvecs, or .npy of bytes); clustered random vectors if missing.")
  var base: String?
  @Option(help: "Query vectors (.fvecs); clustered random vectors if missing.")
  var queries: String?
  @Option(help: "Vectors to load.") var count = 60_000
  @Option(help: "Distance: l2, cosine or dot.") var metric = "l2"
  @Option(help: "Components of a random vector.") var dimensions = 128
  @Option(help: "Rounds of deleting and re-inserting.") var rounds = 1
  @Option(help: "Part of the records that a round deletes.") var part = 0.2
  @Option(help: "efSearch, each measured.") var ef: [Int] = [16, 32, 64]
  @Option(help: "Where to put the databases.") var directory: String?

  func run() async throws {
    let (vectors, questions) = try load()
    try await withTemporaryDirectory(in: directory) { path in
      let database = try await Database.open(at: path + "/churned")
      let churned = try await database.createCollection(
        "c", dimensions: vectors[0].count, metric: Metric(rawValue: metric) ?? .l2)
      try await write(Array(vectors.indices), vectors, to: churned)
      var random = SplitMix64(seed: 7)
      print("| state | live | slots |" + ef.map { " recall@10 at ef \($0) |" }.joined())
      print("| --- | ---: | ---: |" + ef.map { _ in " ---: |" }.joined())
      let before = try report("loaded", database, churned, questions)
      var after = before
      for round in 1...max(1, rounds) {
        let doomed = vectors.indices.filter { _ in Double.random(in: 0..<1, using: &random) < part }
        let start = ContinuousClock.now
        for chunk in stride(from: 0, to: doomed.count, by: 1000) {
          let end = min(chunk + 1000, doomed.count)
          _ = try await churned.delete(doomed[chunk..<end].map(String.init))
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        try await write(doomed.shuffled(using: &random), vectors, to: churned)
        after = try report("round \(round)", database, churned, questions)
        let each = seconds / Double(max(1, doomed.count)) * 1e6
        print("\ndeleted \(doomed.count) records, \(decimal(each, 1)) µs each\n")
      }
      let problems = try await database.check().problems
      try await database.close()
      let fresh = try await Database.open(at: path + "/fresh")
      let built = try await fresh.createCollection(
        "c", dimensions: vectors[0].count, metric: Metric(rawValue: metric) ?? .l2)
      try await write(Array(vectors.indices), vectors, to: built)
      let rebuilt = try report("fresh build", fresh, built, questions)
      try await fresh.close()
      let loss = zip(before, after).map { $0 - $1 }.max() ?? 0
      let behind = zip(rebuilt, after).map { $0 - $1 }.max() ?? 0
      print(
        "\nlargest loss of recall: \(decimal(loss, 4)); behind a fresh build: "
          + "\(decimal(behind, 4)); problems found by check: \(problems.count)")
    }
  }

  private func load() throws -> (vectors: [[Float]], queries: [[Float]]) {
    var generator = ClusteredVectors(dimensions: dimensions)
    let vectors =
      try base.map { try readVectors($0, limit: count) }
      ?? (0..<count).map { _ in generator.next() }
    let questions =
      try queries.map { try readVectors($0, limit: 500) } ?? (0..<500).map { _ in generator.next() }
    guard !vectors.isEmpty, !questions.isEmpty else {
      throw ValidationError("There are no vectors.")
    }
    return (vectors, questions)
  }

  private func write(
    _ rows: [Int], _ vectors: [[Float]], to collection: VectorCollection
  ) async throws {
    for chunk in stride(from: 0, to: rows.count, by: 1000) {
      let records = rows[chunk..<min(chunk + 1000, rows.count)].map {
        VectorRecord(key: String($0), vector: vectors[$0])
      }
      _ = try await collection.upsert(records)
    }
  }

  /// Prints and returns the recall at each effort, counted by distance.
  private func report(
    _ name: String, _ database: Database, _ collection: VectorCollection, _ queries: [[Float]]
  ) throws -> [Double] {
    let worst = try queries.map {
      try collection.search($0, k: 10, options: .init(exact: true)).hits.last?.distance ?? 0
    }
    let recalls = try ef.map { effort in
      var found = 0
      for (query, limit) in zip(queries, worst) {
        let hits = try collection.search(query, k: 10, options: .init(efSearch: effort)).hits
        found += hits.count { $0.distance <= limit }
      }
      return Double(found) / Double(queries.count * 10)
    }
    let slots = try database.stats().collections.first?.slots ?? 0
    print(
      "| \(name) | \(collection.count) | \(slots) |"
        + recalls.map { " \(decimal($0, 4)) |" }.joined())
    return recalls
  }
}
