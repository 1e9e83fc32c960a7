import Testing
import VecDB

/// Hamming distance over binary vectors, and vectors in other types than Float.
@Suite struct BinaryVectorTests {
  private static func bits(_ bytes: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  private static func difference(_ a: [UInt8], _ b: [UInt8]) -> Int {
    zip(a, b).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
  }

  /// Before there is a graph and after, of all widths, against counting bits.
  @Test(arguments: [1, 8, 33, 64, 65, 200])
  func searchesCountBits(bytes: Int) async throws {
    let directory = try TemporaryDirectory()
    var database = try await Database.open(at: directory.file("db"))
    var items = try await database.createCollection(
      "items", dimensions: bytes * 8, metric: .hamming)
    var generator = SeededGenerator(seed: UInt64(bytes))
    // Copies of some patterns with a few bits turned, as hashes of similar things are.
    let patterns = (0..<40).map { _ in Self.bits(bytes, &generator) }
    var all: [[UInt8]] = []
    for number in 0..<2_400 {
      var row = patterns[number % 40]
      for _ in 0..<bytes {
        row[Int.random(in: 0..<bytes, using: &generator)] ^=
          1 << UInt8.random(in: 0..<8, using: &generator)
      }
      all.append(row)
    }
    for count in [600, 2_400] {
      let start = count == 600 ? 0 : 600
      try await items.upsert((start..<count).map { VectorRecord(key: "\($0)", bits: all[$0]) })
      if count == 2_400 {
        // Also with what a checkpoint holds.
        try await database.close()
        database = try await Database.open(at: directory.file("db"))
        items = try database.collection("items")
      }
      var (found, wanted) = (0, 0)
      for _ in 0..<30 {
        var query = patterns[Int.random(in: 0..<40, using: &generator)]
        query[0] ^= 1
        let distances = all[..<count].map { Self.difference($0, query) }.sorted()
        let exact = try items.search(bits: query, k: 10, options: .init(exact: true)).hits
        #expect(exact.map(\.distance) == distances.prefix(10).map { Float($0) })
        let hits = try items.search(bits: query, k: 10, options: .init(efSearch: 100)).hits
        for hit in hits {
          let row = try #require(Int(hit.key))
          #expect(hit.distance == Float(Self.difference(all[row], query)))
        }
        found += hits.count { Int($0.distance) <= distances[9] }
        wanted += 10
      }
      #expect(found * 100 >= wanted * 95, "\(found) of \(wanted)")
      for number in stride(from: 0, to: count, by: 97) {
        #expect(try items.get("\(number)")?.bits == all[number])
      }
    }
    #expect(try await database.check().problems == [])
    // Groups of equally far records are hard for the widest; a larger efSearch must mend it.
    let recall = try database.measureRecall(queries: 20, efSearch: 200).collections[0].recall
    #expect(recall > 0.9)
    try await database.close()
  }

  @Test func onlyZerosAndOnes() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 9, metric: .hamming)
    let good: [Float] = [1, 0, 0, 1, -0.0, 1, 1, 1, 0]
    try await items.upsert(VectorRecord(key: "good", vector: good))
    #expect(try items.get("good")?.vector.map(\.bitPattern) == good.map(\.bitPattern))
    for bad in [0.5, 2, -1, 255] as [Float] {
      var vector = good
      vector[3] = bad
      await expectError(.invalidArgument) {
        try await items.upsert(VectorRecord(key: "bad", vector: vector))
      }
      await expectError(.invalidArgument) { _ = try items.search(vector) }
    }
    // Packed bits come in eights.
    await expectError(.invalidArgument) {
      try await items.upsert(VectorRecord(key: "bits", bits: [1, 2]))
    }
    #expect(items.count == 1)
    // Even a zero vector is fine, and the distance to its opposite is the dimension.
    try await items.upsert(VectorRecord(key: "none", vector: [Float](repeating: 0, count: 9)))
    let far = try items.search([Float](repeating: 1, count: 9), k: 2).hits
    #expect(far.map(\.distance) == [4, 9])
    try await database.close()
  }

  @Test func otherTypesKeepTheirValues() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let halves = try await database.createCollection("halves", dimensions: 6, metric: .cosine)
    let bytes = try await database.createCollection("bytes", dimensions: 6, metric: .l2)
    let half: [Float16] = [0.1, -65_504, 6e-8, 0, 1, 3.14]
    let byte: [Int8] = [-128, 127, 0, -1, 1, 42]
    try await halves.upsert(VectorRecord(key: "a", float16: half))
    try await bytes.upsert(VectorRecord(key: "a", int8: byte, metadata: ["x": 1]))
    for number in 0..<1_500 {
      // Beyond the training of the codes.
      if number % 500 == 0 {
        try await bytes.upsert(
          (number..<number + 500).map {
            VectorRecord(key: "\($0)", int8: byte.map { $0 &+ Int8(truncatingIfNeeded: number) })
          })
        try await halves.upsert(
          (number..<number + 500).map { row in
            VectorRecord(key: "\(row)", float16: half.map { $0 / Float16(row + 1) })
          })
      }
    }
    #expect(try halves.get("a")?.float16Vector == half)
    #expect(try halves.get("7")?.float16Vector == half.map { $0 / 8 })
    #expect(try bytes.get("a")?.int8Vector == byte)
    #expect(try halves.get("a")?.int8Vector == nil)
    #expect(try halves.search(float16: half, k: 1).hits.first?.distance ?? 1 < 1e-6)
    #expect(try bytes.search(int8: byte, k: 1).hits.first?.distance == 0)
    try await database.close()
  }
}
