import Testing
import VecDB
import VecDBIndex

@Suite struct FilterCacheTests {
  @Test func answersStayRightUnderWrites() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("d.vecdb"))
    let collection = try await database.createCollection("c", dimensions: 4, metric: .l2)
    var random = SeededGenerator(seed: 71)
    var expected: [String: (group: Int, isLong: Bool)] = [:]
    let filters = [
      Field("group") == 3, Field("group") < 2, !(Field("group") == 1), Field("later") == true,
      !Field("later").exists, Field("group") == 2 && Field("later") == true,
      Field("text") == String(repeating: "y", count: 100),
    ]
    func matches(_ filter: Int, _ key: String) -> Bool {
      guard let (group, isLong) = expected[key] else { return false }
      let isLater = Int(key).map { $0 >= 600 } ?? false
      switch filter {
      case 0: return group == 3
      case 1: return group < 2
      case 2: return group != 1
      case 3: return isLater
      case 4: return !isLater
      case 5: return group == 2 && isLater
      default: return isLong
      }
    }
    for round in 0..<12 {
      let records = (0..<100).map { offset in
        let number = round * 100 + offset
        let group = Int.random(in: 0..<5, using: &random)
        let isLong = number % 97 == 0
        var metadata: Metadata = ["group": .integer(Int64(group))]
        if number >= 600 { metadata["later"] = true }
        if isLong { metadata["text"] = .string(String(repeating: "y", count: 100)) }
        expected["\(number)"] = (group, isLong)
        return VectorRecord(
          key: "\(number)", vector: random.vector(4), metadata: metadata)
      }
      try await collection.upsert(records)
      if round % 3 == 2 {
        let keys = expected.keys.filter { _ in Int.random(in: 0..<9, using: &random) == 0 }
        _ = try await collection.delete(Array(keys))
        for key in keys { expected[key] = nil }
      }
      for (number, filter) in filters.enumerated() {
        let wanted = expected.keys.count { matches(number, $0) }
        #expect(try collection.count(where: filter) == wanted, "round \(round), filter \(number)")
        for _ in 0..<2 {
          let result = try collection.search(
            random.vector(4), k: 2_000, options: SearchOptions(filter: filter))
          #expect(result.hits.count == wanted)
          #expect(result.hits.allSatisfy { matches(number, $0.key) })
          #expect((result.matching ?? -1) >= wanted)
        }
      }
    }
    let options = SearchOptions(filter: filters[0])
    #expect(try collection.search([0, 0, 0, 0], options: options).isFilterCached)
    #expect(try !collection.search([0, 0, 0, 0]).isFilterCached)
    // So are answers that needed records.
    #expect(
      try collection.search([0, 0, 0, 0], options: SearchOptions(filter: filters[6]))
        .isFilterCached)
    try await database.close()
  }

  @Test func theLeastUsedGoesFirst() throws {
    let cache = FilterCache()
    let keys = (0...FilterCache.entryLimit).map {
      FilterCache.Key(Field("f") == MetadataValue.integer(Int64($0)))
    }
    for key in keys.dropLast() {
      cache.keep(.init(slots: SlotBitset(count: 100, filled: true), sequence: 0), for: key)
    }
    #expect(cache.answer(for: keys[0])?.slots.count == 100)
    cache.keep(.init(slots: SlotBitset(count: 100), sequence: 0), for: keys[FilterCache.entryLimit])
    #expect(cache.answer(for: keys[0])?.slots.population == 100)
    #expect(cache.answer(for: keys[1]) == nil)
    // What is known of more slots stays.
    cache.keep(.init(slots: SlotBitset(count: 50), sequence: 0), for: keys[0])
    #expect(cache.answer(for: keys[0])?.slots.count == 100)
    // So does what is known of a later moment.
    cache.keep(.init(slots: SlotBitset(count: 100, filled: true), sequence: 2), for: keys[0])
    cache.keep(.init(slots: SlotBitset(count: 200), sequence: 1), for: keys[0])
    #expect(cache.answer(for: keys[0])?.slots.population == 100)
    let large = FilterCache.Key(Field("g") == 1)
    cache.keep(
      .init(slots: SlotBitset(count: FilterCache.sizeLimitBytes * 8), sequence: 0), for: large)
    #expect(cache.answer(for: large) == nil)
  }
}
