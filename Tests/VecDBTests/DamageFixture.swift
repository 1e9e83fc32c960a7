import Foundation
import Logging
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// A database and its repository on a simulated disk, with everything in them that a database can
/// have: two collections, sealed and unsealed log segments, WALs, several packs and manifests,
/// restore points with log between them. With the answers that it must give.
struct DamageFixture: Sendable {
  static let database = "/data/db"
  static let repository = "/data/repository"
  static let dimensions = 128

  /// The power failed while the database was open: WALs are alive.
  let live: SimulatedDisk
  /// Closed in order.
  let closed: SimulatedDisk
  /// Earlier states of the same files, the oldest first.
  let earlier: [SimulatedDisk]
  let queries: [[Float]]
  let expected: Answers
  /// By LSN, what each restore point must give.
  let restored: [UInt64: Answers]

  /// Everything that a reader can learn.
  struct Answers: Sendable, Equatable {
    var digests: [String] = []
    var records: [VectorRecord] = []
    var hits: [[Hit]] = []

    /// Whether a reader would have been told something wrong by `other`; digests are what `stats`
    /// shows. A search may miss neighbours where blocks of the index are damaged, which are mapped
    /// and not read: what it does find must be a record as it is, at its distance.
    func isContradicted(by other: Answers) -> Bool {
      guard records == other.records, hits.count == other.hits.count else { return true }
      let known = Dictionary(records.map { ($0.key, $0) }) { first, _ in first }
      return zip(hits, other.hits).contains { right, found in
        let distances = Dictionary(right.map { ($0.key, $0.distance) }) { first, _ in first }
        return found.contains { hit in
          guard let record = known[hit.key] else { return true }
          return hit.vector != record.vector || hit.metadata != record.metadata
            || hit.distance != distances[hit.key, default: hit.distance]
        }
      }
    }
  }

  static var configuration: DatabaseConfiguration {
    var configuration = CrashTests.configuration
    configuration.logSegmentBytes = 64 << 10
    configuration.createIfMissing = false
    configuration.checkpointOnClose = false
    return configuration
  }

  static func open(_ disk: SimulatedDisk, at path: String = database) throws -> Database {
    try Database.open(at: path, fileSystem: disk, configuration: configuration)
  }

  /// Lets go of a database that may be damaged.
  static func close(_ database: Database) {
    // What a damaged database says on closing is of no interest.
    try? CrashTests.wait { try await database.close() }
  }

  /// What the database says now.
  static func answers(_ database: Database, _ queries: [[Float]]) throws -> Answers {
    var answers = Answers()
    let stats = try database.stats(graphDigests: true)
    answers.digests = [stats.dataDigest] + stats.collections.map { "\($0)" }
    for name in ["items", "small"] {
      let collection = try database.collection(name)
      answers.records += try collection.scroll(limit: 10_000).records
      for (number, query) in queries.enumerated() {
        var options = SearchOptions()
        options.includeVector = true
        options.includeMetadata = true
        if number % 3 == 1 { options.filter = Field("group") == 3 }
        if number % 3 == 2 { options.exact = true }
        let vector = name == "items" ? query : Array(query.prefix(8))
        answers.hits.append(try collection.search(vector, k: 10, options: options).hits)
      }
    }
    return answers
  }

  init() throws {
    let disk = SimulatedDisk(seed: 3)
    try disk.createDirectory("/data")
    var generator = SeededGenerator(seed: 3)
    queries = (0..<6).map { _ in generator.vector(Self.dimensions) }
    let records = (0..<2_600).map { number in
      VectorRecord(
        key: "record \(number)", vector: generator.vector(Self.dimensions),
        metadata: ["group": .integer(Int64(number % 5)), "name": .string("name \(number)")])
    }
    let small = (0..<40).map { number in
      VectorRecord(
        key: "s\(number)", vector: generator.vector(8), metadata: ["group": .integer(3)])
    }
    var creating = Self.configuration
    creating.createIfMissing = true
    creating.checkpointOnClose = true
    let database = try Database.open(
      at: Self.database, fileSystem: disk, configuration: creating)
    var earlier: [SimulatedDisk] = []
    func upsert(_ name: String, _ records: ArraySlice<VectorRecord>) throws {
      let batch = Array(records)
      try CrashTests.wait { _ = try await database.collection(name).upsert(batch) }
    }
    try CrashTests.wait {
      try await database.createCollection("items", dimensions: Self.dimensions, metric: .l2)
      try await database.createCollection("small", dimensions: 8, metric: .cosine)
    }
    for start in stride(from: 0, to: 1_400, by: 200) {
      try upsert("items", records[start..<start + 200])
    }
    try upsert("small", small[...])
    _ = try CrashTests.wait { try await database.backup(to: Self.repository) }
    earlier.append(disk.restarted(.everything))
    for start in stride(from: 1_400, to: 2_500, by: 100) {
      try upsert("items", records[start..<start + 100])
    }
    try CrashTests.wait {
      _ = try await database.collection("items").delete((100..<150).map { "record \($0)" })
      _ = try await database.backup(to: Self.repository)
    }
    earlier.append(disk.restarted(.everything))
    for number in 2_500..<2_550 { try upsert("items", records[number...number]) }
    try CrashTests.wait {
      _ = try await database.collection("small").delete(["s1", "s2"])
      _ = try await database.checkpoint()
    }
    earlier.append(disk.restarted(.everything))
    for number in 2_550..<2_600 { try upsert("items", records[number...number]) }
    live = disk.restarted(.everything)
    self.earlier = earlier
    expected = try Self.answers(database, queries)
    try CrashTests.wait { try await database.close() }
    closed = disk.restarted(.everything)

    var restored: [UInt64: Answers] = [:]
    // A point between two manifests needs the log.
    for point in try Self.restorePoints(closed).flatMap({ [$0, $0 + 3] }).dropLast() {
      restored[point] = try Self.restore(closed.restarted(.everything), point, queries)
    }
    self.restored = restored
  }

  /// The LSNs of the manifests in the repository.
  static func restorePoints(_ disk: SimulatedDisk) throws -> [UInt64] {
    disk.filePaths.filter { $0.hasPrefix(repository + "/manifests/") }
      .compactMap { UInt64(fileName($0)) }
  }

  /// Restores, opens the copy and asks it everything.
  static func restore(
    _ disk: SimulatedDisk, _ lsn: UInt64?, _ queries: [[Float]]
  ) throws -> Answers {
    _ = try CrashTests.wait {
      try await Database.restore(
        from: repository, to: "/data/copy", target: lsn.map { .lsn($0) } ?? .latest,
        verification: .quick, configuration: configuration, fileSystem: disk, progress: nil)
    }
    let copy = try open(disk, at: "/data/copy")
    let answers = try answers(copy, queries)
    close(copy)
    return answers
  }
}
