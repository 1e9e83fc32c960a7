import Foundation
import Testing

/// Every verb does what its help says, through the built command.
@Suite struct VerbTests {
  let folder: TemporaryFolder
  var database: String { folder.path("db") }

  init() throws {
    folder = try TemporaryFolder()
    try Command.succeed("create", database, "c", "--dimensions", "6", "--metric", "l2", "--json")
    try folder.write(
      "v.jsonl",
      VectorFiles.jsonLines(VectorFiles.vectors(2000, dimensions: 6)) {
        "{\"even\":\($0 % 2 == 0),\"n\":\($0)}"
      })
    try Command.succeed("import", database, "c", folder.path("v.jsonl"))
  }

  private func stats(_ path: String) throws -> [String: Any] {
    try #require(try Command.succeed("stats", path, "--json").objects.first)
  }

  private func count() throws -> Int {
    let collections = try #require(try stats(database)["collections"] as? [[String: Any]])
    return try #require(collections.first?["count"] as? Int)
  }

  @Test func querying() throws {
    let result = try Command.succeed(
      "query", database, "c", "--key", "17", "-k", "3", "--include-vector", "--json")
    let line = try #require(try result.objects.first)
    #expect(line["query"] as? Int == 0)
    let hits = try #require(line["hits"] as? [[String: Any]])
    #expect(hits.count == 3)
    #expect(hits[0]["key"] as? String == "17")
    #expect(hits[0]["distance"] as? Double == 0)
    #expect((hits[0]["metadata"] as? [String: Any])?["n"] as? Int == 17)
    #expect((hits[0]["vector"] as? [Double])?.count == 6)

    let table = try Command.succeed("query", database, "c", "--key", "17", "-k", "3").output
    #expect(table.split(separator: "\n").count == 4)
    #expect(table.contains("metadata"))
  }

  @Test func queryingManyExactlyAndByGraph() throws {
    let queries = VectorFiles.vectors(20, dimensions: 6, seed: 99)
    try folder.write("q.fvecs", VectorFiles.fvecs(queries))
    try folder.write("q.npy", VectorFiles.npy(queries))
    let exact = try Command.succeed(
      "query", database, "c", "--vectors", folder.path("q.fvecs"), "--exact", "--json")
    let graph = try Command.succeed(
      "query", database, "c", "--vectors", folder.path("q.npy"), "--ef", "1000", "--json")
    #expect(try exact.objects.count == 20)
    #expect(exact.output == graph.output)
    let recall = try Command.succeed(
      "query", database, "c", "--vectors", folder.path("q.npy"), "--recall", "0.9", "--limit", "2",
      "--json")
    #expect(try recall.objects.count == 2)
  }

  @Test func queryingWithAFilter() throws {
    let result = try Command.succeed(
      "query", database, "c", "--key", "3", "-k", "10", "--where", "even = true and n < 100",
      "--json")
    let hits = try #require(try result.objects.first?["hits"] as? [[String: Any]])
    #expect(hits.count == 10)
    for hit in hits {
      let metadata = try #require(hit["metadata"] as? [String: Any])
      #expect(metadata["even"] as? Bool == true)
      #expect((metadata["n"] as? Int ?? 1000) < 100)
    }
  }

  @Test func gettingDeletingDropping() throws {
    let line = try Command.succeed("get", database, "c", "17").output
    let exported = try Command.succeed("export", database, "c", "--where", "n = 17").output
    #expect(line == exported)
    let deleted = try Command.succeed("delete", database, "c", "17", "18", "none", "--json")
    #expect(try deleted.objects.first?["deleted"] as? Int == 2)
    #expect(try Command.run("get", database, "c", "17").status == 1)
    try Command.succeed("delete", database, "c", "--where", "even = true")
    #expect(try count() == 2000 - 2 - 999)
    try Command.succeed("check", database)
    try Command.succeed("drop", database, "c")
    #expect(try Command.run("get", database, "c", "3").status == 1)
  }

  @Test func statsHaveTheDocumentedFields() throws {
    let stats = try stats(database)
    for field in ["lsn", "epoch", "dataDigest"] { #expect(stats[field] != nil) }
    let collection = try #require((stats["collections"] as? [[String: Any]])?.first)
    #expect(collection["count"] as? Int == 2000)
    #expect((collection["graphDigest"] as? String)?.count == 64)
    #expect(try Command.succeed("stats", database).output.contains("data digest"))
  }

  @Test func checkingAndCheckpoints() throws {
    try Command.succeed("checkpoint", database, "--json")
    let check = try Command.succeed("check", database, "--recall", "--json")
    let report = try #require(try check.objects.first?["check"] as? [String: Any])
    #expect((report["problems"] as? [Any])?.isEmpty == true)
    #expect(try check.objects.first?["canary"] is [String: Any])
  }

  @Test func backingUpAndRestoring() throws {
    let repository = folder.path("repository")
    let copy = folder.path("copy")
    let first = try #require(
      try Command.succeed("backup", database, repository, "--json").objects.first)
    let firstLSN = try #require(first["lsn"] as? Int)
    let before = try stats(database)
    try Command.succeed("delete", database, "c", "1", "2", "3")
    let second = try #require(
      try Command.succeed("backup", database, repository, "--json").objects.first)
    #expect(try #require(second["newBytes"] as? Int) < #require(first["newBytes"] as? Int))
    #expect(try Command.succeed("backups", repository, "--json").objects.count == 2)
    #expect(try Command.succeed("backups", repository).output.contains("epoch"))
    let verified = try #require(try Command.succeed("verify", repository, "--json").objects.first)
    #expect((verified["problems"] as? [Any])?.isEmpty == true)

    try Command.succeed("restore", repository, copy)
    let (ours, theirs) = (try stats(database), try stats(copy))
    #expect(ours["dataDigest"] as? String == theirs["dataDigest"] as? String)
    #expect(try graphDigest(ours) == graphDigest(theirs))
    let query = ["--key", "17", "-k", "10", "--json"]
    #expect(
      try Command.run(["query", database, "c"] + query).output
        == Command.run(["query", copy, "c"] + query).output)

    let old = folder.path("old")
    try Command.succeed("restore", repository, old, "--lsn", "\(firstLSN)", "--json")
    #expect(try stats(old)["dataDigest"] as? String == before["dataDigest"] as? String)
    // A place that is taken is refused and left alone.
    #expect(try Command.run("restore", repository, copy).status == 1)
    try Command.succeed("check", copy)
  }

  private func graphDigest(_ stats: [String: Any]) throws -> String {
    let collection = try #require((stats["collections"] as? [[String: Any]])?.first)
    return try #require(collection["graphDigest"] as? String)
  }

  @Test func aDamagedRepositoryIsFound() throws {
    let repository = folder.path("repository")
    try Command.succeed("backup", database, repository)
    let blocks = folder.path("repository/blocks")
    let names = try FileManager.default.subpathsOfDirectory(atPath: blocks).sorted()
    let victim = try #require(names.first { $0.split(separator: "/").last?.count == 64 })
    var bytes = try folder.read("repository/blocks/\(victim)")
    bytes[bytes.count / 2] ^= 1
    try folder.write("repository/blocks/\(victim)", bytes)
    let result = try Command.run("verify", repository, "--json")
    #expect(result.status == 3, "\(result.errors)")
    #expect(try Command.run("restore", repository, folder.path("copy")).status != 0)
    #expect(!FileManager.default.fileExists(atPath: folder.path("copy")))
  }

  @Test func benchPrintsTheDocumentedLines() throws {
    let rows = VectorFiles.vectors(1500, dimensions: 6)
    let queries = VectorFiles.vectors(20, dimensions: 6, seed: 5)
    try folder.write("b.fvecs", VectorFiles.fvecs(rows))
    try folder.write("q.fvecs", VectorFiles.fvecs(queries))
    let truth = queries.map { query -> [Int32] in
      let distances = rows.map { row in
        zip(query, row).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      return rows.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }.prefix(10).map {
        Int32($0)
      }
    }
    try folder.write("t.ivecs", VectorFiles.ivecs(truth))
    for truth in [folder.path("t.ivecs"), "-"] {
      let result = try Command.succeed(
        "bench", folder.path("b.fvecs"), folder.path("q.fvecs"), truth, "--ef", "16,500",
        "--rounds", "1", "--json")
      let lines = try result.objects
      #expect(lines.count == 2)
      for field in [
        "ef", "recall", "qps", "p50_us", "p99_us", "build_s", "index_bytes", "rss_bytes",
      ] { #expect(lines.first?[field] is NSNumber, "\(field)") }
      #expect((lines.last?["recall"] as? Double ?? 0) > 0.99)
    }
    let missed = try Command.run(
      "bench", folder.path("b.fvecs"), folder.path("q.fvecs"), "-", "--ef", "10", "--rounds", "1",
      "--require-recall", "1.5")
    #expect(missed.status == 4)
  }

  @Test func helpShowsAnExampleForEveryVerb() throws {
    let verbs = [
      "create", "import", "query", "get", "delete", "drop", "export", "stats", "check",
      "checkpoint", "backup", "backups", "verify", "restore", "bench",
    ]
    for verb in verbs {
      let help = try Command.succeed("help", verb).output
      #expect(help.contains("EXAMPLE"), "\(verb)")
      #expect(help.contains("--json"), "\(verb)")
    }
  }
}
