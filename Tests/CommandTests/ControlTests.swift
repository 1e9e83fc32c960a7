import Foundation
import Testing
import VecDB

/// The command on a database that another process, this one, has open.
@Suite(.serialized) struct ControlTests {
  /// A database of some size, open in this process.
  private func open(_ path: String, records: Int = 2_000) async throws -> Database {
    let database = try await Database.open(at: path)
    let items = try await database.createCollection("items", dimensions: 16, metric: .l2)
    try await items.upsert(
      (0..<records).map { key in
        VectorRecord(key: "k\(key)", vector: (0..<16).map { Float((key * 31 + $0 * 7) % 97) })
      })
    return database
  }

  /// Runs the command on a thread of its own: this process must go on answering.
  private func run(_ arguments: String...) async throws -> CommandRun {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try Command.run(arguments) })
      }
    }
  }

  @Test func everyVerbGivesTheSameEitherWay() async throws {
    let folder = try TemporaryFolder()
    let (path, repository) = (folder.path("db"), folder.path("repo"))
    let database = try await open(path)

    let stats = try await run("stats", path, "--json")
    #expect(stats.status == 0, "\(stats.errors)")
    let checkpoint = try await run("checkpoint", path, "--json")
    #expect(checkpoint.status == 0, "\(checkpoint.errors)")
    let check = try await run("check", path, "--json", "--recall")
    #expect(check.status == 0, "\(check.errors)")
    let backup = try await run("backup", path, repository, "--json")
    #expect(backup.status == 0, "\(backup.errors)")
    #expect(try backup.objects[0]["repository"] as? String == repository)
    // Reading goes through the owner, and says the same as reading the files later.
    let get = try await run("get", path, "items", "k1")
    #expect(get.status == 0 && get.output.contains("\"key\":\"k1\""), "\(get.errors)")
    let query = try await run("query", path, "items", "--key", "k1", "-k", "3", "--json")
    #expect(query.status == 0, "\(query.errors)")
    let missing = try await run("get", path, "items", "no such key")
    #expect(missing.status == 1)
    let export = try await run("export", path, "items")
    #expect(export.status == 0, "\(export.errors)")
    // Verbs that need the database to themselves say who has it.
    let refused = try await run("check", path, "--repair", "--from", repository)
    #expect(refused.status == 1 && refused.errors.contains("process"), "\(refused.errors)")

    try await database.close()
    #expect(!FileManager.default.fileExists(atPath: path + "/control.sock"))
    let alone = try await run("stats", path, "--json")
    #expect(try await run("get", path, "items", "k1").output == get.output)
    #expect(try await run("export", path, "items").output == export.output)
    #expect(
      try await run("query", path, "items", "--key", "k1", "-k", "3", "--json").output
        == query.output)
    // Sizes of files may differ; what the database is may not.
    for field in ["path", "lsn", "epoch", "chain", "dataDigest", "databaseID", "kernels"] {
      #expect(
        "\(try stats.objects[0][field] ?? "none")" == "\(try alone.objects[0][field] ?? "none")",
        "\(field)")
    }
    #expect(
      NSDictionary(dictionary: ["c": try stats.objects[0]["collections"] ?? 0])
        == NSDictionary(dictionary: ["c": try alone.objects[0]["collections"] ?? 1]))
    for (verb, live) in [("checkpoint", checkpoint), ("check", check)] {
      let own = try await run(verb, path, "--json")
      #expect(try live.objects[0].keys.contains { own.output.contains($0) })
    }
    let again = try await run("backup", path, repository, "--json")
    #expect(again.status == 0, "\(again.errors)")
    #expect(
      try Set(again.objects[0].keys) == Set(backup.objects[0].keys), "fields of the report differ")
    let restored = try await run("restore", repository, folder.path("copy"), "--json")
    #expect(
      try restored.objects[0]["dataDigest"] as? String == alone.objects[0]["dataDigest"] as? String)
  }

  /// As text a filter may grow on its way to the owner.
  @Test func aLongListIsTheSameEitherWay() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path("db")
    let database = try await open(path, records: 100)
    let list = (0..<13_000).map { "\(100 + $0 % 890)" }.joined(separator: ",")
    let filter = "not n in (\(list.prefix(60_000)),1)"
    let vector = "[" + [String](repeating: "1", count: 16).joined(separator: ",") + "]"
    let live = try await run(
      "query", path, "items", "--vector", vector, "--where", filter, "--json")
    #expect(live.status == 0, "\(live.errors)")
    try await database.close()
    let alone = try await run(
      "query", path, "items", "--vector", vector, "--where", filter, "--json")
    #expect(alone.output == live.output && !alone.output.isEmpty)
  }

  @Test func aBackupEndsWithTheClientThatAskedForIt() async throws {
    let folder = try TemporaryFolder()
    let (path, repository) = (folder.path("db"), folder.path("repo"))
    let database = try await open(path)
    var generator = SystemRandomNumberGenerator()
    for round in 0..<6 {
      let items = try database.collection("items")
      try await items.upsert(
        VectorRecord(key: "round\(round)", vector: (0..<16).map { _ in Float(round) }))
      let client = try Running(
        ["backup", path, repository], folder: try TemporaryFolder())
      try await Task.sleep(
        nanoseconds: UInt64.random(in: 1_000_000...60_000_000, using: &generator))
      client.kill()
      _ = try client.wait()
    }
    // The hold of a backup that lost its client is gone: the next one is not kept waiting.
    let backup = try await run("backup", path, repository, "--json")
    #expect(backup.status == 0, "\(backup.errors)")
    #expect(UInt64("\(try backup.objects[0]["lsn"] ?? 0)") == database.lsn)
    let verified = try await run("verify", repository)
    #expect(verified.status == 0, "\(verified.output)")
    try await database.close()
  }

  @Test func aKilledOwnerLeavesNothingToClearUp() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path("db")
    _ = try await open(path, records: 10).close()
    let vector = (0..<16).map { "\($0)" }.joined(separator: ",")
    let lines = (0..<50_000).map { "{\"key\":\"n\($0)\",\"vector\":[\(vector)]}" }
      .joined(separator: "\n")
    let file = try folder.write("more.jsonl", lines)
    let owner = try Running(
      ["import", path, "items", file, "--batch", "20"], folder: try TemporaryFolder())
    while !FileManager.default.fileExists(atPath: path + "/control.sock") {
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    let live = try await run("stats", path, "--json")
    #expect(live.status == 0, "\(live.errors)")
    owner.kill()
    _ = try owner.wait()
    let after = try await run("stats", path, "--json")
    #expect(after.status == 0, "\(after.errors)")
  }
}
