import Foundation
import Testing
import VecDB

/// Counts of values against a plain count.
@Suite struct FacetTests {
  private static let values: [MetadataValue] = [
    1, 1.0, 2.5, "a", "b", .string(String(repeating: "long", count: 30)), .null, true, [],
    ["a", "a", 1.0],
    [1, "b"], 0.0, -1,
  ]

  /// Numbers of one value as one, as a filter has it.
  private static func unified(_ value: MetadataValue) -> MetadataValue {
    guard case .double(let number) = value, let whole = Int64(exactly: number) else { return value }
    return .integer(whole)
  }

  @Test(arguments: [false, true])
  func facetsAreCounts(beyondColumns: Bool) async throws {
    var generator = SeededGenerator(seed: 17)
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    if beyondColumns {
      var many = Metadata()
      for number in 0..<70 { many["x\(number)"] = 1 }
      try await items.upsert(VectorRecord(key: "many", vector: [0, 0], metadata: many))
      try await items.delete("many")
    }
    var records: [String: Metadata] = [:]
    for round in 0..<6 {
      var batch: [VectorRecord] = []
      for _ in 0..<150 {
        let key = "k\(Int.random(in: 0..<400, using: &generator))"
        var metadata: Metadata = ["n": .integer(Int64.random(in: 0..<10, using: &generator))]
        if Bool.random(using: &generator) {
          metadata["f"] = Self.values.randomElement(using: &generator)
        }
        records[key] = metadata
        batch.append(VectorRecord(key: key, vector: [Float(round), 1], metadata: metadata))
      }
      try await items.upsert(batch)
      let gone = Array(records.keys.prefix(20))
      try await items.delete(gone)
      for key in gone { records[key] = nil }
      for filter in [nil, Field("n") < 5, Field("f").exists, Field("n") == 77] {
        let matching = records.values.filter { metadata in filter?.matches(metadata) ?? true }
        var expected: [MetadataValue: Int] = [:]
        for metadata in matching {
          guard let value = metadata["f"] else { continue }
          if case .array(let elements) = value {
            for element in Set(elements.map(Self.unified)) { expected[element, default: 0] += 1 }
          } else {
            expected[Self.unified(value), default: 0] += 1
          }
        }
        let result = try items.facets("f", where: filter)
        #expect(
          Dictionary(uniqueKeysWithValues: result.values.map { ($0.value, $0.count) }) == expected,
          "round \(round), \(String(describing: filter))")
        #expect(result.matching == matching.count && result.distinct == expected.count)
        #expect(result.missing == matching.count { $0["f"] == nil })
        #expect(zip(result.values, result.values.dropFirst()).allSatisfy { $0.count >= $1.count })
        let first = try items.facets("f", where: filter, limit: 2)
        #expect(first.values == Array(result.values.prefix(2)))
        #expect(first.distinct == result.distinct)
      }
    }
    #expect(try items.facets("none").values.isEmpty)
    #expect(try items.facets("none").missing == records.count)
    for limit in [0, -1, 65_537] {
      await expectError(.invalidArgument) { _ = try items.facets("f", limit: limit) }
    }
    await expectError(.invalidArgument) { _ = try items.facets("") }
    try await database.close()
    await expectError(.closed) { _ = try items.facets("f") }
  }
}
