import Foundation
import Testing

/// Options that the environment gives; those of the command line go first.
@Suite struct EnvironmentTests {
  @Test func theLogLevelIsTaken() throws {
    let folder = try TemporaryFolder()
    let arguments = ["create", folder.path("db"), "items", "--dimensions", "2", "--metric", "l2"]
    let run = try Command.run(arguments, environment: ["VECDB_LOG_LEVEL": "debug"])
    #expect(run.status == 0 && run.errors.contains("opened the database"), "\(run.errors)")
    let quiet = try Command.run(["stats", folder.path("db")])
    #expect(quiet.status == 0 && quiet.errors.isEmpty, "\(quiet.errors)")
  }

  @Test func theKeyFileIsTaken() throws {
    let folder = try TemporaryFolder()
    try Command.succeed("create", folder.path("db"), "items", "--dimensions", "2", "--metric", "l2")
    let arguments = ["backup", folder.path("db"), folder.path("repository")]
    let missing = folder.path("missing")
    let run = try Command.run(arguments, environment: ["VECDB_KEY_FILE": missing])
    #expect(run.status != 0, "the backup is not encrypted")
    #expect(run.errors.contains(missing) || run.errors.contains("without encryption"))
    // Empty is as good as not set.
    let plain = try Command.run(arguments, environment: ["VECDB_KEY_FILE": ""])
    #expect(plain.status == 0, "\(plain.errors)")
  }

  @Test func twoKeysExcludeEachOther() throws {
    let folder = try TemporaryFolder()
    let run = try Command.run(
      ["backups", folder.path("repository")],
      environment: ["VECDB_KEY_FILE": "/a", "VECDB_PASSPHRASE_FILE": "/b"])
    #expect(run.status == 2 && run.errors.contains("VECDB_PASSPHRASE_FILE"), "\(run)")
  }
}
