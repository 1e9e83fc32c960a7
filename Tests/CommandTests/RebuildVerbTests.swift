import Foundation
import Testing

/// `vecdb rebuild`, on a database that nobody has open.
@Suite struct RebuildVerbTests {
  let folder: TemporaryFolder
  var database: String { folder.path("db") }

  init() throws {
    folder = try TemporaryFolder()
    try Command.succeed("create", database, "c", "--dimensions", "8", "--metric", "l2")
    try folder.write(
      "v.jsonl",
      VectorFiles.jsonLines(VectorFiles.vectors(2_000, dimensions: 8)) { "{\"n\":\($0)}" })
    try Command.succeed("import", database, "c", folder.path("v.jsonl"))
  }

  private func field(_ name: String, _ arguments: String...) throws -> Any? {
    let run = try Command.run(["rebuild", database, "c"] + arguments + ["--json"])
    #expect(run.status == 0, "\(run.errors)")
    return try run.objects.first?[name]
  }

  @Test func rebuildingAndTakingItBack() throws {
    #expect(try field("stage", "--status") as? String == "none")
    #expect(try field("m", "--m", "24", "--latency-factor", "50") as? Int == 24)
    #expect(try field("stage", "--status") as? String == "grace")
    #expect(try Command.run("rebuild", database, "c").status == 1)
    #expect(try field("lsn", "--rollback") as? Int != nil)
    #expect(try field("m", "--status") as? Int == 16)
    let text = try Command.succeed("rebuild", database, "c", "--status").output
    #expect(text.contains("was rolled back"))
  }

  @Test func aRefusalIsAMissedTarget() throws {
    let run = try Command.run(
      "rebuild", database, "c", "--m", "4", "--ef-construction", "8", "--ef", "10",
      "--minimum-recall", "1")
    #expect(run.status == 4)
    #expect(run.errors.contains("below the required 1.0"))
    #expect(try field("stage", "--status") as? String == "none")
  }

  @Test func comparingParameters() throws {
    let table = try Command.succeed(
      "rebuild", database, "c", "--dry-run", "--alternative", "8:50", "--alternative", "24:100"
    ).output
    #expect(table.split(separator: "\n").count == 4)
    #expect(table.contains("serves"))
    // With only one of the two given, the other is as it is, not as it is by default.
    try Command.succeed(
      "rebuild", database, "c", "--m", "24", "--ef-construction", "90",
      "--latency-factor", "50")
    try Command.succeed("rebuild", database, "c", "--retire")
    let rows = try field("rows", "--dry-run", "--m", "8") as? [[String: Any]]
    #expect(rows?.compactMap { $0["m"] as? Int } == [24, 8])
    #expect(rows?.compactMap { $0["efConstruction"] as? Int } == [90, 90])
    #expect(try Command.run("rebuild", database, "c", "--alternative", "8:50").status == 2)
    #expect(
      try Command.run("rebuild", database, "c", "--dry-run", "--alternative", "8").status == 2)
    #expect(try Command.run("rebuild", database, "c", "--cancel").status == 1)
  }
}

/// A rebuild whose command ended before it did.
@Suite struct InterruptedRebuildTests {
  @Test func theSameCommandAgainGoesOnWithIt() throws {
    let folder = try TemporaryFolder()
    try folder.database(records: 1_500)
    let db = folder.path("db")
    try Command.succeed("rebuild", db, "c", "--m", "12", "--grace", "0", "--detach")
    let other = try Command.run("rebuild", db, "c", "--m", "14", "--grace", "0")
    // Unless the short command before had the time to end it.
    if other.status != 0 { #expect(other.errors.contains("being built"), "\(other.errors)") }
    let again = try Command.run("rebuild", db, "c", "--m", "12", "--grace", "0", "--json")
    #expect(again.status == 0, "\(again.errors)")
    #expect(try again.objects[0]["m"] as? Int == 12)
    try Command.succeed("check", db)
  }
}
