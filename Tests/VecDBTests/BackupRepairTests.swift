import Foundation
import Testing
import VecDB

/// Damage in a repository: it is found, what can be restored all the same is offered, and a backup
/// that repairs makes it good.
@Suite struct BackupRepairTests {
  private static func flip(_ path: String) throws {
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    bytes[bytes.count / 2] ^= 16
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  private static func files(_ repository: String, _ folder: String) throws -> [String] {
    let path = repository + "/" + folder
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    return try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
      .map { "\(repository)/\(folder)/\($0)" }
      .filter { path in
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
          && !isDirectory.boolValue
      }
  }

  @Test func aRepairingBackupHealsWhatTheDatabaseStillHas() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var generator = SeededGenerator(seed: 51)
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 32, metric: .l2)
    for round in 0..<4 {
      try await items.upsert(
        (0..<700).map { VectorRecord(key: "\(round)-\($0)", vector: generator.vector(32)) })
      _ = try await database.backup(to: repository)
    }
    #expect(try !Self.files(repository, "deltas").isEmpty)
    let newest = try #require(try Database.backups(in: repository).last)
    for folder in ["blocks", "deltas", "log"] {
      for path in try Self.files(repository, folder) {
        try Self.flip(path)
        let found = try await Database.verify(repository: repository, verification: .quick)
        #expect(!found.problems.isEmpty, "\(path)")
        // An ordinary backup does not read what is there; one that repairs does.
        let report = try await database.backup(to: repository, options: Self.repairing)
        #expect(report.lsn == newest.lsn)
        let after = try await Database.verify(repository: repository, verification: .quick)
        let isOld = after.damagedRestorePoints.allSatisfy { $0 < newest.lsn }
        #expect(after.problems.isEmpty || isOld, "\(path): \(after.problems)")
        if !after.problems.isEmpty { try Self.flip(path) }
      }
    }
    let whole = try await Database.verify(repository: repository)
    #expect(whole.problems == [] && whole.damagedRestorePoints == [])
    // Missing pieces and blocks too.
    for folder in ["blocks", "log"] {
      let path = try #require(try Self.files(repository, folder).last)
      try FileManager.default.removeItem(atPath: path)
      let found = try await Database.verify(repository: repository, verification: .quick)
      _ = try await database.backup(to: repository, options: Self.repairing)
      let after = try await Database.verify(repository: repository, verification: .quick)
      #expect(after.problems.count <= found.problems.count)
      #expect(!after.damagedRestorePoints.contains(newest.lsn))
    }
    try await database.close()
  }

  private static var repairing: BackupOptions {
    var options = BackupOptions()
    options.repair = true
    return options
  }

  @Test func theNearestIntactStateIsOffered() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    var generator = SeededGenerator(seed: 52)
    let database = try await Database.open(at: directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 16, metric: .l2)
    try await items.upsert(
      (0..<300).map { VectorRecord(key: "\($0)", vector: generator.vector(16)) })
    let first = try await database.backup(to: repository)
    let before = Set(try Self.files(repository, "deltas") + Self.files(repository, "blocks"))
    for round in 0..<5 {
      try await items.upsert(VectorRecord(key: "n\(round)", vector: generator.vector(16)))
    }
    let second = try await database.backup(to: repository)
    let digest = try database.stats().dataDigest
    try await database.close()
    let new = try (Self.files(repository, "deltas") + Self.files(repository, "blocks")).filter {
      !before.contains($0)
    }
    for path in new { try Self.flip(path) }
    let error = await expectError(.corrupt) {
      _ = try await Database.restore(from: repository, to: directory.file("copy"))
    }
    #expect(error?.remedy.contains("--base \(first.lsn)") == true, "\(String(describing: error))")
    #expect(error?.remedy.contains("LSN \(second.lsn)") == true)
    #expect(!FileManager.default.fileExists(atPath: directory.file("copy")))
    // The offer holds: the same state.
    var options = RestoreOptions()
    options.base = first.lsn
    let report = try await Database.restore(
      from: repository, to: directory.file("copy"), options: options)
    #expect(report.lsn == second.lsn && report.dataDigest == digest)
    // With its log damaged too, only the older state is left.
    for path in try Self.files(repository, "log").suffix(1) { try Self.flip(path) }
    let found = try await Database.verify(repository: repository, verification: .quick)
    #expect(found.damagedRestorePoints == [second.lsn])
    options.base = nil
    await expectError(.corrupt) {
      _ = try await Database.restore(
        from: repository, to: directory.file("again"), options: options)
    }
    let old = try await Database.restore(
      from: repository, to: directory.file("again"), target: .lsn(first.lsn))
    #expect(old.lsn == first.lsn)
  }
}
