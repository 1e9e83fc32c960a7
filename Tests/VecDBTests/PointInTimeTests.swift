import Foundation
import Testing
import VecDB

/// Every moment of a history can be restored: what comes out is what an oracle knows of that LSN,
/// record by record and bit by bit, and its digest is the original's.
@Suite(.inEveryKindOfRepository) struct PointInTimeTests {
  typealias Contents = [String: [String: VectorRecord]]

  /// What was true after each LSN.
  struct Moment {
    var contents: Contents
    var digest: String
    var timeMilliseconds: Int64
  }

  /// A database with a history, and the oracle beside it.
  final class History {
    let directory: TemporaryDirectory
    let repository: String
    var generator: SeededGenerator
    var database: Database
    var contents: Contents = [:]
    var moments: [UInt64: Moment] = [:]

    init(seed: UInt64) async throws {
      directory = try TemporaryDirectory()
      repository = directory.file("repository")
      generator = SeededGenerator(seed: seed)
      database = try await Self.open(directory.file("db"), repository)
    }

    /// Small segments and frequent checkpoints, so that log is trimmed all the time, and archived just
    /// before.
    static func open(_ path: String, _ repository: String) async throws -> Database {
      var configuration = DatabaseConfiguration()
      // Maintenance, which logs batches by itself, is due all the time.
      configuration.maintenanceMinimum = 20
      configuration.maintenanceShare = 0
      configuration.logSegmentBytes = 256 << 10
      configuration.checkpointLogBytes = 1 << 20
      var archive = ArchiveOptions(repository: repository)
      archive.intervalMilliseconds = 20
      configuration.archive = archive
      return try await Database.open(at: path, configuration: configuration)
    }

    func note() throws {
      moments[database.lsn] = Moment(
        contents: contents, digest: try database.stats().dataDigest,
        timeMilliseconds: Int64(Date().timeIntervalSince1970 * 1000))
    }

    func reopen() async throws {
      try await database.close()
      database = try await Self.open(directory.file("db"), repository)
    }

    /// One write of a random kind.
    func step() async throws {
      let names = contents.keys.sorted()
      switch Int.random(in: 0..<100, using: &generator) {
      case 0..<4 where names.count < 4, _ where names.isEmpty:
        let name = "c\(Int.random(in: 0..<6, using: &generator))"
        if contents[name] == nil {
          let metric = [Metric.l2, .cosine, .dot].randomElement(using: &generator) ?? .l2
          try await database.createCollection(name, dimensions: 12, metric: metric)
          contents[name] = [:]
        }
      case 4..<6 where names.count > 2:
        let name = names.randomElement(using: &generator) ?? ""
        try await database.dropCollection(name)
        contents[name] = nil
      case 6..<8:
        try await database.mark("mark \(moments.count)")
      case 8..<25:
        let name = names.randomElement(using: &generator) ?? ""
        let keys = (contents[name] ?? [:]).keys.sorted().filter { _ in
          Int.random(in: 0..<6, using: &generator) == 0
        }
        try await database.collection(name).delete(keys)
        for key in keys { contents[name]?[key] = nil }
      default:
        let name = names.randomElement(using: &generator) ?? ""
        let count = Int.random(in: 1...120, using: &generator)
        var records: [String: VectorRecord] = [:]
        for _ in 0..<count {
          let key = "k\(Int.random(in: 0..<900, using: &generator))"
          records[key] = VectorRecord(
            key: key, vector: generator.vector(12),
            metadata: ["n": .integer(Int64.random(in: 0..<9, using: &generator))])
        }
        let batch = records.keys.sorted().compactMap { records[$0] }
        try await database.collection(name).upsert(batch)
        for record in batch { contents[name]?[record.key] = record }
      }
      try note()
    }
  }

  static func contents(of database: Database) throws -> Contents {
    var contents: Contents = [:]
    for info in try database.collections() {
      let collection = try database.collection(info.name)
      var records: [String: VectorRecord] = [:]
      var cursor: String?
      repeat {
        let page = try collection.scroll(after: cursor, limit: 500, includeVectors: true)
        for record in page.records { records[record.key] = record }
        cursor = page.next
      } while cursor != nil
      contents[info.name] = records
    }
    return contents
  }

  @Test func fiftyRandomMomentsEqualTheOracle() async throws {
    let seed: UInt64 = 20_261
    let history = try await History(seed: seed)
    for step in 0..<360 {
      try await history.step()
      if step % 90 == 40 { _ = try await history.database.backup(to: history.repository) }
      if step % 120 == 100 { try await history.reopen() }
    }
    try await history.database.close()
    let first = try #require(try Database.backups(in: history.repository).first)
    #expect(try Database.backups(in: history.repository).allSatisfy { $0.gapFirstLSN == nil })
    let noted = history.moments.keys.sorted()
    let end = try #require(try Database.backups(in: history.repository).last).replayableThroughLSN
    let last = try #require(noted.last)
    #expect(end >= last, "the log is archived to its end")
    let restorable = (first.lsn...last).shuffled(using: &history.generator).prefix(50)
    // Between two steps' LSNs lie those of maintenance, which changes no data.
    let maintenance = restorable.count { history.moments[$0] == nil }
    #expect(maintenance >= 5, "\(maintenance) of 50 points are those of maintenance")
    for (index, lsn) in restorable.enumerated() {
      let path = history.directory.file("at-\(lsn)")
      let report = try await Database.restore(
        from: history.repository, to: path, target: .lsn(lsn),
        verification: index % 5 == 0 ? .full : .quick)
      #expect(report.lsn == lsn)
      // It may come before or after the step that it is beside.
      let beside = [noted.last { $0 <= lsn }, noted.first { $0 >= lsn }].compactMap { $0 }
        .compactMap { history.moments[$0] }
      let moment = try #require(
        beside.first { $0.digest == report.dataDigest }, "LSN \(lsn), seed \(seed)")
      let copy = try await Database.open(at: path)
      #expect(try Self.contents(of: copy) == moment.contents, "LSN \(lsn), seed \(seed)")
      try await copy.close()
      try FileManager.default.removeItem(atPath: path)
    }
    let verified = try await Database.verify(repository: history.repository, samples: 3)
    #expect(verified.problems == [] && verified.sampledLSNs.count == 3)
  }

  @Test func oneCollectionAloneAndIntoARunningDatabase() async throws {
    let history = try await History(seed: 7)
    for step in 0..<200 {
      try await history.step()
      if step == 60 || step == 150 {
        _ = try await history.database.backup(to: history.repository)
      }
    }
    _ = try await history.database.archive(to: history.repository)
    let backups = try Database.backups(in: history.repository)
    // Maintenance has LSNs of its own, which have no moment.
    let middle = (backups[0].lsn + backups[1].lsn) / 2
    let lsn = try #require(history.moments.keys.filter { $0 <= middle }.max())
    let moment = try #require(history.moments[lsn])
    let name = try #require(moment.contents.max { $0.value.count < $1.value.count }).key

    var options = RestoreOptions()
    options.collections = [name]
    let path = history.directory.file("alone")
    let report = try await Database.restore(
      from: history.repository, to: path, target: .lsn(lsn), options: options)
    #expect(report.lsn == lsn)
    let copy = try await Database.open(at: path)
    #expect(try Self.contents(of: copy) == [name: moment.contents[name] ?? [:]])
    #expect(try await copy.check().problems == [])
    // Ids of what was left out stay taken.
    try await copy.createCollection("another", dimensions: 3, metric: .l2)
    try await copy.close()
    let reopened = try await Database.open(at: path)
    #expect(try reopened.collections().count == 2)
    try await reopened.close()

    let info = try await history.database.restoreCollection(
      name, as: "as it was", from: history.repository, target: .lsn(lsn))
    #expect(info.count == moment.contents[name]?.count)
    var expected = history.contents
    expected["as it was"] = moment.contents[name]
    #expect(try Self.contents(of: history.database) == expected)
    await expectError(.alreadyExists) {
      _ = try await history.database.restoreCollection(
        name, as: "as it was", from: history.repository)
    }
    await expectError(.notFound) {
      _ = try await history.database.restoreCollection(
        "never there", as: "new", from: history.repository)
    }
    #expect(try Self.contents(of: history.database) == expected)
    let left = try FileManager.default.contentsOfDirectory(atPath: history.directory.path)
    #expect(left.filter { $0.hasPrefix("db.") } == [])
    try await history.database.close()
  }

  @Test func anOlderCopyIsBroughtForwardAndBackByWhatDiffers() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var generator = SeededGenerator(seed: 9)
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 128, metric: .l2)
    try await items.upsert(
      (0..<12_000).map { VectorRecord(key: "k\($0)", vector: generator.vector(128)) })
    let first = try await database.backup(to: repository)
    try await items.upsert(
      (0..<50).map { VectorRecord(key: "n\($0)", vector: generator.vector(128)) })
    let second = try await database.backup(to: repository)
    let path = directory.file("copy")
    let whole = try await Database.restore(from: repository, to: path, target: .lsn(first.lsn))
    #expect(whole.bytesFetched >= whole.bytesCopied)
    await expectError(.alreadyExists) { _ = try await Database.restore(from: repository, to: path) }
    var options = RestoreOptions()
    options.replacing = true
    for lsn in [second.lsn, first.lsn] {
      let report = try await Database.restore(
        from: repository, to: path, target: .lsn(lsn), options: options)
      #expect(report.lsn == lsn)
      #expect(report.bytesFetched < report.bytesCopied / 2, "\(report)")
      let copy = try await Database.open(at: path)
      #expect(try copy.collection("items").count == (lsn == first.lsn ? 12_000 : 12_050))
      // Nobody takes away what is open.
      await expectError(.locked) {
        _ = try await Database.restore(from: repository, to: path, options: options)
      }
      try await copy.close()
    }
    #expect(!FileManager.default.fileExists(atPath: path + ".before-restore"))
    // What is no database is not replaced.
    try FileManager.default.createDirectory(
      atPath: directory.file("other/log"), withIntermediateDirectories: true)
    await expectError(.invalidArgument) {
      _ = try await Database.restore(
        from: repository, to: directory.file("other"), options: options)
    }
    try await database.close()
  }
}
