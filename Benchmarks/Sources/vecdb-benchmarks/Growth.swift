import ArgumentParser
import VecDB

/// How build time, speed and memory grow with the number of vectors.
struct Growth: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Build time, searches per second at recall 0.95 and peak memory by size.")

  @Option(parsing: .upToNextOption, help: "Numbers of vectors.")
  var counts: [Int] = [10_000, 100_000, 1_000_000]
  @Option(help: "Components of a vector.") var dimensions = 128
  @Option(help: "Intrinsic dimension: independent numbers that a vector is made of.")
  var intrinsic = 16
  @Option(help: "Queries.") var queries = 500
  @Option(help: "Rounds of searching; the median counts.") var rounds = 3
  @Option(help: "Threads that build the index; 0 is one per core.") var buildThreads = 1
  @Option(parsing: .upToNextOption, help: "Settings of efSearch.")
  var ef: [Int] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320]
  @Option(help: "Only write the vectors, as SIZE/base.fvecs and SIZE/query.fvecs, below here.")
  var write: String?
  @Option(help: "Where to put the databases.") var directory: String?
  @Flag(help: "Print lines of JSON with every setting.") var json = false

  func validate() throws {
    guard !ef.isEmpty, rounds > 0, queries > 0, counts.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--ef, --rounds, --queries and --counts must be positive.")
    }
    guard (1...dimensions).contains(intrinsic) else {
      throw ValidationError("--intrinsic is from 1 to --dimensions.")
    }
  }

  func run() async throws {
    if let write { return try writeVectors(below: write) }
    if !json {
      print(
        "\(dimensions) dimensions, intrinsic dimension \(intrinsic), \(buildThreads) build "
          + "thread(s); the import is durable.\n")
      print(
        "| vectors | build s | of CPU | us a vector | ef | recall@10 | q/s | peak MB, import "
          + "| searches |"
      )
      print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    }
    for count in counts {
      try await withTemporaryDirectory(in: directory) { try await measure(count, in: $0) }
    }
  }

  private func measure(_ count: Int, in path: String) async throws {
    var generator = IntrinsicVectors(dimensions: dimensions, intrinsic: intrinsic)
    // Queries first, so that every size has the same ones.
    let wanted = (0..<queries).map { _ in generator.next() }
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = buildThreads
    ProcessMemory.resetPeak()
    let seconds = try await build(
      count, &generator, path + "/db", configuration)
    let buildPeak = ProcessMemory.peakBytes
    ProcessMemory.resetPeak()
    let database = try await Database.open(at: path + "/db", configuration: configuration)
    let sweep = EffortSweep(
      collection: try database.collection("c"), queries: wanted, k: 10, rounds: rounds)
    var searchPeak = 0
    let points = try sweep.run(ef, enough: 2) { searchPeak = ProcessMemory.peakBytes }
    try await database.close()
    guard !json else {
      for point in points {
        print(
          "{\"count\": \(count), \"setting\": \(point.ef), \"recall\": "
            + "\(decimal(point.recall, 5)), \"qps\": \(decimal(point.queriesPerSecond, 1)), "
            + "\"qps_cpu\": \(decimal(point.queriesPerCPUSecond, 1)), "
            + "\"build_s\": \(decimal(seconds.wall, 3)), "
            + "\"build_cpu_s\": \(decimal(seconds.cpu, 3)), \"peak_bytes\": \(buildPeak), "
            + "\"search_peak_bytes\": \(searchPeak)}")
      }
      return
    }
    guard let point = points.first(where: { $0.recall >= 0.95 }) else {
      return print("| \(count) | \(decimal(seconds.wall, 1)) | not reached |")
    }
    print(
      "| \(count) | \(decimal(seconds.wall, 1)) | \(decimal(seconds.cpu, 1)) "
        + "| \(decimal(seconds.wall * 1e6 / Double(count), 1)) "
        + "| \(point.ef) | \(decimal(point.recall, 4)) | \(decimal(point.queriesPerSecond)) "
        + "| \(decimal(Double(buildPeak) / 1e6)) | \(decimal(Double(searchPeak) / 1e6)) |")
  }

  /// Makes a database and closes it; the seconds that the writes took on the wall and of all
  /// threads' processor time, without the making of the vectors.
  private func build(
    _ count: Int, _ generator: inout IntrinsicVectors, _ path: String,
    _ configuration: DatabaseConfiguration
  ) async throws -> (wall: Double, cpu: Double) {
    let database = try await Database.open(at: path, configuration: configuration)
    let collection = try await database.createCollection(
      "c", dimensions: dimensions, metric: .l2)
    var seconds = (wall: 0.0, cpu: 0.0)
    for chunk in stride(from: 0, to: count, by: 1000) {
      let records = (chunk..<min(chunk + 1000, count)).map {
        VectorRecord(key: String($0), vector: generator.next())
      }
      let start = ContinuousClock.now
      let startCPU = ProcessorClock.processSeconds
      _ = try await collection.upsert(records)
      seconds.wall += (ContinuousClock.now - start).inSeconds
      seconds.cpu += ProcessorClock.processSeconds - startCPU
    }
    try await database.close()
    return seconds
  }

  private func writeVectors(below directory: String) throws {
    for count in counts {
      var generator = IntrinsicVectors(dimensions: dimensions, intrinsic: intrinsic)
      let path = "\(directory)/\(count)"
      try writeFvecs(path + "/query.fvecs", queries) { generator.next() }
      try writeFvecs(path + "/base.fvecs", count) { generator.next() }
    }
  }
}
