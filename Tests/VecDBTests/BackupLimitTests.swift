import Foundation
import Testing
import VecDB

/// A backup that is limited takes its time, and is as good as any other.
@Suite struct BackupLimitTests {
  @Test func sendsNoFasterThanTheLimit() async throws {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.backupBytesPerSecond = 4 << 20
    let database = try await Database.open(
      at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    var generator = SeededGenerator(seed: 31)
    // Floats that codes do not hold: 256 bytes a record, 1 MiB in all, and as much beside it.
    try await items.upsert(
      (0..<8_000).map { VectorRecord(key: "k\($0)", vector: generator.vector(64)) })
    let report = try await database.backup(to: directory.file("repo"))
    // The last block need not be waited for.
    let least = Double(report.newBytes - (2 << 20)) / Double(4 << 20) * 0.5
    #expect(report.newBlocks > 4)
    #expect(report.seconds > max(0.2, min(least, 1)))
    try await database.close()
    #expect(try await Database.verify(repository: directory.file("repo")).problems == [])
  }
}
