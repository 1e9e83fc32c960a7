import ArgumentParser
import VecDB

struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure recall, speed and build time on your own vectors.",
    discussion: """
      Imports BASE into a temporary database, or into --database. If the collection there already \
      holds these rows, the command uses it as it is. Then it searches for QUERY at every --ef and \
      compares the hits with TRUTH: an .ivecs file with the row numbers of the exact nearest \
      neighbours, nearest first. With - for TRUTH, the command computes them. A hit counts if it \
      is as near as the true k-th neighbour. build_s is the time of the whole durable import; \
      speeds are medians over the rounds.

      EXAMPLE
        vecdb bench base.fvecs query.fvecs truth.ivecs --ef 32,64,128
        vecdb bench train.npy.gz test.npy.gz - --limit-queries 1000 --json
      """)

  @Argument(help: "The vectors to search in.", completion: .file())
  var base: String
  @Argument(help: "The vectors to search for.", completion: .file())
  var query: String
  @Argument(help: "The true neighbours (.ivecs), or - to compute them.", completion: .file())
  var truth: String
  @Option(help: "How to measure the distance between two vectors.")
  var metric: Metric = .l2
  @Option(name: .customShort("k"), help: "Neighbours to find.")
  var k = 10
  @Option(help: "The settings of efSearch to measure, separated by commas.")
  var ef = IntegerList([10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400])
  @Option(help: "Rounds through all queries per setting.")
  var rounds = 3
  @Option(help: "Threads that search at once.")
  var threads = 1
  @Option(help: "Threads that build the index; 0 means one per core.")
  var buildThreads = 1
  @Option(help: "Records per batch of the import.")
  var batch = 1000
  @Option(help: "Number of links of a node in the graph, 4 to 64.")
  var m = IndexOptions().m
  @Option(help: "Number of candidates for the links of a new node.")
  var efConstruction = IndexOptions().efConstruction
  @Option(help: "Use only this many rows of BASE.")
  var limit: Int?
  @Option(help: "Use only this many rows of QUERY.")
  var limitQueries: Int?
  @Option(help: "Build and keep the database here.", completion: .directory)
  var database: String?
  @Option(help: "The collection in --database; keys must be row numbers of BASE.")
  var collection = "bench"
  @Option(help: "Exit with 4 if no setting of --ef reaches this recall.")
  var requireRecall: Double?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard k >= 1, (1...10_000).contains(rounds), (1...256).contains(threads),
      (1...1_000_000).contains(batch)
    else {
      throw ValidationError(
        "-k must be at least 1, --rounds 1 to 10000, --threads 1 to 256, --batch 1 to 1000000.")
    }
    guard (0...256).contains(buildThreads) else {
      throw ValidationError("--build-threads is \(buildThreads); it must be 0 to 256.")
    }
    guard !ef.values.isEmpty, ef.values.allSatisfy({ (1...65_536).contains($0) }) else {
      throw ValidationError("--ef takes numbers from 1 to 65536, separated by commas.")
    }
  }

  private struct Line: Encodable {
    var ef: Int
    var recall: Double
    var qps: Double
    var p50Microseconds: Double
    var p99Microseconds: Double
    var buildSeconds: Double?
    var indexBytes: Int
    var residentBytes: Int
    var k: Int
    var threads: Int
    var buildThreads: Int
    var count: Int
    var kernels: String

    enum CodingKeys: String, CodingKey {
      case ef, recall, qps, k, threads, count, kernels
      case p50Microseconds = "p50_us"
      case p99Microseconds = "p99_us"
      case buildSeconds = "build_s"
      case indexBytes = "index_bytes"
      case residentBytes = "rss_bytes"
      case buildThreads = "build_threads"
    }
  }

  func run() async throws {
    let queries = try readQueries()
    let temporary = database == nil ? try TemporaryDirectory() : nil
    defer { temporary?.remove() }
    let path = database ?? (temporary.map { $0.path + "/bench.vecdb" } ?? "")
    try await Session.run(path, create: true, buildThreads: buildThreads, isBrief: false) {
      database in
      let (collection, buildSeconds) = try await build(in: database, at: path)
      let measurement = SearchMeasurement(
        collection: collection, queries: queries, k: k,
        radii: try radii(collection, queries), threads: threads, rounds: rounds)
      let stats = try database.stats()
      let indexBytes = stats.collections.first { $0.name == collection.name }?.indexBytes ?? 0
      if !output.json {
        Output.line(
          "\(Format.count(collection.count)) vectors, \(collection.dimensions) dimensions, "
            + "\(collection.metric.rawValue); "
            + (buildSeconds.map { "imported in \(Format.seconds($0)) with \(threadsText); " } ?? "")
            + "index \(Format.bytes(indexBytes)); kernels \(stats.kernels)")
      }
      var table = Table([
        ("ef", .right), ("recall@\(k)", .right), ("queries/s", .right), ("p50 us", .right),
        ("p99 us", .right),
      ])
      var best = 0.0
      for ef in ef.values {
        let point = try await measurement.run(ef: ef)
        best = max(best, point.recall)
        guard output.json else {
          table.add(
            String(ef), Format.decimal(point.recall, 4), Format.count(Int(point.queriesPerSecond)),
            Format.decimal(point.p50Microseconds, 0), Format.decimal(point.p99Microseconds, 0))
          continue
        }
        Output.json(
          Line(
            ef: ef, recall: rounded(point.recall, 6), qps: point.queriesPerSecond.rounded(),
            p50Microseconds: rounded(point.p50Microseconds, 1),
            p99Microseconds: rounded(point.p99Microseconds, 1),
            buildSeconds: buildSeconds.map { rounded($0, 3) }, indexBytes: indexBytes,
            residentBytes: ProcessMemory.residentBytes(), k: k, threads: threads,
            buildThreads: buildThreads, count: collection.count, kernels: stats.kernels))
        Output.flush()
      }
      if !output.json { table.write() }
      if let requireRecall, best < requireRecall {
        throw TargetMissed(
          message: "recall@\(k) reached \(Format.decimal(best, 4)), not \(requireRecall)")
      }
    }
  }

  private var threadsText: String {
    buildThreads == 0 ? "one thread per core" : "\(buildThreads) thread(s)"
  }

  private func rounded(_ value: Double, _ digits: Int) -> Double {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    return (value * scale).rounded() / scale
  }

  private func readQueries() throws -> [[Float]] {
    let source = try openVectors(query)
    var queries: [[Float]] = []
    while queries.count < limitQueries ?? .max, let row = try source.next() {
      queries.append(row.vector)
    }
    guard !queries.isEmpty else {
      throw VecDBError(
        .invalidArgument, "there are no queries in the file", at: query,
        remedy: "Give a file with at least one vector.")
    }
    return queries
  }

  /// The collection with all of BASE in it, and how long that took; nil if it was there already.
  private func build(
    in database: Database, at path: String
  ) async throws -> (VectorCollection, Double?) {
    let source = try RecordSource(vectors: base)
    guard let dimensions = source.vectors.dimensions else {
      throw VecDBError(
        .invalidArgument, "there are no vectors in the file", at: base,
        remedy: "Give a file with at least one row.")
    }
    if let found = try database.collections().first(where: { $0.name == collection }) {
      let rows = source.count.map { min($0, limit ?? .max) }
      guard found.dimensions == dimensions, found.metric == metric, found.count == rows else {
        throw VecDBError(
          .invalidArgument,
          "the collection exists, but it does not hold the rows of BASE: it has "
            + "\(found.count) records, \(found.dimensions) dimensions, "
            + "metric \(found.metric.rawValue)",
          at: "\(path), \(collection)",
          remedy: "Name another --collection or --database, or give the matching --metric.")
      }
      return (try database.collection(collection), nil)
    }
    let created = try await database.createCollection(
      collection, dimensions: dimensions, metric: metric,
      index: IndexOptions(m: m, efConstruction: efConstruction))
    var importer = Importer(collection: CollectionWriter(created), batchRows: batch, limit: limit)
    try await importer.run(source)
    return (created, importer.seconds)
  }

  /// For each query the distance of its true k-th neighbour: hits no farther away count.
  private func radii(_ collection: VectorCollection, _ queries: [[Float]]) throws -> [Double] {
    guard truth != "-" else {
      return try ExactRadii.compute(collection, queries, k: k)
    }
    return try ExactRadii.read(truth, collection, queries, k: k)
  }
}

/// Whole numbers separated by commas.
struct IntegerList: ExpressibleByArgument, CustomStringConvertible {
  var values: [Int]

  init(_ values: [Int]) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    values = parts.compactMap { Int($0) }
    if values.count != parts.count { return nil }
  }

  var description: String { values.map(String.init).joined(separator: ",") }
  var defaultValueDescription: String { description }
}
