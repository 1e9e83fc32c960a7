import Foundation
import VecDB
import VecDBBytes

/// Writers, deletes, searches, rebuilds, backups and collections that come and go, for so long as is
/// asked for. Every few seconds a line of JSON says what the process and the database take.
struct ChurnRun {
  let directory: String
  let seconds: Int
  /// Records that live at a time.
  let records: Int
  let sampleSeconds: Int

  private static let dimensions = 48
  private static let writers = 2

  struct Sample: Codable {
    var seconds = 0.0
    var residentBytes = 0
    var anonymousBytes = 0
    var heapBytes = 0
    var mappings = 0
    var threads = 0
    var descriptors = 0
    var files = 0
    var diskBytes = 0
    var repositoryBytes = 0
    var live = 0
    var slots = 0
    var dead = 0
    var free = 0
    var generation = 0
    var stage = ""
  }

  struct End: Codable {
    var writes = 0
    var searches = 0
    var rebuilds = 0
    var givenUp = 0
    var backups = 0
    var failures: [String] = []
  }

  private final class Counts: Sendable {
    private let end = Guarded(End())
    func note(_ change: @Sendable (inout End) -> Void) { end.withLock { change(&$0) } }
    var value: End { end.withLock { $0 } }
  }

  func run(_ print: @Sendable (any Encodable) throws -> Void) async throws {
    var configuration = DatabaseConfiguration()
    configuration.logger.logLevel = .critical
    configuration.maintenanceMinimum = 256
    let database = try await Database.open(at: directory + "/db", configuration: configuration)
    let items = try await database.createCollection(
      "items", dimensions: Self.dimensions, metric: .l2, index: .init(m: 12, efConstruction: 64))
    let (oracle, counts, isOver) = (Oracle(), Counts(), Flag())
    var tasks: [Task<Void, Never>] = []
    func keepDoing(
      _ what: String, _ body: @escaping @Sendable (inout SplitMix64) async throws -> Void
    ) {
      tasks.append(
        Task {
          var generator = SplitMix64(seed: UInt64(what.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
          while !isOver.isSet {
            do { try await body(&generator) } catch { oracle.fail("\(what): \(error)") }
          }
        })
    }
    for writer in 0..<Self.writers {
      keepDoing("writer \(writer)") { try await write(writer, items, oracle, counts, &$0) }
    }
    keepDoing("rebuild") { try await rebuild(items, counts, &$0) }
    keepDoing("backup") { _ in try await backUp(database, counts) }
    keepDoing("collections") { try await comeAndGo(database, &$0) }
    let searcher = Thread { search(items, oracle, counts, isOver) }
    searcher.start()

    let started = Date()
    var next = Double(sampleSeconds)
    while Date().timeIntervalSince(started) < Double(seconds) {
      try await Task.sleep(nanoseconds: 200_000_000)
      guard Date().timeIntervalSince(started) >= next else { continue }
      next += Double(sampleSeconds)
      try print(try sample(database, items, Date().timeIntervalSince(started)))
    }
    isOver.set()
    for task in tasks { await task.value }
    while !searcher.isFinished { try await Task.sleep(nanoseconds: 10_000_000) }
    var end = counts.value
    end.failures = oracle.failures + (try await database.check().problems)
    try await database.close()
    try print(end)
  }

  // MARK: What is done

  private func write(
    _ writer: Int, _ items: VectorCollection, _ oracle: Oracle, _ counts: Counts,
    _ generator: inout SplitMix64
  ) async throws {
    let count = Int.random(in: 1...40, using: &generator)
    // Each writer has keys of its own: what it wrote last is what must be there.
    let keys = Set(
      (0..<count).map { _ in
        "w\(writer)-\(Int.random(in: 0..<records * 3 / 2 / Self.writers, using: &generator))"
      })
    if Int.random(in: 0..<3, using: &generator) == 0 {
      for key in keys { oracle.begin(key, nil) }
      try await items.delete(Array(keys))
    } else {
      let new = keys.map { key in
        VectorRecord(
          key: key,
          vector: (0..<Self.dimensions).map { _ in Float.random(in: 0...1, using: &generator) },
          metadata: [
            "n": .integer(Int64.random(in: 0..<1_000_000, using: &generator)),
            "url": .string("https://example.org/\(String(repeating: "x", count: 60))/\(key)"),
          ])
      }
      for record in new { oracle.begin(record.key, record.vector) }
      try await items.upsert(new)
    }
    for key in keys { oracle.end(key) }
    counts.note { $0.writes += keys.count }
  }

  private func rebuild(
    _ items: VectorCollection, _ counts: Counts, _ generator: inout SplitMix64
  ) async throws {
    var options = RebuildOptions(m: try items.rebuildStatus().m == 12 ? 16 : 12)
    options.gate.minimumRecall = 0.5
    options.gate.latencyFactor = 20
    let what = Int.random(in: 0..<4, using: &generator)
    // In one of four the default, which is longer than this goes on.
    options.graceSeconds = what == 0 ? 600 : Int.random(in: 0...15, using: &generator)
    do {
      _ = try await items.rebuild(options)
      counts.note { $0.rebuilds += 1 }
      // Unless the old generation was given up early.
      if what == 1 { _ = try? await items.rollBackRebuild(reason: "churn") }
    } catch let error as VecDBError where [.notReached, .cancelled].contains(error.code) {
      // It could not keep up, which is what the bound is for.
      counts.note { $0.givenUp += 1 }
    }
    // With the old generation kept, another rebuild has to wait for its end; not for ten minutes.
    for _ in 0..<300 where try items.rebuildStatus().stage != "none" {
      try await Task.sleep(nanoseconds: 100_000_000)
    }
    if try items.rebuildStatus().stage != "none" { _ = try? await items.retireRebuild() }
  }

  private func backUp(_ database: Database, _ counts: Counts) async throws {
    try await Task.sleep(nanoseconds: 10_000_000_000)
    _ = try await database.backup(to: directory + "/repository")
    counts.note { $0.backups += 1 }
    var retention = RetentionPolicy()
    retention.keepLast = 3
    _ = try await Database.prune(
      repository: directory + "/repository", keeping: retention, grace: .zero, force: true)
  }

  private func comeAndGo(_ database: Database, _ generator: inout SplitMix64) async throws {
    let name = "t\(Int.random(in: 0..<1_000, using: &generator))"
    let collection = try await database.createCollection(name, dimensions: 4, metric: .l2)
    try await collection.upsert(
      (0..<50).map {
        VectorRecord(key: "k\($0)", vector: [Float($0), 1, 2, 3], metadata: ["\(name)": 1])
      })
    try await Task.sleep(nanoseconds: 2_000_000_000)
    try await database.dropCollection(name)
  }

  private func search(
    _ items: VectorCollection, _ oracle: Oracle, _ counts: Counts, _ isOver: Flag
  ) {
    var generator = SplitMix64(seed: 99)
    while !isOver.isSet {
      do {
        var options = SearchOptions()
        if let (key, entry) = oracle.sample(Int(generator.next() >> 40)), entry.isAlive {
          options.exact = true
          let hits = try items.search(entry.vector, k: 3, options: options).hits
          let isThere = hits.contains { $0.key == key && $0.distance == 0 }
          if !isThere, oracle.isUnchanged(key, since: entry) {
            oracle.fail("'\(key)' is not found after its write")
          }
          options.exact = false
        }
        options.filter = Field("n") >= Int.random(in: 0..<1_000_000, using: &generator)
        let vector = (0..<Self.dimensions).map { _ in Float.random(in: 0...1, using: &generator) }
        _ = try items.search(vector, k: 10, options: options)
        counts.note { $0.searches += 1 }
      } catch { oracle.fail("a search failed: \(error)") }
    }
  }

  // MARK: What it takes

  private func sample(
    _ database: Database, _ items: VectorCollection, _ seconds: Double
  ) throws -> Sample {
    var sample = Sample()
    sample.seconds = seconds.rounded(digits: 1)
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    func field(_ name: String) -> Int {
      status.split(separator: "\n").first { $0.hasPrefix(name + ":") }?
        .split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }
    sample.residentBytes = field("VmRSS") << 10
    sample.anonymousBytes = field("RssAnon") << 10
    sample.heapBytes = HeapUse.bytes
    sample.threads = field("Threads")
    sample.mappings = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
      .utf8.count { $0 == 10 }
    sample.descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    (sample.files, sample.diskBytes) = Self.usage(directory + "/db")
    sample.repositoryBytes = Self.usage(directory + "/repository").bytes
    guard let stats = try database.stats().collections.first(where: { $0.name == "items" }) else {
      return sample
    }
    (sample.live, sample.slots) = (stats.count, stats.slots)
    (sample.dead, sample.free) = (stats.dead, stats.free)
    let rebuild = try items.rebuildStatus()
    (sample.generation, sample.stage) = (Int(rebuild.generation), rebuild.stage.rawValue)
    return sample
  }

  private static func usage(_ path: String) -> (files: Int, bytes: Int) {
    var (files, bytes) = (0, 0)
    for case let name as String in FileManager.default.enumerator(atPath: path) ?? .init() {
      var status = stat()
      guard lstat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        continue
      }
      files += 1
      bytes += Int(status.st_blocks) * 512
    }
    return (files, bytes)
  }
}
