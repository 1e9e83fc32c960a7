import ArgumentParser
import Dispatch
import Synchronization
import VecDB

/// Searches per second on one thread and on two, with recall beside them.
struct Searches: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Build time, recall and searches per second on 1 and 2 threads.",
    aliases: ["threads"])

  @Option(help: "Vectors to search in (.fvecs); clustered random vectors if missing.")
  var base: String?
  @Option(help: "Vectors to search for (.fvecs).")
  var queries: String?
  @Option(help: "Records, at most.") var count = 20_000
  @Option(help: "Components of a random vector.") var dimensions = 384
  @Option(help: "Distance: l2, cosine or dot.") var metric = "l2"
  @Option(help: "Neighbours to find.") var k = 10
  @Option(help: "Settings of efSearch.") var ef: [Int] = [16, 32, 64, 128, 256]
  @Option(help: "Rounds; the median counts.") var rounds = 5
  @Option(help: "Threads that build the index; 0 is one per core.") var buildThreads = 0
  @Option(help: "Where to put the database.") var directory: String?

  func validate() throws {
    guard Metric(rawValue: metric) != nil else {
      throw ValidationError("--metric is l2, cosine or dot.")
    }
    guard (base == nil) == (queries == nil) else {
      throw ValidationError("Give --base and --queries together.")
    }
    guard rounds > 0, !ef.isEmpty else { throw ValidationError("--rounds and --ef are needed.") }
  }

  func run() async throws {
    var generator = ClusteredVectors(dimensions: dimensions)
    let vectors =
      try base.map { try readFvecs($0, limit: count) }
      ?? (0..<count).map { _ in generator.next() }
    let wanted =
      try queries.map { try readFvecs($0, limit: 500) }
      ?? (0..<500).map { _ in generator.next() }
    guard let first = vectors.first, !wanted.isEmpty else {
      throw ValidationError("There are no vectors.")
    }
    try await withTemporaryDirectory(in: directory) { path in
      var configuration = DatabaseConfiguration()
      configuration.buildThreads = buildThreads
      let database = try await Database.open(at: path + "/db", configuration: configuration)
      let collection = try await database.createCollection(
        "c", dimensions: first.count, metric: Metric(rawValue: metric) ?? .l2)
      let start = ContinuousClock.now
      for chunk in stride(from: 0, to: vectors.count, by: 1000) {
        let records = (chunk..<min(chunk + 1000, vectors.count)).map {
          VectorRecord(key: String($0), vector: vectors[$0])
        }
        _ = try await collection.upsert(records)
      }
      print(
        "\(vectors.count) x \(first.count), \(metric), built in "
          + "\(decimal((ContinuousClock.now - start).inSeconds, 1)) s; kernels "
          + "\(try database.stats().kernels)\n")
      let radii = try wanted.map {
        try collection.search($0, k: k, options: SearchOptions(exact: true)).hits.last?.distance
          ?? .infinity
      }
      print("| ef | recall@\(k) | searches/s, 1 thread | searches/s, 2 threads | ratio |")
      print("| ---: | ---: | ---: | ---: | ---: |")
      for ef in ef { try measure(collection, wanted, radii, ef: ef) }
      try await database.close()
    }
  }

  private func measure(
    _ collection: VectorCollection, _ queries: [[Float]], _ radii: [Float], ef: Int
  ) throws {
    let options = SearchOptions(efSearch: ef)
    var hits = 0
    for (query, radius) in zip(queries, radii) {
      hits += try collection.search(query, k: k, options: options).hits.count {
        $0.distance <= radius
      }
    }
    let recall = Double(hits) / Double(queries.count * min(k, max(1, collection.count)))
    // A thread takes up to a millisecond to begin and to end; beside a round that must be nothing.
    let pass = Double(queries.count) / (try rate(collection, queries, options, threads: 1))
    let passes = max(1, Int(Self.roundSeconds / pass))
    // One thread and two in turn, so that a slow moment of the machine meets both.
    var one: [Double] = []
    var two: [Double] = []
    for _ in 0..<rounds {
      one.append(try rate(collection, queries, options, threads: 1, passes: passes))
      two.append(try rate(collection, queries, options, threads: 2, passes: passes))
    }
    print(
      "| \(ef) | \(decimal(recall, 4)) | \(decimal(median(one))) | \(decimal(median(two))) "
        + "| \(decimal(median(two) / median(one), 2)) |")
  }

  private static let roundSeconds = 0.3

  private func rate(
    _ collection: VectorCollection, _ queries: [[Float]], _ options: SearchOptions, threads: Int,
    passes: Int = 1
  ) throws -> Double {
    let failure = Mutex<(any Error)?>(nil)
    let start = ContinuousClock.now
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      do {
        for _ in 0..<passes {
          for query in queries { _ = try collection.search(query, k: k, options: options) }
        }
      } catch { failure.withLock { $0 = error } }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    return Double(queries.count * passes * threads) / (ContinuousClock.now - start).inSeconds
  }
}
