import Foundation
import Testing
import VecDB

/// Filters for values that the index does not hold, and strings that differ only by their bytes.
@Suite struct LongValueTests {
  private static func url(_ number: Int) -> String {
    "https://example.org/" + String(repeating: "path/", count: 14) + "\(number)"
  }

  @Test(arguments: [UInt64(3), 4])
  func answersAreThoseOfTheRecords(seed: UInt64) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("d")
    var random = SeededGenerator(seed: seed)
    var expected: [String: Metadata] = [:]
    let long = String(repeating: "x", count: 70)
    let filters: [Filter] = [
      Field("url") == Self.url(3), Field("url") != Self.url(3), !(Field("url") == Self.url(4)),
      .in(field: "url", [.string(Self.url(1)), .string(Self.url(2)), .integer(5)]),
      Field("url") == "short", Field("url").exists, !Field("url").exists, Field("url") == 5,
      .comparison(field: "url", .greater, .string(Self.url(5))),
      .contains(field: "url", .string(long)), Field("url") == Self.url(3) && Field("even") == true,
      Field("url") == Self.url(6) || Field("url") == Self.url(7),
      .in(field: "url", [.array([.string(long), .integer(1)])]),
    ]
    var database = try await Database.open(at: path)
    _ = try await database.createCollection("c", dimensions: 2, metric: .l2)
    for round in 0..<10 {
      let collection = try database.collection("c")
      let records = (0..<60).map { _ in
        let key = "\(Int.random(in: 0..<200, using: &random))"
        var metadata: Metadata = ["even": .bool(Bool.random(using: &random))]
        switch Int.random(in: 0..<10, using: &random) {
        case 0: metadata["url"] = "short"
        case 1: metadata["url"] = .array([.string(long), .integer(1)])
        case 2: metadata["url"] = 5
        case 3: break
        default: metadata["url"] = .string(Self.url(Int.random(in: 0..<8, using: &random)))
        }
        expected[key] = metadata
        return VectorRecord(key: key, vector: random.vector(2), metadata: metadata)
      }
      try await collection.upsert(records)
      let gone = expected.keys.filter { _ in Int.random(in: 0..<9, using: &random) == 0 }
      try await collection.delete(Array(gone))
      for key in gone { expected[key] = nil }
      for (number, filter) in filters.enumerated() {
        let wanted = Set(expected.filter { filter.matches($0.value) }.keys)
        #expect(
          try collection.count(where: filter) == wanted.count,
          "seed \(seed), round \(round), filter \(number)")
        let result = try collection.search([0, 0], k: 300, options: SearchOptions(filter: filter))
        #expect(Set(result.hits.map(\.key)) == wanted, "seed \(seed), filter \(number)")
      }
      if round == 5 {
        try await database.close()
        database = try await Database.open(at: path)
      }
    }
    try await database.close()
  }

  /// Every search finds each record once, also while it is being replaced.
  @Test func recordsAreFoundWhileTheyAreReplaced() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("d"))
    let collection = try await database.createCollection("c", dimensions: 2, metric: .l2)
    let records = (0..<40).map { number in
      VectorRecord(
        key: "\(number)", vector: [Float(number), 0],
        metadata: ["url": .array([.string(Self.url(1)), .integer(Int64(number))])])
    }
    try await collection.upsert(records)
    let filter = Filter.contains(field: "url", .string(Self.url(1)))
    let writer = Task {
      var round = 0
      while !Task.isCancelled {
        round += 1
        try await collection.upsert(
          records.map {
            var record = $0
            record.vector[1] = Float(round % 1_000)
            return record
          })
      }
    }
    let end = ContinuousClock.now + .seconds(2)
    while ContinuousClock.now < end {
      #expect(try collection.count(where: filter) == 40)
      let result = try collection.search([0, 0], k: 50, options: SearchOptions(filter: filter))
      #expect(Set(result.hits.map(\.key)).count == 40)
    }
    writer.cancel()
    _ = try await writer.value
    try await database.close()
  }

  @Test func spellingsOfALetterAreTwoValues() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("d"))
    let collection = try await database.createCollection("c", dimensions: 2, metric: .l2)
    let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
    try await collection.upsert([
      VectorRecord(key: "1", vector: [0, 0], metadata: ["word": .string(composed)]),
      VectorRecord(key: "2", vector: [1, 0], metadata: ["word": .string(decomposed)]),
      VectorRecord(key: "3", vector: [1, 0], metadata: ["word": .array([.string(decomposed)])]),
    ])
    for _ in 0..<2 {
      for (word, key) in [(composed, "1"), (decomposed, "2")] {
        for filter in [Field("word") == word, .in(field: "word", [.string(word)])] {
          let hits = try collection.search([0, 0], options: SearchOptions(filter: filter)).hits
          #expect(hits.map(\.key) == [key])
        }
      }
      for (word, keys) in [(composed, []), (decomposed, ["3"])] {
        let filter = Filter.in(field: "word", [.array([.string(word)])])
        let hits = try collection.search([0, 0], options: SearchOptions(filter: filter)).hits
        #expect(hits.map(\.key) == keys)
      }
    }
    try await database.close()
  }
}
