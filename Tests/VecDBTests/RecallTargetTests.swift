import Testing
import VecDB
import VecDBShapes

/// A recall that is asked for is reached by queries that nobody has seen, on data of every kind.
@Suite struct RecallTargetTests {
  private static let cases: [(String, Metric)] = [
    ("gaussian-48", .cosine), ("gaussian-48", .l2), ("topics", .cosine), ("images", .l2),
    ("intrinsic-12", .dot), ("sparse", .cosine), ("spread-norms", .dot), ("cities", .l2),
    ("near-duplicates", .l2), ("heavy-tails", .l2),
  ]

  @Test func `targets hold for fresh queries in nearly all sets`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    var missed: [String] = []
    for (name, metric) in Self.cases {
      let shape = try #require(Shape.all.first { $0.name == name })
      let data = ShapeData(shape, count: 3_000, queries: 250)
      let items = try await database.createCollection(
        "\(name)-\(metric)", dimensions: shape.dimensions, metric: metric)
      try await items.upsert(data.base.enumerated().map { VectorRecord(key: "\($0)", vector: $1) })
      let truth = try data.queries.map {
        try items.search($0, options: SearchOptions(exact: true)).hits.last?.distance ?? 0
      }
      for target in [0.8, 0.95] {
        var found = 0
        for (query, worst) in zip(data.queries, truth) {
          found += min(
            10,
            try items.search(query, options: SearchOptions(recall: target)).hits
              .count { $0.distance <= worst })
        }
        let recall = Double(found) / Double(10 * data.queries.count)
        if recall < target - 0.01 { missed.append("\(name) \(metric) \(target): \(recall)") }
      }
    }
    #expect(missed.count <= 1, "\(missed)")
    try await database.close()
  }

  @Test func `a target that no walk reaches is reached by comparing all`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let items = try await database.createCollection(
      "c", dimensions: 128, metric: .l2, index: IndexOptions(m: 4, efConstruction: 8))
    var random = SeededGenerator(seed: 9)
    try await items.upsert(
      (0..<5_000).map { VectorRecord(key: "\($0)", vector: random.vector(128)) })
    for _ in 0..<20 {
      let query = random.vector(128)
      let exact = try items.search(query, options: SearchOptions(exact: true)).hits
      let asked = try items.search(query, options: SearchOptions(recall: 0.9999))
      #expect(asked.hits == exact && asked.plan == "scan")
    }
    try await database.close()
  }

  /// One thread measures, and the others have what it found.
  @Test func `a measurement is made once`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let items = try await database.createCollection("c", dimensions: 32, metric: .l2)
    var random = SeededGenerator(seed: 2)
    try await items.upsert(
      (0..<4_000).map { VectorRecord(key: "\($0)", vector: random.vector(32)) })
    let query = random.vector(32)
    let efforts = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask {
          try await onThread {
            try items.search(query, options: SearchOptions(recall: 0.9)).efSearch
          }
        }
      }
      return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
    }
    #expect(efforts.count == 1)
    try await database.close()
  }

  /// What one target needs does not depend on which others were asked before it.
  @Test(arguments: [[0.99, 0.8, 0.9], [0.8, 0.9, 0.99]])
  func `the order of targets changes nothing`(targets: [Double]) async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let shape = try #require(Shape.all.first { $0.name == "near-duplicates" })
    let data = ShapeData(shape, count: 3_000, queries: 1)
    func effort(_ targets: [Double], _ name: String) async throws -> [Double: Int] {
      let items = try await database.createCollection(
        name, dimensions: shape.dimensions, metric: .cosine)
      try await items.upsert(data.base.enumerated().map { VectorRecord(key: "\($0)", vector: $1) })
      var efforts: [Double: Int] = [:]
      for target in targets {
        efforts[target] = try items.search(
          data.queries[0], options: SearchOptions(recall: target)
        ).efSearch
      }
      return efforts
    }
    let together = try await effort(targets, "together")
    for target in targets {
      let alone = try await effort([target], "alone-\(target)")
      #expect(alone[target] == together[target], "\(target) after \(targets)")
    }
    try await database.close()
  }
}
