import Foundation
import Testing
import VecDB

/// Files that belong together: the records file, its write-ahead log, the log and the manifests of
/// one history, and no other.
@Suite struct JoinedFilesTests {
  private static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.maintenanceMinimum = .max
    configuration.checkpointReplayMilliseconds = 1_000_000
    configuration.logger.logLevel = .critical
    return configuration
  }

  private static func write(
    _ database: Database, _ range: Range<Int>, tag: String
  ) async throws {
    let items = try database.collection("items")
    for number in range {
      try await items.upsert(
        VectorRecord(key: "k\(number)", vector: [1, 2], metadata: ["tag": .string(tag)]))
    }
  }

  private static func replace(_ target: String, by source: String) throws {
    try? FileManager.default.removeItem(atPath: target)
    try copyTree(atPath: source, toPath: target)
  }

  /// Same database, same LSN, another history.
  @Test(arguments: [true, false])
  func recordsOfADivergedCopyAreRefused(checkpointing: Bool) async throws {
    let directory = try TemporaryDirectory()
    var configuration = Self.configuration
    configuration.checkpointOnClose = checkpointing
    let paths = ["one", "two"].map(directory.file)
    let first = try await Database.open(at: paths[0], configuration: configuration)
    try await first.createCollection("items", dimensions: 2, metric: .l2)
    try await Self.write(first, 0..<10, tag: "both")
    try await first.close()
    try copyTree(atPath: paths[0], toPath: paths[1])
    for path in paths {
      let copy = try await Database.open(at: path, configuration: configuration)
      try await Self.write(copy, 0..<10, tag: path)
      try await copy.close()
    }
    try Self.replace(paths[0] + "/records.sqlite", by: paths[1] + "/records.sqlite")
    let error = await expectError(.corrupt) {
      _ = try await Database.open(at: paths[0], configuration: configuration)
    }
    #expect(error?.location.hasSuffix("records.sqlite") == true, "\(String(describing: error))")
    let other = try await Database.open(at: paths[1], configuration: configuration)
    #expect(try await other.check().problems == [])
    try await other.close()
  }

  /// The main file of one of the last checkpoints, under the write-ahead log of now.
  @Test(arguments: [1, 2, 3])
  func anOlderMainFileUnderThePresentWALIsRefused(checkpointsBack: Int) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let database = try await Database.open(at: path, configuration: Self.configuration)
    try await database.createCollection("items", dimensions: 2, metric: .l2)
    for turn in 0..<4 {
      try await Self.write(database, 0..<20, tag: "turn \(turn)")
      _ = try await database.checkpoint()
      try Self.replace(directory.file("main\(turn)"), by: path + "/records.sqlite")
    }
    try await Self.write(database, 0..<5, tag: "last")
    // What a crash would leave now.
    let image = directory.file("image")
    try copyTree(atPath: path, toPath: image)
    try? FileManager.default.removeItem(atPath: image + "/control.sock")
    try await database.close()
    #expect(FileManager.default.fileExists(atPath: image + "/records.sqlite-wal"))
    let sound = directory.file("sound")
    try copyTree(atPath: image, toPath: sound)
    let opened = try await Database.open(at: sound, configuration: Self.configuration)
    #expect(try await opened.check().problems == [])
    try await opened.close()
    try Self.replace(
      image + "/records.sqlite", by: directory.file("main\(3 - checkpointsBack)"))
    await expectError(.corrupt) {
      _ = try await Database.open(at: image, configuration: Self.configuration)
    }
  }

  /// Commits go on while a checkpoint writes the main file: a crash then leaves a state that is newer
  /// than the one the write-ahead log began with, and older than the last.
  @Test func aStateBetweenUnderThePresentWALIsTaken() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let database = try await Database.open(at: path, configuration: Self.configuration)
    try await database.createCollection("items", dimensions: 2, metric: .l2)
    try await Self.write(database, 0..<20, tag: "checkpointed")
    _ = try await database.checkpoint()
    try await Self.write(database, 0..<5, tag: "between")
    let between = directory.file("between")
    try copyTree(atPath: path, toPath: between)
    try await Self.write(database, 0..<3, tag: "last")
    let image = directory.file("image")
    try copyTree(atPath: path, toPath: image)
    try await database.close()
    for copy in [between, image] {
      try? FileManager.default.removeItem(atPath: copy + "/control.sock")
    }
    let older = try await Database.open(at: between, configuration: Self.configuration)
    _ = try await older.checkpoint()
    try await older.close()
    try Self.replace(image + "/records.sqlite", by: between + "/records.sqlite")
    let opened = try await Database.open(at: image, configuration: Self.configuration)
    #expect(try await opened.check().problems == [])
    let last = try opened.collection("items").get("k2")
    #expect(last?.metadata["tag"] == .string("last"))
    try await opened.close()
  }

  /// A copy that was written by itself goes on from the same base, by another history.
  @Test func aDivergedStateBetweenIsRefused() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    var database = try await Database.open(at: path, configuration: Self.configuration)
    try await database.createCollection("items", dimensions: 2, metric: .l2)
    try await Self.write(database, 0..<20, tag: "checkpointed")
    _ = try await database.checkpoint()
    // Both are opened anew, so that both continue from the same base.
    try await database.close()
    let other = directory.file("other")
    try copyTree(atPath: path, toPath: other)
    database = try await Database.open(at: path, configuration: Self.configuration)
    // More batches than the other copy gets.
    for turn in 0..<3 { try await Self.write(database, 0..<3, tag: "last \(turn)") }
    let image = directory.file("image")
    try copyTree(atPath: path, toPath: image)
    try await database.close()
    for copy in [other, image] {
      try? FileManager.default.removeItem(atPath: copy + "/control.sock")
    }
    let diverged = try await Database.open(at: other, configuration: Self.configuration)
    try await Self.write(diverged, 0..<5, tag: "diverged")
    _ = try await diverged.checkpoint()
    try await diverged.close()
    let wal = try Data(contentsOf: URL(fileURLWithPath: image + "/records.sqlite-wal"))
    try Self.replace(image + "/records.sqlite", by: other + "/records.sqlite")
    // Before SQLite lays the log over pages that are not its own.
    let error = await expectError(.corrupt) {
      _ = try await Database.open(at: image, configuration: Self.configuration)
    }
    #expect(error?.message.contains("another copy of the database") == true, "\(error as Any)")
    // Nothing was merged: with its own file it opens again.
    #expect(try Data(contentsOf: URL(fileURLWithPath: image + "/records.sqlite-wal")) == wal)
  }
}
