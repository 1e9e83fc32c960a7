import Foundation
import Testing
import VecDB

/// Wrong input gets an error that names the thing and the remedy, and changes nothing.
@Suite struct BadInputTests {
  private func withItems(
    _ metric: Metric = .l2,
    _ body: (Database, VectorCollection, TemporaryDirectory) async throws -> Void
  ) async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 3, metric: metric)
    try await items.upsert(VectorRecord(key: "good", vector: [1, 2, 3]))
    let before = try database.stats()
    try await body(database, items, directory)
    #expect(try database.stats().lsn == before.lsn)
    #expect(try database.stats().dataDigest == before.dataDigest)
    try await database.close()
  }

  @Test func records() async throws {
    try await withItems { _, items, _ in
      let good = VectorRecord(key: "also good", vector: [1, 1, 1])
      for bad in [
        VectorRecord(key: "short", vector: [1, 2]),
        VectorRecord(key: "long", vector: [1, 2, 3, 4]),
        VectorRecord(key: "nan", vector: [1, .nan, 3]),
        VectorRecord(key: "inf", vector: [.infinity, 2, 3]),
        VectorRecord(key: "", vector: [1, 2, 3]),
        VectorRecord(key: String(repeating: "k", count: 1_025), vector: [1, 2, 3]),
        VectorRecord(key: "zero\0byte", vector: [1, 2, 3]),
        VectorRecord(key: "meta", vector: [1, 2, 3], metadata: ["x": .double(.nan)]),
        VectorRecord(key: "nested", vector: [1, 2, 3], metadata: ["x": .array([.array([])])]),
      ] {
        let error = await expectError(.invalidArgument) { try await items.upsert([good, bad]) }
        let remedy = error?.remedy ?? ""
        #expect(!remedy.isEmpty, "\(bad.key)")
      }
      let found = try items.get("also good")
      #expect(found == nil)
    }
  }

  @Test func queries() async throws {
    try await withItems { _, items, _ in
      await expectError(.invalidArgument) { _ = try items.search([1, 2]) }
      await expectError(.invalidArgument) { _ = try items.search([1, 2, .nan]) }
      await expectError(.invalidArgument) { _ = try items.search([1, 2, 3], k: 0) }
      await expectError(.invalidArgument) { _ = try items.search([1, 2, 3], k: 1_000_000_000) }
      for recall in [0.0, 1, -1, .nan] {
        await expectError(.invalidArgument) {
          _ = try items.search([1, 2, 3], options: .init(recall: recall))
        }
      }
      await expectError(.invalidArgument) {
        _ = try items.search([1, 2, 3], options: .init(efSearch: 0))
      }
      let all = try items.search([1, 2, 3], k: 65_536).hits
      #expect(all.map(\.key) == ["good"])
      let none = try items.search([1, 2, 3], options: .init(filter: Field("no such field") == 1))
      #expect(none.hits.isEmpty)
      let one = try items.search([1, 2, 3], options: .init(recall: 0.9))
      #expect(one.hits.count == 1)
      await expectError(.invalidArgument) { _ = try items.scroll(limit: 0) }
      await expectError(.invalidArgument) { _ = try Filter(parsing: "year >= ") }
      await expectError(.limitExceeded) {
        _ = try Filter(parsing: String(repeating: "(", count: 1_000))
      }
    }
  }

  @Test func zeroVectorsUnderCosine() async throws {
    try await withItems(.cosine) { _, items, _ in
      await expectError(.invalidArgument) {
        try await items.upsert(VectorRecord(key: "zero", vector: [0, 0, 0]))
      }
      await expectError(.invalidArgument) { _ = try items.search([0, 0, 0]) }
    }
  }

  @Test func collections() async throws {
    try await withItems { database, _, _ in
      await expectError(.alreadyExists) {
        try await database.createCollection("items", dimensions: 3, metric: .l2)
      }
      for name in ["", "line\nbreak", String(repeating: "n", count: 256)] {
        await expectError(.invalidArgument) {
          try await database.createCollection(name, dimensions: 3, metric: .l2)
        }
      }
      for dimensions in [0, -1, 65_537] {
        await expectError(.invalidArgument) {
          try await database.createCollection("x", dimensions: dimensions, metric: .l2)
        }
      }
      for options in [IndexOptions(m: 3), IndexOptions(m: 65), IndexOptions(efConstruction: 7)] {
        await expectError(.invalidArgument) {
          try await database.createCollection("x", dimensions: 3, metric: .l2, index: options)
        }
      }
      let error = await expectError(.notFound) { _ = try database.collection("itmes") }
      let remedy = error?.remedy ?? ""
      #expect(remedy.contains("'items'"))
      await expectError(.notFound) { try await database.dropCollection("nowhere") }
    }
  }

  @Test func openingWhatIsNotADatabase() async throws {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.createIfMissing = false
    await expectError(.notFound) {
      _ = try await Database.open(at: directory.file("none"), configuration: configuration)
    }
    await expectError(.invalidArgument) { _ = try await Database.open(at: "") }
    try FileManager.default.createDirectory(
      atPath: directory.file("full"), withIntermediateDirectories: true)
    try Data("precious".utf8).write(to: URL(fileURLWithPath: directory.file("full/file")))
    await expectError(.invalidArgument) { _ = try await Database.open(at: directory.file("full")) }
    #expect(FileManager.default.fileExists(atPath: directory.file("full/file")))
  }

  @Test func openTwice() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let error = await expectError(.locked) { _ = try await Database.open(at: directory.file("db")) }
    let message = error?.message ?? ""
    #expect(message.contains("\(ProcessInfo.processInfo.processIdentifier)"))
    try await database.close()
    try await Database.open(at: directory.file("db")).close()
  }

  @Test func repositories() async throws {
    try await withItems { database, _, directory in
      await expectError(.notFound) { _ = try Database.backups(in: directory.file("none")) }
      await expectError(.notFound) {
        _ = try await Database.restore(from: directory.file("none"), to: directory.file("x"))
      }
      _ = try await database.backup(to: directory.file("repo"))
      await expectError(.alreadyExists) {
        _ = try await Database.restore(from: directory.file("repo"), to: directory.file("db"))
      }
      let other = try await Database.open(at: directory.file("other"))
      await expectError(.invalidArgument) { _ = try await other.backup(to: directory.file("repo")) }
      try await other.close()
    }
  }

  @Test func droppedCollections() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 2, metric: .dot)
    try await items.upsert(VectorRecord(key: "a", vector: [1, 2]))
    try await database.dropCollection("items")
    await expectError(.closed) { _ = try items.search([1, 2]) }
    await expectError(.closed) { try await items.upsert(VectorRecord(key: "b", vector: [1, 2])) }
    let again = try await database.createCollection("items", dimensions: 5, metric: .l2)
    #expect(again.count == 0)
    try await database.close()
    let reopened = try await Database.open(at: directory.file("db"))
    #expect(try reopened.collections().map(\.dimensions) == [5])
    #expect(try await reopened.check().problems == [])
    try await reopened.close()
  }
}
