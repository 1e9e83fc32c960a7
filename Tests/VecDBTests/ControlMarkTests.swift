import Foundation
import Testing
import VecDB

/// Named points of the history.
@Suite struct ControlMarkTests {
  @Test func marksAreRestoredAndSurvive() async throws {
    let directory = try TemporaryDirectory()
    var database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 8, metric: .l2)
    var generator = SeededGenerator(seed: 7)
    var digests: [String: String] = [:]
    var places: [String: UInt64] = [:]
    for round in 0..<6 {
      try await items.upsert(
        (0..<40).map { VectorRecord(key: "\(round * 20 + $0)", vector: generator.vector(8)) })
      let before = try database.stats(graphDigests: true)
      let mark = try await database.mark("round \(round)")
      let after = try database.stats(graphDigests: true)
      #expect(mark.lsn == before.lsn + 1 && after.lsn == mark.lsn)
      #expect(before.dataDigest == after.dataDigest)
      #expect(before.collections == after.collections)
      digests[mark.name] = after.dataDigest
      places[mark.name] = mark.lsn
      if round % 3 == 0 { _ = try await database.backup(to: directory.file("repo")) }
    }
    await expectError(.alreadyExists) { try await database.mark("round 2") }
    await expectError(.invalidArgument) { try await database.mark("a\nb") }
    await expectError(.invalidArgument) { try await database.mark("") }
    await expectError(.notFound) { try await database.removeMark("never") }
    try await database.removeMark("round 4")
    try await items.upsert(VectorRecord(key: "last", vector: generator.vector(8)))

    // Not archived yet: the repository does not know it.
    await expectError(.notFound) {
      _ = try await Database.restore(
        from: directory.file("repo"), to: directory.file("x"), target: .mark("round 5"))
    }
    let known = try Database.marks(in: directory.file("repo"))
    #expect(known.map(\.name) == (0..<4).map { "round \($0)" })
    _ = try await database.backup(to: directory.file("repo"))
    let all = try Database.marks(in: directory.file("repo"))
    #expect(all.map(\.name) == [0, 1, 2, 3, 5].map { "round \($0)" })

    // They come back from the manifest and from the log behind it.
    try await database.mark("unsaved")
    var configuration = DatabaseConfiguration()
    configuration.checkpointOnClose = false
    try await database.close()
    database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let later = try await database.mark("later")
    try await database.close()
    database = try await Database.open(at: directory.file("db"))
    let reopened = try await database.marks()
    #expect(reopened.map(\.name) == all.map(\.name) + ["unsaved", "later"])
    #expect(reopened.last == later)
    try await database.close()

    for mark in all {
      let report = try await Database.restore(
        from: directory.file("repo"), to: directory.file("copy \(mark.name)"),
        target: .mark(mark.name))
      #expect(report.lsn == places[mark.name])
      #expect(report.dataDigest == digests[mark.name])
      let copy = try await Database.open(at: directory.file("copy \(mark.name)"))
      #expect(try await copy.marks().last == mark)
      #expect(try await copy.check().problems == [])
      try await copy.close()
    }
  }
}
