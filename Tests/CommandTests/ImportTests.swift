import Foundation
import Testing

/// What `import` reads, and that every format gives the same records.
@Suite struct ImportTests {
  let folder: TemporaryFolder
  var database: String { folder.path("db") }

  init() throws { folder = try TemporaryFolder() }

  private func create(_ collection: String = "c", dimensions: Int) throws {
    try Command.succeed(
      "create", database, collection, "--dimensions", "\(dimensions)", "--metric", "l2")
  }

  private func export(_ collection: String = "c") throws -> String {
    try Command.succeed("export", database, collection).output
  }

  @Test func everyFormatGivesTheSameRecords() throws {
    let bytes = VectorFiles.byteVectors(50, dimensions: 9)
    let floats = bytes.map { $0.map(Float.init) }
    try folder.write("v.fvecs", VectorFiles.fvecs(floats))
    try folder.write("v.bvecs", VectorFiles.bvecs(bytes))
    try folder.write("f.npy", VectorFiles.npy(floats))
    try folder.write(
      "u.npy",
      VectorFiles.npy(rows: 50, columns: 9, type: "|u1", body: Data(bytes.joined())))
    var doubles = Data()
    for value in floats.joined() {
      withUnsafeBytes(of: Double(value).bitPattern.littleEndian) { doubles.append(contentsOf: $0) }
    }
    try folder.write("d.npy", VectorFiles.npy(rows: 50, columns: 9, type: "<f8", body: doubles))
    try folder.write("v.jsonl", VectorFiles.jsonLines(floats))

    var exports: Set<String> = []
    for (index, name) in ["v.fvecs", "v.bvecs", "f.npy", "u.npy", "d.npy", "v.jsonl"].enumerated() {
      for file in [folder.path(name), try folder.gzip(name)] {
        let collection = "c\(index)\(file.hasSuffix(".gz") ? "z" : "")"
        try create(collection, dimensions: 9)
        let result = try Command.succeed(
          "import", database, collection, file, "--batch", "7", "--json")
        let line = try #require(try result.objects.first)
        #expect(line["rows"] as? Int == 50)
        #expect(line["inserted"] as? Int == 50)
        exports.insert(try export(collection))
      }
    }
    #expect(exports.count == 1)
    #expect(exports.first?.split(separator: "\n").count == 50)
  }

  @Test func exportAndImportAgainGivesTheSameBytes() throws {
    let rows = VectorFiles.vectors(300, dimensions: 5)
    let odd =
      #"{"key":"ä \"x\"\n€","vector":[1e-40,-0.0,3.4028235e38,0.1,16777217],"metadata":{"#
      + #""d":1.0,"e":1e300,"i":-9007199254740993,"l":[1,2.5,"a",null,true],"n":null,"s":"\\\u0001/"}}"#
    try folder.write(
      "v.jsonl", VectorFiles.jsonLines(rows) { "{\"year\":\(1900 + $0),\"half\":\($0).5}" } + odd)
    try create("a", dimensions: 5)
    try create("b", dimensions: 5)
    try Command.succeed("import", database, "a", folder.path("v.jsonl"))
    try Command.succeed("export", database, "a", "--output", folder.path("1.jsonl"))
    try Command.succeed("import", database, "b", folder.path("1.jsonl"))
    try Command.succeed("export", database, "b", "--output", folder.path("2.jsonl"))
    let (first, second) = (try folder.read("1.jsonl"), try folder.read("2.jsonl"))
    #expect(first == second)
    #expect(first.split(separator: 10).count == 301)
    let text = String(decoding: first, as: UTF8.self)
    #expect(text.contains("9007199254740993"))
    // Key order is that of the keys' bytes.
    #expect(
      try keys(text) == (try keys(text)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
  }

  private func keys(_ text: String) throws -> [String] {
    try text.split(separator: "\n").map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return try #require(object?["key"] as? String)
    }
  }

  @Test func metadataAndKeysFromFileBeside() throws {
    try folder.write("v.fvecs", VectorFiles.fvecs(VectorFiles.vectors(3, dimensions: 2)))
    let metadata = try folder.write(
      "m.jsonl", "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n{\"id\":7,\"n\":3}\n")
    try create(dimensions: 2)
    try Command.succeed(
      "import", database, "c", folder.path("v.fvecs"), "--metadata", metadata, "--key-field", "id")
    #expect(try keys(try export()) == ["7", "a", "b"])
    let get = try Command.succeed("get", database, "c", "b", "--no-vector")
    #expect(get.output == "{\"key\":\"b\",\"metadata\":{\"id\":\"b\",\"n\":2}}\n")
  }

  @Test func standardInputAndLimit() throws {
    try create(dimensions: 3)
    let lines = VectorFiles.jsonLines(VectorFiles.vectors(10, dimensions: 3))
    let result = try Command.run(
      "import", database, "c", "-", "--format", "jsonl", "--limit", "4", input: lines)
    #expect(result.status == 0)
    #expect(result.output.hasPrefix("4 rows"))
  }

  @Test func importingAgainChangesNothing() throws {
    let rows = VectorFiles.vectors(2500, dimensions: 8)
    try folder.write("v.fvecs", VectorFiles.fvecs(rows))
    try create(dimensions: 8)
    try Command.succeed("import", database, "c", folder.path("v.fvecs"))
    let before = try Command.succeed("stats", database, "--json").output
    let again = try Command.succeed("import", database, "c", folder.path("v.fvecs"), "--json")
    let line = try #require(try again.objects.first)
    #expect(line["unchanged"] as? Int == 2500)
    #expect(line["inserted"] as? Int == 0)
    #expect(line["updated"] as? Int == 0)
    let after = try Command.succeed("stats", database, "--json").output
    #expect(try digests(before) == digests(after))
  }

  @Test func killedImportRunAgainGivesTheSameRecords() throws {
    let rows = VectorFiles.vectors(6000, dimensions: 32)
    try folder.write("v.fvecs", VectorFiles.fvecs(rows))
    try create(dimensions: 32)
    let output = try TemporaryFolder()
    let running = try Running(
      [
        "import", database, "c", folder.path("v.fvecs"), "--batch", "100", "--receipts",
        folder.path("receipts"),
      ], folder: output)
    while ((try? folder.read("receipts")) ?? Data()).count < 400 { usleep(1000) }
    running.kill()
    _ = try running.wait()
    let receipts = String(decoding: try folder.read("receipts"), as: UTF8.self)
    let last = try #require(receipts.split(separator: "\n").last)
    let acknowledged = try #require(
      last.split(separator: ":").last.flatMap { Int($0.dropLast()) })
    let exported = Set(try keys(try export()))
    for key in 0..<acknowledged { #expect(exported.contains(String(key)), "lost \(key)") }

    try Command.succeed("import", database, "c", folder.path("v.fvecs"))
    let other = folder.path("other")
    try Command.succeed("create", other, "c", "--dimensions", "32", "--metric", "l2")
    try Command.succeed("import", other, "c", folder.path("v.fvecs"))
    let (ours, theirs) = (
      try Command.succeed("stats", database, "--json").output,
      try Command.succeed("stats", other, "--json").output
    )
    #expect(try digests(ours) == digests(theirs))
    try Command.succeed("check", database)
  }

  @Test func interruptedImportSaysHowFarItGot() throws {
    try folder.write(
      "v.fvecs", VectorFiles.fvecs(VectorFiles.vectors(40_000, dimensions: 32)))
    try create(dimensions: 32)
    let output = try TemporaryFolder()
    let running = try Running(
      [
        "import", database, "c", folder.path("v.fvecs"), "--batch", "50", "--receipts",
        folder.path("receipts"),
      ], folder: output)
    while ((try? folder.read("receipts")) ?? Data()).count < 100 { usleep(1000) }
    running.interrupt()
    let result = try running.wait()
    #expect(result.status == 1)
    #expect(result.errors.contains("interrupted after"))
    #expect(result.errors.contains("again"))
    let stats = try #require(try Command.succeed("stats", database, "--json").objects.first)
    let collections = try #require(stats["collections"] as? [[String: Any]])
    let count = try #require(collections.first?["count"] as? Int)
    let receipts = String(decoding: try folder.read("receipts"), as: UTF8.self)
    #expect(receipts.contains("\"rows\":\(count)}"))
    #expect(count < 40_000)
  }

  private func digests(_ stats: String) throws -> [String] {
    let object = try JSONSerialization.jsonObject(with: Data(stats.utf8)) as? [String: Any]
    let collections = try #require(object?["collections"] as? [[String: Any]])
    return try collections.map { try #require($0["dataDigest"] as? String) }
  }

  /// Rows of packed bits, an eighth as long as the collection has dimensions, and the same bits one
  /// by one.
  @Test func packedBits() throws {
    let bytes = VectorFiles.byteVectors(60, dimensions: 5)
    let bits = bytes.map { row in row.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } } }
    try folder.write("p.bvecs", VectorFiles.bvecs(bytes))
    try folder.write(
      "p.npy", VectorFiles.npy(rows: 60, columns: 5, type: "|u1", body: Data(bytes.joined())))
    try folder.write("b.bvecs", VectorFiles.bvecs(bits))
    var exports: Set<String> = []
    for (index, name) in ["p.bvecs", "p.npy", "b.bvecs"].enumerated() {
      try Command.succeed(
        "create", database, "h\(index)", "--dimensions", "40", "--metric", "hamming")
      try Command.succeed("import", database, "h\(index)", folder.path(name))
      exports.insert(try export("h\(index)"))
    }
    #expect(exports.count == 1)
    let found = try Command.succeed(
      "query", database, "h0", "--vectors", folder.path("p.npy"), "-k", "1", "--json")
    #expect(try found.objects.count == 60)
    for line in try found.objects {
      let hit = try #require((line["hits"] as? [[String: Any]])?.first)
      #expect(hit["distance"] as? Double == 0)
    }
    try Command.succeed("create", database, "l2", "--dimensions", "40", "--metric", "l2")
    #expect(try Command.run("import", database, "l2", folder.path("p.npy")).status != 0)
  }
}
