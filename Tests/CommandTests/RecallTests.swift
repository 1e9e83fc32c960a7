import Foundation
import Testing
import VecDBShapes

/// The command tells of an index that answers badly, whichever verb looks at it.
@Suite struct RecallTests {
  let folder: TemporaryFolder
  var database: String { folder.path("db") }

  init() throws {
    folder = try TemporaryFolder()
    let shape = try #require(Shape.all.first { $0.name == "cities" })
    try folder.write("v.fvecs", VectorFiles.fvecs(ShapeData(shape, count: 3_000, queries: 1).base))
    try Command.succeed(
      "create", database, "c", "--dimensions", "2", "--metric", "l2", "--codes", "bytes")
    try Command.succeed("import", database, "c", folder.path("v.fvecs"))
  }

  @Test func everyVerbTells() throws {
    for arguments in [["check", database], ["check", database, "--recall"]] {
      let check = try Command.run(arguments)
      #expect(check.status == 4, "\(check.errors)")
      #expect(check.output.contains("RECALL") && !check.output.contains("clean"))
      #expect(check.errors.contains("vecdb rebuild"))
    }
    let json = try Command.run("check", database, "--json")
    #expect(json.status == 4)
    let health = try #require(try json.objects.first?["health"] as? [[String: Any]])
    #expect((health.first?["indexRecall"] as? Double ?? 1) < 0.9)

    let query = try Command.succeed("query", database, "c", "--vector", "[10,20]", "--explain")
    #expect(query.errors.contains("WARNING"))
    let repository = folder.path("repository")
    #expect(try Command.succeed("backup", database, repository).output.contains("BELOW 0.9"))
    let restore = try Command.run("restore", repository, folder.path("copy"))
    #expect(restore.status == 4 && restore.errors.contains("below 0.9"), "\(restore.errors)")
    // The copy lives all the same.
    #expect(try Command.succeed("get", folder.path("copy"), "c", "17").output.contains("\"17\""))
    let verify = try Command.run("verify", repository, "--sample", "1")
    #expect(verify.status == 4 && verify.output.contains("RECALL"))

    // Building it anew ends all of that.
    try Command.succeed("rebuild", database, "c")
    let check = try Command.succeed("check", database, "--recall")
    #expect(check.output.contains("clean") && !check.output.contains("RECALL"))
    let stats = try Command.succeed("stats", database).output
    #expect(stats.contains("automatic, now float32"))
  }
}
