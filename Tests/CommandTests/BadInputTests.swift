import Foundation
import Testing

/// Wrong input of every kind gives an error that names the place and the remedy, the documented
/// exit code, and leaves the database as it was.
@Suite struct BadInputTests {
  let folder: TemporaryFolder
  var database: String { folder.path("db") }

  init() throws {
    folder = try TemporaryFolder()
    try Command.succeed("create", database, "c", "--dimensions", "4", "--metric", "l2")
    try folder.write(
      "good.jsonl", VectorFiles.jsonLines(VectorFiles.vectors(20, dimensions: 4)))
    try Command.succeed("import", database, "c", folder.path("good.jsonl"))
  }

  /// Runs the command and requires that it fails so and says each of the words.
  private func expectFailure(
    _ arguments: [String], status: Int32 = 1, says words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Command.run(arguments)
    #expect(result.status == status, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.errors.hasPrefix("vecdb: "), sourceLocation: sourceLocation)
    for word in words {
      #expect(
        result.errors.contains(word), "\(word) is not in: \(result.errors)",
        sourceLocation: sourceLocation)
    }
    if status == 1 {
      let count = try Command.succeed("export", database, "c", "--no-vector").output
        .split(separator: "\n").count
      #expect(count == 20, sourceLocation: sourceLocation)
    }
  }

  private func importing(_ name: String) -> [String] {
    ["import", database, "c", folder.path(name)]
  }

  @Test func wrongDimension() throws {
    try folder.write("w.fvecs", VectorFiles.fvecs(VectorFiles.vectors(2, dimensions: 5)))
    try expectFailure(importing("w.fvecs"), says: "5 components", "4", "w.fvecs, row 0")
    try folder.write("w.jsonl", "{\"vector\":[1,2,3]}\n")
    try expectFailure(importing("w.jsonl"), says: "3 components", "w.jsonl, row 0")
    try expectFailure(
      ["query", database, "c", "--vector", "[1,2]"], says: "2", "4")
    try expectFailure(
      ["query", database, "c", "--vectors", folder.path("w.fvecs")], says: "w.fvecs, row 0")
  }

  @Test func dimensionsThatChangeWithinAFile() throws {
    let data =
      VectorFiles.fvecs(VectorFiles.vectors(3, dimensions: 4))
      + VectorFiles.fvecs(VectorFiles.vectors(1, dimensions: 3))
    try folder.write("mixed.fvecs", data)
    try expectFailure(importing("mixed.fvecs"), says: "mixed.fvecs, row")
    try folder.write("mixed.jsonl", "{\"vector\":[1,2,3,4]}\n{\"vector\":[1,2,3]}\n")
    try expectFailure(importing("mixed.jsonl"), says: "mixed.jsonl, line 2", "3 components")
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func notFinite(_ value: Float) throws {
    try folder.write("nan.fvecs", VectorFiles.fvecs([[1, 2, 3, 4], [1, 2, value, 4]]))
    try expectFailure(importing("nan.fvecs"), says: "component 2", "nan.fvecs, row 1")
    try folder.write("nan.npy", VectorFiles.npy([[1, 2, 3, 4], [value, 2, 3, 4]]))
    try expectFailure(importing("nan.npy"), says: "component 0", "nan.npy, row 1")
  }

  @Test func damagedJSON() throws {
    for line in [
      "{\"vector\":[1,2,3,NaN]}", "{\"vector\":[1,2,3,4]", "[1,2,3,4]", "{\"key\":\"x\"}",
      "{\"vector\":[1,2,3,4],\"metadata\":{\"a\":{\"b\":1}}}",
      "{\"vector\":[1,2,3,4],\"vektor\":1}",
      "{\"key\":7,\"vector\":[1,2,3,4]}", "{\"vector\":[1,2,3,1e999]}",
    ] {
      try folder.write("bad.jsonl", line + "\n")
      try expectFailure(importing("bad.jsonl"), says: "bad.jsonl, line 1")
    }
  }

  @Test func emptyAndLongKeys() throws {
    try folder.write("empty.jsonl", "{\"key\":\"\",\"vector\":[1,2,3,4]}\n")
    try expectFailure(importing("empty.jsonl"), says: "key")
    let long = String(repeating: "k", count: 1025)
    try folder.write("long.jsonl", "{\"key\":\"\(long)\",\"vector\":[1,2,3,4]}\n")
    try expectFailure(importing("long.jsonl"), says: "key")
  }

  @Test func truncatedFiles() throws {
    let rows = VectorFiles.vectors(10, dimensions: 4)
    for (name, data) in [
      ("t.fvecs", VectorFiles.fvecs(rows)), ("t.npy", VectorFiles.npy(rows)),
      ("t.bvecs", VectorFiles.bvecs(VectorFiles.byteVectors(10, dimensions: 4))),
    ] {
      try folder.write(name, data.dropLast(3))
      try expectFailure(importing(name), says: name, "row 9")
      // The same, compressed: the size is not known before the end.
      let compressed = try folder.gzip(name)
      let result = try Command.run("import", database, "c", compressed)
      #expect(result.status == 1)
      #expect(result.errors.contains("\(name).gz, row 9"))
    }
  }

  @Test func truncatedGzip() throws {
    try folder.write("g.fvecs", VectorFiles.fvecs(VectorFiles.vectors(2000, dimensions: 4)))
    let data = try Data(contentsOf: URL(fileURLWithPath: try folder.gzip("g.fvecs")))
    try folder.write("cut.fvecs.gz", data.prefix(data.count / 2))
    let result = try Command.run("import", database, "c", folder.path("cut.fvecs.gz"))
    #expect(result.status == 1)
    #expect(result.errors.contains("cut.fvecs.gz"))
    try folder.write("not.fvecs.gz", Data("this is no gzip file".utf8))
    try expectFailure(importing("not.fvecs.gz"), says: "not.fvecs.gz")
  }

  @Test func foreignFiles() throws {
    try folder.write("f.npy", Data("no numpy".utf8))
    try expectFailure(importing("f.npy"), says: "not a NumPy file", "f.npy")
    try folder.write(
      "o.npy", VectorFiles.npy(rows: 1, columns: 4, type: "<i8", body: Data(count: 32)))
    try expectFailure(importing("o.npy"), says: "<i8")
    try folder.write(
      "c.npy",
      VectorFiles.npy(rows: 1, columns: 4, type: "<f4", body: Data(count: 16), fortran: true))
    try expectFailure(importing("c.npy"), says: "Fortran")
    try folder.write("f.fvecs", Data("GIF89a, not vectors".utf8))
    try expectFailure(importing("f.fvecs"), says: "f.fvecs, row 0")
    try folder.write("f.csv", "1,2,3,4\n")
    try expectFailure(importing("f.csv"), says: "--format")
    try expectFailure(importing("missing.fvecs"), says: "no such file", "missing.fvecs")
    try expectFailure(["import", database, "c", folder.root, "--format", "npy"], says: "directory")
  }

  @Test func metadataOfAnotherLength() throws {
    try folder.write("v.fvecs", VectorFiles.fvecs(VectorFiles.vectors(2, dimensions: 4)))
    try folder.write("short.jsonl", "{\"a\":1}\n")
    try expectFailure(
      importing("v.fvecs") + ["--metadata", folder.path("short.jsonl")], says: "fewer lines",
      "short.jsonl, row 1")
    try folder.write("long.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n")
    let result = try Command.run(
      importing("v.fvecs") + ["--metadata", folder.path("long.jsonl")])
    #expect(result.status == 1)
    #expect(result.errors.contains("more lines"))
  }

  @Test func wrongUsageExitsWith2() throws {
    try expectFailure(
      ["create", database, "d", "--dimensions", "4", "--metric", "euclid"], status: 2,
      says: "euclid", "cosine")
    try expectFailure(
      ["create", database, "d", "--dimensions", "0", "--metric", "l2"], status: 2, says: "65536")
    try expectFailure(
      ["query", database, "c", "--vector", "[1,2,3,4]", "-k", "0"], status: 2, says: "-k")
    try expectFailure(["query", database, "c", "-k", "3"], status: 2, says: "--vector")
    try expectFailure(
      ["query", database, "c", "--vector", "[1,2", "-k", "3"], status: 2, says: "--vector")
    try expectFailure(
      ["query", database, "c", "--vector", "[1,2,3,4]", "--where", "year >=="], status: 2,
      says: "filter")
    try expectFailure(["frobnicate"], status: 2, says: "frobnicate")
  }

  @Test func hugeK() throws {
    let result = try Command.run(
      "query", database, "c", "--vector", "[1,2,3,4]", "-k", "1000000000", "--json")
    if result.status == 0 {
      let hits = try #require(try result.objects.first?["hits"] as? [Any])
      #expect(hits.count == 20)
    } else {
      #expect(result.status == 1)
      #expect(result.errors.contains("k"))
    }
  }

  @Test func missingThings() throws {
    try expectFailure(["stats", folder.path("nowhere")], says: "nowhere")
    try expectFailure(["query", database, "d", "--vector", "[1,2,3,4]"], says: "d", "c")
    try expectFailure(["get", database, "c", "19", "missing"], says: "missing")
    try expectFailure(["backups", folder.path("nowhere")], says: "nowhere")
    try expectFailure(["verify", folder.path("nowhere")], says: "nowhere")
    try expectFailure(
      ["restore", folder.path("nowhere"), folder.path("copy")], says: "nowhere")
    #expect(!FileManager.default.fileExists(atPath: folder.path("copy")))
    try expectFailure(
      ["create", database, "c", "--dimensions", "4", "--metric", "l2"], says: "c")
  }

  @Test func errorsAreObjectsWithJSON() throws {
    let result = try Command.run("stats", folder.path("nowhere"), "--json")
    #expect(result.status == 1)
    let error = try #require(try result.objects.first?["error"] as? [String: Any])
    #expect(error["code"] as? String == "notFound")
    #expect((error["message"] as? String)?.isEmpty == false)
    let usage = try Command.run("query", database, "c", "--json")
    #expect(usage.status == 2)
    #expect((try usage.objects.first?["error"] as? [String: Any])?["code"] as? String == "usage")
  }

  @Test func aDatabaseThatIsOpenElsewhere() throws {
    // An import that waits for its input holds the database open.
    let output = try TemporaryFolder()
    let fifo = folder.path("pipe.fvecs")
    #expect(mkfifo(fifo, 0o600) == 0)
    let holder = try Running(["import", database, "c", fifo], folder: output)
    // Opening the writing end succeeds once the importer has the database and opens its input.
    let writer = open(fifo, O_WRONLY)
    defer {
      close(writer)
      holder.kill()
      _ = try? holder.wait()
    }
    // What needs the database for itself is refused; what the owner can do, it does.
    let repository = folder.path("repository")
    #expect(try Command.run("backup", database, repository).status == 0)
    let result = try Command.run("check", database, "--repair", "--from", repository)
    #expect(result.status == 1)
    #expect(result.errors.contains("\(holder.processID)"))
    #expect(try Command.run("delete", database, "c", "0").status == 0)
    #expect(try Command.run("stats", database).status == 0)
  }

  @Test func aDamagedDatabaseIsReported() throws {
    try folder.write(
      "many.fvecs", VectorFiles.fvecs(VectorFiles.vectors(3000, dimensions: 4)))
    try Command.succeed("import", database, "c", folder.path("many.fvecs"))
    let packs = folder.path("db/packs")
    let names = try FileManager.default.contentsOfDirectory(atPath: packs).sorted()
    for name in names {
      let path = "db/packs/\(name)"
      var bytes = try folder.read(path)
      guard bytes.count > 8192 else { continue }
      bytes[5000] ^= 0x10
      try folder.write(path, bytes)
    }
    let result = try Command.run("check", database, "--json")
    #expect(result.status == 3, "\(result.errors)")
    #expect(result.errors.hasPrefix("vecdb: "))
    #expect(result.output.contains("pack") || result.errors.contains("pack"))
  }
}
