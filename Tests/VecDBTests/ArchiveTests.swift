import Foundation
import Testing
import VecDB

/// Log that goes to a repository all the time, and trimming that waits for it.
@Suite struct ArchiveTests {
  private static func configuration(archive: ArchiveOptions? = nil) -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.logSegmentBytes = 128 << 10
    configuration.checkpointLogBytes = 256 << 10
    configuration.archive = archive
    // It logs batches by itself, also between a look at the LSN and the close.
    configuration.maintenanceMinimum = .max
    configuration.logger.logLevel = .critical
    return configuration
  }

  private static func write(
    _ count: Int, to items: VectorCollection, _ generator: inout SeededGenerator
  ) async throws {
    for _ in 0..<count {
      let records = (0..<20).map { _ in
        VectorRecord(
          key: "k\(Int.random(in: 0..<500, using: &generator))", vector: generator.vector(64))
      }
      var unique: [String: VectorRecord] = [:]
      for record in records { unique[record.key] = record }
      try await items.upsert(Array(unique.values))
    }
  }

  @Test func everythingIsArchivedWithinAnInterval() async throws {
    let directory = try TemporaryDirectory()
    var options = ArchiveOptions(repository: directory.file("repository"))
    options.intervalMilliseconds = 50
    var generator = SeededGenerator(seed: 41)
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration(archive: options))
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    _ = try await database.backup(to: options.repository)
    try await Self.write(200, to: items, &generator)
    let written = database.lsn
    let deadline = Date().addingTimeInterval(1_200)
    while try database.stats().archives.first?.lsn ?? 0 < written, Date() < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    let stats = try #require(try database.stats().archives.first)
    #expect(stats.isContinuous && stats.lsn == written && stats.problem == nil)
    #expect(stats.pendingBytes == 0 && stats.pendingMilliseconds == 0)
    let digest = try database.stats().dataDigest
    // The host is lost now: nothing else is taken from it.
    let copy = directory.file("copy")
    let report = try await Database.restore(from: options.repository, to: copy)
    #expect(report.lsn == written && report.dataDigest == digest)
    // Small pieces have been made into few; perhaps it is being done right now.
    func pieceCount() throws -> Int {
      try FileManager.default.contentsOfDirectory(
        atPath: options.repository + "/log/00000000000000000001"
      ).count
    }
    while try pieceCount() >= 70, Date() < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    let count = try pieceCount()
    #expect(count < 70, "\(count)")
    try await Self.write(3, to: items, &generator)
    let last = database.lsn
    try await database.close()
    // Closing archives what is left.
    #expect(try Database.backups(in: options.repository).last?.replayableThroughLSN == last)
    #expect(try await Database.verify(repository: options.repository).problems == [])
  }

  /// Small pieces become few also where the log has been trimmed since they were sent, as it is where
  /// a slow stream of writes is archived every few seconds.
  @Test func smallPiecesAreJoinedAfterTheLogIsTrimmed() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var options = ArchiveOptions(repository: repository)
    options.intervalMilliseconds = 10
    var configuration = Self.configuration(archive: options)
    configuration.logSegmentBytes = 16 << 10
    var generator = SeededGenerator(seed: 43)
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    let first = try await database.backup(to: repository)
    var digests: [UInt64: String] = [:]
    for turn in 0..<220 {
      try await Self.write(1, to: items, &generator)
      for _ in 0..<3_000 where try database.stats().archives.first?.lsn != database.lsn {
        try await Task.sleep(nanoseconds: 10_000_000)
      }
      if turn % 3 == 0 { try await database.checkpoint() }
      if turn % 50 == 7 { digests[database.lsn] = try database.stats().dataDigest }
    }
    #expect(database.log.firstLSN > first.lsn + 150)
    let last = try database.stats().dataDigest
    try await database.close()
    let pieces = try FileManager.default.contentsOfDirectory(
      atPath: repository + "/log/00000000000000000001")
    #expect(pieces.count < 70, "\(pieces.count)")
    #expect(try await Database.verify(repository: repository, samples: 3).problems == [])
    for (lsn, digest) in digests {
      let report = try await Database.restore(
        from: repository, to: directory.file("at-\(lsn)"), target: .lsn(lsn), verification: .quick)
      #expect(report.dataDigest == digest)
    }
    let newest = try await Database.restore(from: repository, to: directory.file("newest"))
    #expect(newest.dataDigest == last)
  }

  @Test func trimmingWaitsForARepositoryUpToALimit() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var generator = SeededGenerator(seed: 42)
    var configuration = Self.configuration()
    configuration.archiveLogBytes = 3 << 20
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    let first = try await database.backup(to: repository)
    // 2 MB of log and many checkpoints: all of it is still there for the next backup.
    try await Self.write(350, to: items, &generator)
    for _ in 0..<3 {
      try await Self.write(1, to: items, &generator)
      try await database.checkpoint()
    }
    let stats = try #require(try database.stats().archives.first)
    #expect(stats.lsn == first.lsn && !stats.hasLapsed && !stats.isContinuous)
    #expect(stats.pendingBytes > 1_500_000 && stats.pendingMilliseconds > 0)
    try await database.close()
    // Also after a restart.
    let again = try await Database.open(at: directory.file("db"), configuration: configuration)
    let same = try again.collection("items")
    #expect(try again.stats().archives.map(\.lsn) == [first.lsn])
    _ = try await again.backup(to: repository)
    let backups = try Database.backups(in: repository)
    #expect(backups[0].gapFirstLSN == nil && backups[0].replayableThroughLSN == backups[1].lsn)
    let middle = (backups[0].lsn + backups[1].lsn) / 2
    let report = try await Database.restore(
      from: repository, to: directory.file("middle"), target: .lsn(middle), verification: .quick)
    #expect(report.lsn == middle)
    // Beyond the limit the repository lapses; the gap is shown, and the next backup ends it.
    try await Self.write(1_000, to: same, &generator)
    for _ in 0..<3 {
      try await Self.write(1, to: same, &generator)
      try await again.checkpoint()
    }
    #expect(try again.stats().archives.first?.hasLapsed == true)
    #expect(try again.stats().logBytes < 3 << 20)
    _ = try await again.backup(to: repository)
    #expect(try again.stats().archives.first?.hasLapsed == false)
    let later = try Database.backups(in: repository)
    #expect(later[1].gapFirstLSN == later[1].lsn + 1)
    let restored = try await Database.restore(
      from: repository, to: directory.file("late"), verification: .quick)
    #expect(restored.dataDigest == (try again.stats().dataDigest))
    // Not used any more.
    try await again.forgetArchive(repository)
    #expect(try again.stats().archives == [])
    await expectError(.notFound) { try await again.forgetArchive(repository) }
    try await again.close()
  }

  @Test func aRepositoryThatCannotBeReachedIsToldAndCaughtUp() async throws {
    let directory = try TemporaryDirectory()
    let place = directory.file("disk")
    try Data("not a directory".utf8).write(to: URL(fileURLWithPath: place))
    var options = ArchiveOptions(repository: place + "/repository")
    options.intervalMilliseconds = 20
    var generator = SeededGenerator(seed: 43)
    let database = try await Database.open(
      at: directory.file("db"), configuration: Self.configuration(archive: options))
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    try await Self.write(20, to: items, &generator)
    let deadline = Date().addingTimeInterval(1_200)
    while try database.stats().archives.first?.problem == nil, Date() < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    let stats = try #require(try database.stats().archives.first)
    #expect(stats.problem != nil && stats.lsn == 0 && stats.pendingBytes > 0)
    try FileManager.default.removeItem(atPath: place)
    var last = stats
    while last.pendingBytes != 0 || last.problem != nil, Date() < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
      last = try database.stats().archives.first ?? last
    }
    #expect(last.problem == nil && last.pendingBytes == 0)
    #expect(try database.stats().archives.first?.lsn == database.lsn)
    try await database.close()
  }
}
