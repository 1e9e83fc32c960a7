import Foundation
import Testing
import VecDB
import VecDBBytes

/// Deletes and what becomes of their slots, through the public API.
@Suite struct MaintenanceTests {
  static let dimensions = 8

  private static func configuration(threads: Int = 0) -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.buildThreads = threads
    configuration.maintenanceMinimum = 40
    configuration.maintenanceShare = 0
    configuration.logger.logLevel = .critical
    configuration.controlSocket = false
    return configuration
  }

  /// A new database with one collection.
  private static func open(
    _ directory: TemporaryDirectory, threads: Int = 0
  ) async throws -> (Database, VectorCollection) {
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration(threads: threads))
    let items = try await database.createCollection("items", dimensions: dimensions, metric: .l2)
    return (database, items)
  }

  private static func record(_ number: Int, _ generator: inout SeededGenerator) -> VectorRecord {
    VectorRecord(
      // Keys of many lengths.
      key: "k\(number)" + String(repeating: "x", count: number % 23),
      vector: generator.vector(dimensions),
      metadata: ["number": .integer(Int64(number)), "third": .integer(Int64(number % 3))])
  }

  /// Returns when no maintenance is due any more.
  private static func settle(_ database: Database) async throws {
    var last = try database.stats().lsn
    var calm = 0
    while calm < 5 {
      try await Task.sleep(for: .milliseconds(10))
      let lsn = try database.stats().lsn
      calm = lsn == last ? calm + 1 : 0
      last = lsn
    }
  }

  /// Replaces a fifth of the records in each round.
  private static func churn(
    _ items: VectorCollection, records: Int, rounds: Int, _ generator: inout SeededGenerator,
    _ present: inout [String: VectorRecord], afterRound: () async throws -> Void = {}
  ) async throws {
    var next = records
    if present.isEmpty {
      let first = (0..<records).map { record($0, &generator) }
      try await items.upsert(first)
      present = Dictionary(uniqueKeysWithValues: first.map { ($0.key, $0) })
    }
    for _ in 0..<rounds {
      let doomed = present.keys.sorted().shuffled(using: &generator).prefix(records / 5)
      for start in stride(from: 0, to: doomed.count, by: 50) {
        try await items.delete(Array(doomed.dropFirst(start).prefix(50)))
      }
      for key in doomed { present[key] = nil }
      let births = (0..<doomed.count).map { _ in
        next += 1
        return record(next, &generator)
      }
      for start in stride(from: 0, to: births.count, by: 30) {
        try await items.upsert(Array(births.dropFirst(start).prefix(30)))
      }
      for birth in births { present[birth.key] = birth }
      try await afterRound()
    }
  }

  /// The log has maintenance in it: replaying it on any number of threads, and opening what
  /// checkpoints left, gives the same arrays.
  @Test func replayGivesTheSameGraph() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.open(directory)
    var generator = SeededGenerator(seed: 5)
    var present: [String: VectorRecord] = [:]
    try await Self.churn(items, records: 1_500, rounds: 2, &generator, &present)
    try await database.checkpoint()
    try await Self.churn(items, records: 1_500, rounds: 2, &generator, &present)
    try await Self.settle(database)
    let stats = try database.stats(graphDigests: true)
    let collection = try #require(stats.collections.first)
    #expect(collection.slots < 1_500 * 13 / 10, "\(collection.slots) slots")
    for threads in [1, 3] {
      let copy = directory.file("copy-\(threads)")
      try copyTree(atPath: directory.file("db"), toPath: copy)
      let other = try await Database.open(
        at: copy, configuration: Self.configuration(threads: threads))
      #expect(try other.stats(graphDigests: true).collections == stats.collections)
      #expect(try await other.check().problems == [])
      try await other.close()
    }
    #expect(try await database.check().problems == [])
    for (key, record) in present { #expect(try items.get(key) == record) }
    try await database.close()
    let reopened = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration(threads: 2))
    #expect(try reopened.stats(graphDigests: true).collections == stats.collections)
    try await reopened.close()
  }

  /// Any LSN of a history with maintenance can be restored, and is proven in full.
  @Test func restorePointsIncludeMaintenance() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration())
    let items = try await database.createCollection(
      "items", dimensions: Self.dimensions, metric: .cosine)
    var generator = SeededGenerator(seed: 6)
    var present: [String: VectorRecord] = [:]
    try await Self.churn(items, records: 1_300, rounds: 1, &generator, &present)
    _ = try await database.backup(to: directory.file("repository"))
    let first = try database.stats().lsn
    try await Self.churn(items, records: 1_300, rounds: 1, &generator, &present)
    try await Self.settle(database)
    let digest = try database.stats().dataDigest
    _ = try await database.backup(to: directory.file("repository"))
    let last = try database.stats().lsn
    try await database.close()
    for step in 0...8 {
      let lsn = first + (last - first) * UInt64(step) / 8
      let report = try await Database.restore(
        from: directory.file("repository"), to: directory.file("restored-\(step)"),
        target: .lsn(lsn), verification: .full)
      #expect(report.lsn == lsn)
      if step == 8 { #expect(report.dataDigest == digest) }
    }
  }

  /// Filters answer from memory, which must notice that slots got other records.
  @Test func filtersSeeReusedSlots() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.open(directory)
    var generator = SeededGenerator(seed: 7)
    var present: [String: VectorRecord] = [:]
    let filters = [
      Field("third") == 1, Field("number") >= 1_500, !(Field("third") == 0) && Field("number") > 9,
      Field("missing").exists,
    ]
    func matches(_ filter: Int, _ record: VectorRecord) -> Bool {
      guard case .integer(let number)? = record.metadata["number"] else { return false }
      switch filter {
      case 0: return number % 3 == 1
      case 1: return number >= 1_500
      case 2: return number % 3 != 0 && number > 9
      default: return false
      }
    }
    for _ in 0..<5 {
      try await Self.churn(items, records: 1_400, rounds: 1, &generator, &present)
      for (number, filter) in filters.enumerated() {
        let wanted = present.values.filter { matches(number, $0) }
        #expect(try items.count(where: filter) == wanted.count)
        let query = generator.vector(Self.dimensions)
        let hits = try items.search(
          query, k: 5, options: .init(filter: filter, includeMetadata: true)
        ).hits
        #expect(hits.count == min(5, wanted.count))
        for hit in hits {
          let record = try #require(present[hit.key])
          #expect(matches(number, record) && hit.metadata == record.metadata)
        }
      }
    }
    try await database.close()
  }

  /// Readers beside deletes, maintenance and reuse: what they find belongs together. Small enough
  /// to run under the thread sanitizer.
  @Test func readersNeverSeeAnotherRecordInAReusedSlot() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.open(directory, threads: 2)
    // A record's vector follows from its number.
    @Sendable func vector(_ number: Int) -> [Float] {
      var generator = SeededGenerator(seed: UInt64(number))
      return generator.vector(Self.dimensions)
    }
    @Sendable func record(_ number: Int) -> VectorRecord {
      VectorRecord(
        key: "k\(number)", vector: vector(number), metadata: ["number": .integer(Int64(number))])
    }
    try await items.upsert((0..<1_200).map(record))
    let isDone = Flag()
    let problems = Guarded<[String]>([])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for reader in 0..<3 {
        group.addTask {
          try await onThread {
            var generator = SeededGenerator(seed: UInt64(reader) + 50)
            while !isDone.isSet {
              var options = SearchOptions(includeMetadata: reader == 0, includeVector: reader < 2)
              if reader == 2 { options.filter = Field("number") >= 600 }
              let query = generator.vector(Self.dimensions)
              for hit in try items.search(query, k: 5, options: options).hits {
                let number = Int(hit.key.dropFirst()) ?? -1
                let distance = squaredDistance(query, vector(number))
                let isRight =
                  abs(distance - Double(hit.distance)) < 1e-4
                  && (hit.vector.map { $0 == vector(number) } ?? true)
                  && (hit.metadata.map { $0["number"] == .integer(Int64(number)) } ?? true)
                  && (reader != 2 || number >= 600)
                if !isRight { problems.withLock { $0.append("\(hit)") } }
              }
              let key = "k\(Int.random(in: 0..<3_000, using: &generator))"
              if let found = try items.get(key), found != record(Int(key.dropFirst()) ?? -1) {
                problems.withLock { $0.append("get \(key)") }
              }
            }
          }
        }
      }
      var oldest = 0
      var next = 1_200
      for _ in 0..<30 {
        try await items.delete((oldest..<oldest + 60).map { "k\($0)" })
        oldest += 60
        try await items.upsert((next..<next + 60).map(record))
        next += 60
      }
      isDone.set()
      try await group.waitForAll()
    }
    #expect(problems.withLock { $0 } == [])
    #expect(try await database.check().problems == [])
    #expect(try database.stats().collections[0].slots < 2_000)
    try await database.close()
  }

  /// Records commit before the LSN is published, and with more threads than cores the writer is
  /// made to wait in between again and again.
  @Test func searchesWithMetadataOutlastCommitsThatReplaceTheirHits() async throws {
    let directory = try TemporaryDirectory()
    let (database, items) = try await Self.open(directory)
    @Sendable func records(round: Int64) -> [VectorRecord] {
      var generator = SeededGenerator(seed: 11)
      return (0..<8).map {
        VectorRecord(
          key: "k\($0)", vector: generator.vector(Self.dimensions),
          metadata: ["round": .integer(round)])
      }
    }
    try await items.upsert(records(round: 0))
    let isDone = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for reader in 0..<8 {
        group.addTask {
          try await onThread {
            var generator = SeededGenerator(seed: UInt64(12 + reader))
            var newest: Int64 = 0
            while !isDone.isSet {
              let query = generator.vector(Self.dimensions)
              let hits = try items.search(query, k: 5, options: .init(includeMetadata: true)).hits
              let rounds = hits.compactMap { hit -> Int64? in
                guard case .integer(let round)? = hit.metadata?["round"] else { return nil }
                return round
              }
              #expect(rounds.count == 5 && rounds.allSatisfy { $0 >= newest })
              newest = rounds.max() ?? newest
            }
          }
        }
      }
      for round in 1...400 { try await items.upsert(records(round: Int64(round))) }
      isDone.set()
      try await group.waitForAll()
    }
    try await database.close()
  }
}
