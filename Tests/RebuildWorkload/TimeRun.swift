import Foundation
import VecDB
import VecDBBytes
import VecDBIndex

/// How long a rebuild takes beside a fresh bulk build with the same threads, and whether it keeps up
/// with half of the peak insert rate.
struct TimeRun {
  let directory: String
  let base: Vectors
  let rows: Int
  let threads: Int

  private static let degree = 32

  struct Report: Codable {
    var rows = 0
    var threads = 0
    var freshSeconds: [Double] = []
    var rebuildSeconds: [Double] = []
    var ratio = 0.0
    var rollbackMilliseconds: [Double] = []
    var peakInsertsPerSecond = 0.0
    var loadInsertsPerSecond = 0.0
    var rebuildUnderLoadSeconds = 0.0
    var insertedMeanwhile = 0
    var hasConverged = false
  }

  func run() async throws -> Report {
    var report = Report()
    report.rows = rows
    report.threads = threads
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = threads
    configuration.scrubBytesPerSecond = nil
    let database = try await Database.open(at: directory + "/db", configuration: configuration)
    let items = try await database.createCollection(
      "items", dimensions: base.dimensions, metric: .l2)
    for first in stride(from: 0, to: rows, by: 1_000) {
      try await items.upsert(
        (first..<min(rows, first + 1_000)).map { VectorRecord(key: "b\($0)", vector: base[$0]) })
    }
    try await database.checkpoint()
    for round in 0..<3 {
      report.freshSeconds.append(try fresh().rounded(digits: 2))
      var options = RebuildOptions(m: Self.degree, efConstruction: 200 + round)
      options.budget.threads = threads
      options.gate.latencyFactor = 10
      let started = Date()
      _ = try await items.rebuild(options)
      report.rebuildSeconds.append(Date().timeIntervalSince(started).rounded(digits: 2))
      let rolling = Date()
      try await items.rollBackRebuild()
      report.rollbackMilliseconds.append(
        (Date().timeIntervalSince(rolling) * 1e3).rounded(digits: 2))
      try await Task.sleep(nanoseconds: 2_000_000_000)
    }
    report.ratio =
      ((report.rebuildSeconds.min() ?? 0) / (report.freshSeconds.min() ?? 1)).rounded(digits: 3)
    try await load(items, &report)
    try await database.close()
    return report
  }

  /// The same records into an empty index in one batch, in memory.
  private func fresh() throws -> Double {
    let births = (0..<rows).map {
      Birth(key: Array("b\($0)".utf8), vector: base[$0], hash: Digest.zero)
    }
    let index = try IndexGeneration(
      parameters: IndexParameters(
        dimensions: base.dimensions, metric: .l2, degree: Self.degree, efConstruction: 200),
      options: VecDBIndex.IndexOptions(threads: threads))
    let started = Date()
    try index.apply(lsn: 1, deaths: [], births: births)
    return Date().timeIntervalSince(started)
  }

  /// Finds the peak rate of inserts, then rebuilds under half of it.
  private func load(_ items: VectorCollection, _ report: inout Report) async throws {
    let next = Guarded(0)
    @Sendable func insert(_ count: Int) async throws {
      let first = next.withLock { next in
        defer { next += count }
        return next
      }
      try await items.upsert(
        (first..<first + count).map { number in
          var vector = base[number]
          vector[number % vector.count] = Float(number % 251)
          return VectorRecord(key: "n\(number)", vector: vector)
        })
    }
    let peak = Date()
    while Date().timeIntervalSince(peak) < 6 { try await insert(100) }
    let inserted = next.withLock { $0 }
    let rate = Double(inserted) / Date().timeIntervalSince(peak)
    report.peakInsertsPerSecond = rate.rounded(digits: 0)
    let isOver = Flag()
    let writer = Task {
      let started = Date()
      var count = 0
      while !isOver.isSet {
        let ahead = Double(count) / (rate / 2) - Date().timeIntervalSince(started)
        if ahead > 0 { try await Task.sleep(nanoseconds: UInt64(ahead * 1e9)) }
        try await insert(100)
        count += 100
      }
      return Double(count) / Date().timeIntervalSince(started)
    }
    var options = RebuildOptions(m: Self.degree)
    options.budget.threads = threads
    options.gate.latencyFactor = 10
    let started = Date()
    _ = try await items.beginRebuild(options)
    while Date().timeIntervalSince(started) < 600 {
      let stage = try items.rebuildStatus().stage
      if stage == "grace" {
        report.hasConverged = true
        break
      }
      if stage == "none" { break }
      try await Task.sleep(nanoseconds: 100_000_000)
    }
    report.rebuildUnderLoadSeconds = Date().timeIntervalSince(started).rounded(digits: 2)
    isOver.set()
    report.loadInsertsPerSecond = try await writer.value.rounded(digits: 0)
    report.insertedMeanwhile = next.withLock { $0 } - inserted
  }
}
