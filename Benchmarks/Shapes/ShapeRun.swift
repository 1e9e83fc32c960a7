import Foundation
import VecDB
import VecDBShapes

/// One shape under one metric, taken through the life of a collection: fresh, churned, drifted,
/// restored, rebuilt. Writes the vectors and what searches found for whoever judges them.
struct ShapeRun {
  let shape: Shape
  let metric: Metric
  let data: ShapeData
  let directory: String
  let rounds: Int
  let codes: VectorCodes

  /// What searches found in one state, as the judge reads it.
  struct Found: Codable {
    var state: String
    /// Numbers of the records that live: of base, fresh and late, one after the other.
    var live: [Int]
    /// Whether queries like the late records are asked too.
    var asksLate: Bool
    var hits: [[Int]]
    var targetHits: [[Int]]
    var microseconds: Double
    var targetMicroseconds: Double
    /// What the collection traverses, and what it says of itself.
    var codes: String
    var health: String
    var insertsPerSecond: Double
  }

  private static let batch = 500

  /// Processor time, so that other work on the machine does not count: of the process, or of this
  /// thread.
  private static func nanoseconds(_ clock: clockid_t = CLOCK_PROCESS_CPUTIME_ID) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func run() async throws -> [Found] {
    try write()
    let path = directory + "/database"
    let repository = directory + "/repository"
    let copy = directory + "/copy"
    for place in [path, repository, copy] { try? FileManager.default.removeItem(atPath: place) }
    defer {
      for place in [path, repository, copy] { try? FileManager.default.removeItem(atPath: place) }
    }
    var found: [Found] = []
    var configuration = DatabaseConfiguration()
    configuration.rebuildPolicy = .off
    configuration.logger.logLevel = .error
    let database = try await Database.open(at: path, configuration: configuration)
    func fresh(_ name: String) async throws -> (VectorCollection, Double) {
      let collection = try await database.createCollection(
        name, dimensions: shape.dimensions, metric: metric, index: IndexOptions(codes: codes))
      let started = Self.nanoseconds()
      try await insert(0..<data.base.count, collection)
      let seconds = Double(Self.nanoseconds() - started) / 1e9
      return (collection, Double(data.base.count) / seconds)
    }
    let (first, rate) = try await fresh("first")
    let base = Array(0..<data.base.count)
    found.append(try search(database, first, "fresh", base, asksLate: false, rate))

    // A tenth is deleted and as much comes in, four times.
    let (second, secondRate) = try await fresh("second")
    var live = base
    var random = ShapeGenerator(seed: 11)
    for round in 0..<4 {
      let tenth = data.fresh.count / 4
      var gone: [Int] = []
      for _ in 0..<tenth { gone.append(live.remove(at: random.below(live.count))) }
      try await second.delete(gone.map { String($0) })
      let new = data.base.count + round * tenth..<data.base.count + (round + 1) * tenth
      try await insert(new, second)
      live += Array(new)
    }
    found.append(try search(database, second, "churned", live, asksLate: false, secondRate))
    try await database.dropCollection("second")

    let late = data.base.count + data.fresh.count
    let lateRange = late..<late + data.late.count
    try await insert(lateRange, first)
    let all = base + Array(lateRange)
    found.append(try search(database, first, "drifted", all, asksLate: true, rate))
    _ = try await database.backup(to: repository)
    _ = try await Database.restore(from: repository, to: copy)
    let restored = try await Database.open(at: copy, configuration: configuration)
    found.append(
      try search(restored, try restored.collection("first"), "restored", all, asksLate: true, rate))
    try await restored.close()
    var rebuild = RebuildOptions()
    rebuild.gate.minimumRecall = 0
    rebuild.gate.latencyFactor = 100
    _ = try await first.rebuild(rebuild)
    found.append(try search(database, first, "rebuilt", all, asksLate: true, rate))
    try await database.close()
    return found
  }

  private func vector(_ number: Int) -> [Float] {
    if number < data.base.count { return data.base[number] }
    let rest = number - data.base.count
    return rest < data.fresh.count ? data.fresh[rest] : data.late[rest - data.fresh.count]
  }

  private func insert(_ numbers: Range<Int>, _ collection: VectorCollection) async throws {
    for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: Self.batch) {
      let some = start..<min(start + Self.batch, numbers.upperBound)
      try await collection.upsert(some.map { VectorRecord(key: String($0), vector: vector($0)) })
    }
  }

  private func search(
    _ database: Database, _ collection: VectorCollection, _ state: String, _ live: [Int],
    asksLate: Bool,
    _ insertsPerSecond: Double
  ) throws -> Found {
    let queries = data.queries + (asksLate ? data.lateQueries : [])
    func measure(_ options: SearchOptions) throws -> ([[Int]], Double) {
      var results: [[Hit]] = []
      var best = Double.infinity
      for _ in 0..<rounds {
        results.removeAll(keepingCapacity: true)
        let started = Self.nanoseconds(CLOCK_THREAD_CPUTIME_ID)
        for query in queries {
          results.append(try collection.search(query, k: 10, options: options).hits)
        }
        let elapsed = Double(Self.nanoseconds(CLOCK_THREAD_CPUTIME_ID) - started)
        best = min(best, elapsed / Double(queries.count) / 1_000)
      }
      return (results.map { $0.map { Int($0.key) ?? -1 } }, best)
    }
    let stats = try database.stats().collections.first { $0.name == collection.name }
    let codesInUse = stats?.codesInUse ?? ""
    let (hits, microseconds) = try measure(SearchOptions(efSearch: 64))
    // The first search with a target pays for its measurement.
    _ = try collection.search(queries[0], k: 10, options: SearchOptions(recall: 0.95))
    let (targetHits, targetMicroseconds) = try measure(SearchOptions(recall: 0.95))
    let health =
      try database.measureHealth().first { $0.collection == collection.name }?.finding ?? ""
    return Found(
      state: state, live: live, asksLate: asksLate, hits: hits, targetHits: targetHits,
      microseconds: microseconds, targetMicroseconds: targetMicroseconds,
      codes: codesInUse, health: health, insertsPerSecond: insertsPerSecond)
  }

  /// Vectors as raw little-endian floats, and a description of them.
  private func write() throws {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    func write(_ vectors: [[Float]], _ name: String) throws {
      var bytes = Data()
      for vector in vectors { vector.withUnsafeBytes { bytes.append(contentsOf: $0) } }
      try bytes.write(to: URL(fileURLWithPath: directory + "/" + name + ".f32"))
    }
    try write(data.base, "base")
    try write(data.fresh, "fresh")
    try write(data.late, "late")
    try write(data.queries, "queries")
    try write(data.lateQueries, "late-queries")
  }
}
