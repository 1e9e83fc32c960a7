import ArgumentParser
import VecDB

/// Filtered search by selectivity, with filters that know nothing of the query, that match records
/// near it, and that match records far from it.
struct Filters: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Filtered searches per second and recall, as lines of JSON.",
    discussion: """
      The fields are two numbers from 0 to 999 a record: `random`, and `near`, its rank by \
      distance to the point that the queries surround. The filters are random < s, near < s \
      and near >= 1000 - s.
      """)

  @Option(help: "Vectors to search in (.fvecs).") var base: String
  @Option(help: "Vectors to search for (.fvecs).") var queries: String
  @Option(help: "The fields of each vector (.ivecs of two columns).") var fields: String
  @Option(help: "Distance: l2, cosine or dot.") var metric = "l2"
  @Option(help: "Neighbours to find.") var k = 10
  @Option(parsing: .upToNextOption, help: "Selectivities, in thousandths.")
  var selectivities: [Int] = [500, 100, 10, 1]
  @Option(parsing: .upToNextOption, help: "Settings of efSearch.")
  var ef: [Int] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400]
  @Option(help: "Rounds; the median counts.") var rounds = 3
  @Option(help: "Threads that build the index; 0 is one per core.") var buildThreads = 0
  @Option(help: "Where to put the database.") var directory: String?

  func validate() throws {
    guard Metric(rawValue: metric) != nil else {
      throw ValidationError("--metric is l2, cosine or dot.")
    }
    guard rounds > 0, !ef.isEmpty, selectivities.allSatisfy({ (1...1000).contains($0) }) else {
      throw ValidationError("--rounds, --ef and --selectivities (1 to 1000) are needed.")
    }
  }

  func run() async throws {
    let vectors = try readFvecs(base, limit: .max)
    let wanted = try readFvecs(queries, limit: .max)
    let values = try readIvecs(fields, limit: .max)
    guard let first = vectors.first, values.count == vectors.count,
      values.allSatisfy({ $0.count == 2 })
    else { throw ValidationError("--fields needs two numbers for each vector of --base.") }
    try await withTemporaryDirectory(in: directory) { path in
      var configuration = DatabaseConfiguration()
      configuration.buildThreads = buildThreads
      let database = try await Database.open(at: path + "/db", configuration: configuration)
      let collection = try await database.createCollection(
        "c", dimensions: first.count, metric: Metric(rawValue: metric) ?? .l2)
      for chunk in stride(from: 0, to: vectors.count, by: 1000) {
        let records = (chunk..<min(chunk + 1000, vectors.count)).map { row in
          VectorRecord(
            key: String(row), vector: vectors[row],
            metadata: [
              "random": .integer(Int64(values[row][0])), "near": .integer(Int64(values[row][1])),
            ])
        }
        _ = try await collection.upsert(records)
      }
      for selectivity in selectivities {
        let (low, high) = (Double(selectivity), Double(1000 - selectivity))
        // A literal a little below the limit, another one each time, is a filter never seen before.
        try measure(collection, wanted, "random", selectivity) { Field("random") < low - $0 }
        try measure(collection, wanted, "near", selectivity) { Field("near") < low - $0 }
        try measure(collection, wanted, "far", selectivity) { Field("near") >= high - $0 }
      }
      try await database.close()
    }
  }

  private func measure(
    _ collection: VectorCollection, _ wanted: [[Float]], _ name: String, _ selectivity: Int,
    _ makeFilter: (Double) -> Filter
  ) throws {
    let filter = makeFilter(0)
    let sweep = EffortSweep(
      collection: collection, queries: wanted, k: k, rounds: rounds, filter: filter)
    let matching = try collection.count(where: filter)
    let auto = try calibrated(collection, wanted, filter, radii: sweep.radii())
    for point in try sweep.run(ef, enough: 0.995) {
      let fresh = try rates(of: collection, wanted, ef: point.ef) {
        makeFilter(Double($0 + 1) / Double(1 << 20))
      }
      print(
        "{\"case\": \"\(name)\", \"selectivity\": \(selectivity), \"matching\": \(matching), "
          + "\"setting\": \(point.ef), \"recall\": \(decimal(point.recall, 5)), "
          + "\"qps\": \(decimal(point.queriesPerSecond, 1)), "
          + "\"qps_cpu\": \(decimal(point.queriesPerCPUSecond, 1)), "
          + "\"qps_new\": \(decimal(fresh.wall, 1)), \"qps_new_cpu\": \(decimal(fresh.cpu, 1)), "
          + "\"short\": \(point.short), "
          + "\"auto_ef\": \(auto.ef), \"auto_recall\": \(decimal(auto.recall, 4)), "
          + "\"plan\": \"\(point.plan)\"}")
    }
  }

  /// The recall of searches that ask for 0.95 instead of naming an effort.
  private func calibrated(
    _ collection: VectorCollection, _ wanted: [[Float]], _ filter: Filter, radii: [Float]
  ) throws -> (ef: Int, recall: Double) {
    let options = SearchOptions(recall: 0.95, filter: filter)
    let count = min(k, try collection.count(where: filter))
    var (hits, ef) = (0, 0)
    for (query, radius) in zip(wanted, radii) {
      let result = try collection.search(query, k: k, options: options)
      hits += result.hits.count { $0.distance <= radius }
      ef = result.efSearch
    }
    return (ef, Double(hits) / Double(max(1, wanted.count * count)))
  }

  /// Searches per second where every search has a filter of its own, which must be evaluated.
  private func rates(
    of collection: VectorCollection, _ wanted: [[Float]], ef: Int, _ makeFilter: (Int) -> Filter
  ) throws -> (wall: Double, cpu: Double) {
    var (wall, cpu): ([Double], [Double]) = ([], [])
    var number = 0
    for _ in 0..<rounds {
      let start = ContinuousClock.now
      let startCPU = ProcessorClock.threadSeconds
      for query in wanted {
        number += 1
        let options = SearchOptions(efSearch: ef, filter: makeFilter(number))
        _ = try collection.search(query, k: k, options: options)
      }
      wall.append(Double(wanted.count) / (ContinuousClock.now - start).inSeconds)
      cpu.append(Double(wanted.count) / (ProcessorClock.threadSeconds - startCPU))
    }
    return (median(wall), median(cpu))
  }
}
