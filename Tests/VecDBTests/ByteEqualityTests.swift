import Foundation
import Testing
import VecDB
import VecDBBytes

/// Strings are equal if their bytes are: `é` as one code point and as two are two names, for marks,
/// fields, keys and collections alike, whatever Swift's strings say.
@Suite(.inEveryKindOfRepository) struct ByteEqualityTests {
  private static let one = "caf\u{e9}"
  private static let two = "cafe\u{301}"

  @Test func marksOfEquivalentNamesAreTwo() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    _ = try await database.backup(to: repository)
    let first = try await database.mark(Self.one)
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2]))
    let second = try await database.mark(Self.two)
    await expectError(.alreadyExists) { _ = try await database.mark(Self.one) }
    _ = try await database.backup(to: repository)
    try await database.close()
    database = try await Database.open(at: directory.file("db"))
    #expect(try await database.marks().map(\.lsn) == [first.lsn, second.lsn])
    #expect(try Database.marks(in: repository).map(\.lsn) == [first.lsn, second.lsn])
    for (name, lsn) in [(Self.one, first.lsn), (Self.two, second.lsn)] {
      let report = try await Database.restore(
        from: repository, to: directory.file("copy\(lsn)"), target: .mark(name))
      #expect(report.lsn == lsn)
    }
    try await database.removeMark(Self.one)
    #expect(try await database.marks().map { Array($0.name.utf8) } == [Array(Self.two.utf8)])
    try await database.close()
  }

  @Test func filtersOnEquivalentFieldsShareNoAnswer() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    try await items.upsert([
      VectorRecord(key: "one", vector: [1, 2], metadata: [Self.one: 1]),
      VectorRecord(key: "two", vector: [1, 2], metadata: [Self.two: 1]),
    ])
    for _ in 0..<3 {
      for (field, key) in [(Self.one, "one"), (Self.two, "two")] {
        for filter in [
          Field(field) == 1, Field(field).exists, Field(field).in([1, 2]),
          Field(field) == 1 && Field(field).exists, !(!Field(field).exists),
        ] {
          let options = SearchOptions(filter: filter)
          let hits = try items.search([1, 2], k: 5, options: options).hits.map(\.key)
          #expect(hits == [key], "\(filter)")
        }
      }
    }
    try await database.close()
  }

  @Test func aRestoreOfOneCollectionTakesNotItsEquivalent() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let database = try await Database.open(at: directory.file("db"))
    for (name, count) in [(Self.one, 1), (Self.two, 2)] {
      let items = try await database.createCollection(name, dimensions: 2, metric: .l2)
      try await items.upsert((0..<count).map { VectorRecord(key: "k\($0)", vector: [1, 2]) })
    }
    _ = try await database.backup(to: repository)
    try await database.close()
    var options = RestoreOptions()
    options.collections = [Self.two]
    let path = directory.file("copy")
    _ = try await Database.restore(from: repository, to: path, options: options)
    let copy = try await Database.open(at: path)
    #expect(try copy.collections().map(\.count) == [2])
    try await copy.close()
  }
}
