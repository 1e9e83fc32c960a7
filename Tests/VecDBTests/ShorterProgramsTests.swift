import Foundation
import Testing
import VecDB

/// What spares an application lines.
@Suite struct ShorterProgramsTests {
  private enum Language: String, MetadataConvertible {
    case german = "de"
    case english = "en"
  }

  @Test func metadataTakesAndGivesSwiftValues() throws {
    let (year, id, date) = (2024, UUID(), Date(timeIntervalSince1970: 86_400.5))
    let none: Int? = nil
    let metadata = Metadata(values: [
      "year": year, "id": id, "seen": date, "language": Language.german, "tags": ["a", "b"],
      "none": none, "rating": 4.5 as Float,
    ])
    #expect(metadata["year", as: Int.self] == 2024)
    #expect(metadata["year", as: Double.self] == 2024)
    #expect(metadata["year", as: String.self] == nil)
    #expect(metadata["gone", as: Int.self] == nil)
    #expect(metadata["tags", as: [String].self] == ["a", "b"])
    #expect(metadata["none", as: Int.self] == nil)
    #expect(metadata["none"] == .null)
    #expect(metadata["id"] == .string(id.uuidString))
    #expect(metadata["seen"] == "1970-01-02T00:00:00.5Z")
    #expect(metadata["language"] == "de")
    #expect((Field("language") == Language.german).matches(metadata))
    #expect((Field("seen") <= date && Field("seen") >= date).matches(metadata))
    #expect((Field("id") == id).matches(metadata))
  }

  @Test func aCollectionIsOpenedOrCreated() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    // All at once, and only one creates it.
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<8 {
        group.addTask {
          let items = try await database.openCollection("items", dimensions: 2, metric: .l2)
          try await items.upsert(VectorRecord(key: "k\(number)", vector: [1, 2]))
        }
      }
      try await group.waitForAll()
    }
    #expect(try database.collection("items").count == 8)
    await expectError(.invalidArgument) {
      try await database.openCollection("items", dimensions: 3, metric: .l2)
    }
    await expectError(.invalidArgument) {
      try await database.openCollection("items", dimensions: 2, metric: .dot)
    }
    await expectError(.invalidArgument) {
      try await database.openCollection("", dimensions: 2, metric: .dot)
    }
    try await database.close()
    await expectError(.closed) {
      try await database.openCollection("items", dimensions: 2, metric: .l2)
    }
  }

  @Test func recordsComeInOrder() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.openCollection("items", dimensions: 2, metric: .l2)
    let keys = (0..<1_000).map { "k\($0)" }
    try await items.upsert(
      keys.enumerated().map {
        VectorRecord(key: $1, vector: [Float($0), 1], metadata: ["n": .integer(Int64($0 % 7))])
      })
    var found: [String] = []
    for try await record in items.records() { found.append(record.key) }
    #expect(found == keys.sorted())
    found = []
    for try await record in items.records(where: Field("n") == 3, includeVectors: false) {
      #expect(record.vector.isEmpty && record.metadata["n"] == 3)
      found.append(record.key)
    }
    #expect(found.count == 143)
    let reading = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      for try await _ in items.records() {}
    }
    await expectError(.cancelled) { try await reading.value }
    await expectError(.invalidArgument) {
      for try await _ in items.records(where: Field("") == 1) {}
    }
    try await database.close()
    await expectError(.closed) { for try await _ in items.records() {} }
  }
}
