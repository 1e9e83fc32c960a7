import Foundation
import Synchronization
import VecDB
import VecDBBytes

/// Readers and a writer at a fixed rate, before, during and after a rebuild.
struct LiveRun {
  let directory: String
  let base: Vectors
  let queries: Vectors
  let rows: Int
  /// Upserts and deletes a second.
  let rate: Int
  let readers: Int
  /// What a reader does else between two searches.
  let pauseMicroseconds: Int

  private static let calmSeconds = 20.0
  private static let k = 10

  struct Report: Codable {
    var records = 0
    var searches = 0
    var writes = 0
    var failures: [String] = []
    var p99BeforeMilliseconds = 0.0
    var p99DuringMilliseconds = 0.0
    var p99AfterMilliseconds = 0.0
    var ratio = 0.0
    var recallBefore = 0.0
    var leastRecallBefore = 0.0
    var leastRecallDuring = 0.0
    var leastRecallAfter = 0.0
    var searchesPerSecondBefore = 0.0
    var searchesPerSecondDuring = 0.0
    var rebuildSeconds = 0.0
    var rollbackMilliseconds = 0.0
    var residentBytesBefore = 0
    var residentBytesGrace = 0
    var residentBytesRolledBack = 0
    var packBytesBefore = 0
    var packBytesGrace = 0
    var packBytesRolledBack = 0
  }

  func run(svg: String) async throws -> Report {
    var report = Report()
    let database = try await Database.open(at: directory + "/db")
    let items = try await database.createCollection(
      "items", dimensions: base.dimensions, metric: .l2)
    try await load(items)
    try await database.checkpoint()
    let oracle = Oracle()
    let series = Series()
    let isOver = Flag()
    let threads = DispatchGroup()
    for reader in 0..<readers {
      start(threads) { read(reader, items, oracle, series, isOver) }
    }
    start(threads) { measureRecall(items, series, isOver) }
    let writer = Task { try await write(items, oracle, series, isOver) }
    try await Task.sleep(nanoseconds: 3_000_000_000)
    series.mark("before")
    try await Task.sleep(nanoseconds: UInt64(Self.calmSeconds * 1e9))
    report.residentBytesBefore = residentBytes()
    report.packBytesBefore = try database.stats().packBytes
    series.mark("during")
    let begun = Date()
    var options = RebuildOptions(m: 32)
    // More links take longer to follow; the gate is about recall here.
    options.gate.latencyFactor = 4
    _ = try await items.rebuild(options) { status in series.note(stage: status.stage.rawValue) }
    report.rebuildSeconds = Date().timeIntervalSince(begun).rounded(digits: 2)
    series.mark("after")
    try await Task.sleep(nanoseconds: UInt64(Self.calmSeconds / 2 * 1e9))
    report.residentBytesGrace = residentBytes()
    report.packBytesGrace = try database.stats().packBytes
    let rolling = Date()
    try await items.rollBackRebuild()
    report.rollbackMilliseconds = (Date().timeIntervalSince(rolling) * 1e3).rounded(digits: 2)
    series.mark("rolled back")
    try await Task.sleep(nanoseconds: UInt64(Self.calmSeconds / 2 * 1e9))
    isOver.set()
    report.writes = try await writer.value
    await withCheckedContinuation { continuation in
      threads.notify(queue: .global()) { continuation.resume() }
    }
    report.failures = oracle.failures + (try await database.check().problems)
    try await database.checkpoint()
    try await database.checkpoint()
    report.residentBytesRolledBack = residentBytes()
    report.packBytesRolledBack = try database.stats().packBytes
    report.records = items.count
    series.summarize(&report)
    try Plot(series).svg().write(toFile: svg, atomically: true, encoding: .utf8)
    try await database.close()
    return report
  }

  private func load(_ items: VectorCollection) async throws {
    for first in stride(from: 0, to: rows, by: 1_000) {
      try await items.upsert(
        (first..<min(rows, first + 1_000)).map { VectorRecord(key: "b\($0)", vector: base[$0]) })
    }
  }

  private func start(_ group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
    group.enter()
    let thread = Thread {
      body()
      group.leave()
    }
    thread.start()
  }

  // MARK: Searching

  private func read(
    _ reader: Int, _ items: VectorCollection, _ oracle: Oracle, _ series: Series, _ isOver: Flag
  ) {
    var generator = SplitMix64(seed: UInt64(reader) + 50)
    var turn = 0
    while !isOver.isSet {
      turn += 1
      do {
        if turn % 16 == 0, let (key, entry) = oracle.sample(Int(generator.next() >> 40)) {
          try readBack(key, entry, items, oracle)
          continue
        }
        let query = queries[Int(generator.next() >> 40)]
        let started = DispatchTime.now().uptimeNanoseconds
        let hits = try items.search(query, k: Self.k).hits
        series.add(nanoseconds: DispatchTime.now().uptimeNanoseconds - started)
        let isSorted = zip(hits, hits.dropFirst()).allSatisfy { $0.distance <= $1.distance }
        if hits.count != Self.k || !isSorted || Set(hits.map(\.key)).count != Self.k {
          oracle.fail("a search answers \(hits.map(\.key))")
        }
      } catch { oracle.fail("a search failed: \(error)") }
      if pauseMicroseconds > 0 { usleep(UInt32(pauseMicroseconds)) }
    }
  }

  /// What was acknowledged before the search must be in it, or gone from it.
  private func readBack(
    _ key: String, _ entry: Oracle.Entry, _ items: VectorCollection, _ oracle: Oracle
  ) throws {
    let hits = try items.search(entry.vector, k: Self.k).hits
    let isThere = hits.contains { $0.key == key && $0.distance == 0 }
    // Equal vectors of others may take all places.
    let isCrowded = hits.allSatisfy { $0.distance == 0 }
    guard isThere != entry.isAlive, !(entry.isAlive && isCrowded),
      oracle.isUnchanged(key, since: entry)
    else { return }
    oracle.fail(
      entry.isAlive ? "'\(key)' is not found after its write" : "'\(key)' is found after its delete"
    )
  }

  private func measureRecall(_ items: VectorCollection, _ series: Series, _ isOver: Flag) {
    var exact = SearchOptions()
    exact.exact = true
    while !isOver.isSet {
      var (found, wanted) = (0, 0)
      for query in 0..<20 {
        // Never the same ones in two rounds would make chance look like drift.
        let vector = queries[query * 37]
        guard let truth = try? items.search(vector, k: Self.k, options: exact).hits,
          let hits = try? items.search(vector, k: Self.k).hits,
          let again = try? items.search(vector, k: Self.k, options: exact).hits,
          truth.map(\.key) == again.map(\.key)
        else { continue }
        found += hits.count { $0.distance <= truth.last?.distance ?? 0 }
        wanted += truth.count
        usleep(15_000)
      }
      if wanted > 0 { series.add(recall: Double(min(found, wanted)) / Double(wanted)) }
      usleep(200_000)
    }
  }

  // MARK: Writing

  private func write(
    _ items: VectorCollection, _ oracle: Oracle, _ series: Series, _ isOver: Flag
  ) async throws -> Int {
    var generator = SplitMix64(seed: 7)
    var count = 0
    var alive: [String] = []
    let started = Date()
    while !isOver.isSet {
      let ahead = Double(count) / Double(max(1, rate)) - Date().timeIntervalSince(started)
      if ahead > 0 { try await Task.sleep(nanoseconds: UInt64(ahead * 1e9)) }
      if count % 3 == 2, alive.count > 20 {
        let key = alive.remove(at: Int.random(in: 0..<alive.count, using: &generator))
        oracle.begin(key, nil)
        try await items.delete(key)
        oracle.end(key)
      } else {
        let isUpdate = count % 3 == 1 && !alive.isEmpty
        let key = isUpdate ? alive[Int.random(in: 0..<alive.count, using: &generator)] : "n\(count)"
        var vector = base[Int(generator.next() >> 40)]
        for _ in 0..<8 {
          let place = Int.random(in: 0..<vector.count, using: &generator)
          vector[place] = Float(Int.random(in: 0...255, using: &generator))
        }
        oracle.begin(key, vector)
        try await items.upsert(VectorRecord(key: key, vector: vector))
        oracle.end(key)
        if !isUpdate { alive.append(key) }
      }
      count += 1
    }
    return count
  }
}

/// Set once, read by all.
final class Flag: Sendable {
  private let value = Atomic(false)
  func set() { value.store(true, ordering: .releasing) }
  var isSet: Bool { value.load(ordering: .acquiring) }
}
