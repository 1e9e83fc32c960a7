import Foundation
import Testing

/// Rows without keys, several rows with one key, and streams that are slow.
@Suite struct ImportKeyTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 0)
  }

  private func importing(_ name: String, _ options: String...) throws -> CommandRun {
    try Command.run(["import", folder.path("db"), "c", folder.path(name), "--json"] + options)
  }

  private var count: Int {
    get throws {
      try Command.succeed("export", folder.path("db"), "c").output.split(separator: "\n").count
    }
  }

  @Test func aSecondShardReplacesNothing() throws {
    try folder.write("1.npy", VectorFiles.npy(VectorFiles.vectors(30, dimensions: 4)))
    try folder.write(
      "2.npy", VectorFiles.npy(VectorFiles.vectors(30, dimensions: 4).map { $0.map { $0 + 1 } }))
    #expect(try importing("1.npy").status == 0)
    let before = try Command.succeed("export", folder.path("db"), "c").output
    // The same again is left alone, as after an interruption.
    let again = try importing("1.npy")
    #expect(again.status == 0)
    #expect(try again.objects[0]["unchanged"] as? Int == 30)
    let refused = try importing("2.npy")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("2.npy, row 0") && refused.errors.contains("--key-offset"))
    #expect(try Command.succeed("export", folder.path("db"), "c").output == before)
    #expect(try importing("2.npy", "--key-offset", "30").status == 0)
    #expect(try count == 60)
    let replaced = try importing("2.npy", "--replace")
    #expect(replaced.status == 0)
    #expect(try replaced.objects[0]["updated"] as? Int == 30)
    #expect(try count == 60)
  }

  @Test(arguments: ["1", "2", "1000"])
  func numbersAndKeysDoNotMeet(batch: String) throws {
    let row = "{\"vector\":[1,2,3,4]}"
    for (name, lines) in [
      ("a.jsonl", [row, "{\"key\":\"0\",\"vector\":[4,3,2,1]}"]),
      ("b.jsonl", ["{\"key\":\"1\",\"vector\":[4,3,2,1]}", row]),
      (
        "c.jsonl",
        [
          row, row, row, "{\"key\":\"x\",\"vector\":[1,1,1,1]}",
          "{\"key\":\"2\",\"vector\":[0,0,0,1]}",
        ]
      ),
    ] {
      try folder.write(name, lines.joined(separator: "\n"))
      let result = try importing(name, "--batch", batch)
      #expect(result.status == 1, "\(name)")
      #expect(result.errors.contains("\(name), line"), "\(result.errors)")
      try Shell.succeed(
        "$vecdb drop db c && $vecdb create db c --dimensions 4 --metric l2", in: folder)
    }
    // Beside one another they are fine.
    try folder.write(
      "d.jsonl", [row, "{\"key\":\"00\",\"vector\":[4,3,2,1]}", row].joined(separator: "\n"))
    #expect(try importing("d.jsonl", "--batch", batch).status == 0)
    #expect(try count == 3)
  }

  @Test(arguments: ["1", "3", "1000"])
  func countersAddUp(batch: String) throws {
    let lines = [0, 1, 0, 2, 0, 1, 3, 3].enumerated().map {
      "{\"key\":\"k\($1)\",\"vector\":[\($0),0,0,1]}"
    }
    try folder.write("d.jsonl", lines.joined(separator: "\n"))
    for _ in 0..<2 {
      let report = try importing("d.jsonl", "--batch", batch).objects[0]
      let parts = ["inserted", "updated", "unchanged", "superseded"].map {
        report[$0] as? Int ?? -99
      }
      #expect(parts.reduce(0, +) == 8 && report["rows"] as? Int == 8, "\(report)")
    }
    #expect(try count == 4)
  }

  @Test func harmlessLinesOfMetadata() throws {
    try folder.write("v.npy", VectorFiles.npy(VectorFiles.vectors(3, dimensions: 4)))
    try folder.write("m.jsonl", "\u{FEFF}{\"a\":1}\n\nnull\n  \t\r\n{\"a\":3}\n\n")
    #expect(try importing("v.npy", "--metadata", folder.path("m.jsonl")).status == 0)
    let lines = try Command.succeed("export", folder.path("db"), "c", "--no-vector").output
    #expect(
      lines == """
        {"key":"0","metadata":{"a":1}}
        {"key":"1","metadata":{}}
        {"key":"2","metadata":{"a":3}}

        """)
    try folder.write("r.jsonl", "\u{FEFF}{\"key\":\"r\",\"vector\":[1,2,3,4]}\n \n")
    #expect(try importing("r.jsonl").status == 0)
    try folder.write("bad.jsonl", "{\"a\":1}\nnull\nnul\n")
    let bad = try importing("v.npy", "--metadata", folder.path("bad.jsonl"))
    #expect(bad.status == 1 && bad.errors.contains("bad.jsonl, line 3"), "\(bad.errors)")
  }

  @Test func expiryIsKept() throws {
    let line =
      "{\"key\":\"e\",\"vector\":[1,2,3,4],\"metadata\":{},\"expiryMilliseconds\":1999999999999}\n"
    try folder.write("e.jsonl", line)
    #expect(try importing("e.jsonl").status == 0)
    #expect(try Command.succeed("export", folder.path("db"), "c").output == line)
    #expect(try Command.succeed("get", folder.path("db"), "c", "e").output == line)
  }

  @Test(arguments: ["9223372036854775808", "18446744073709551615", "-9223372036854775809"])
  func integersThatDoNotFitAreRefused(number: String) throws {
    try folder.write(
      "i.jsonl", "{\"key\":\"i\",\"vector\":[1,2,3,4],\"metadata\":{\"id\":\(number)}}\n")
    let result = try importing("i.jsonl")
    #expect(result.status == 1)
    #expect(result.errors.contains("i.jsonl, line 1") && result.errors.contains("64 bits"))
    for filter in ["id = \(number)", "id < \(number)", "id in (1, \(number))"] {
      let query = try Command.run(
        "query", folder.path("db"), "c", "--vector", "[1,2,3,4]", "--where", filter)
      #expect(query.status == 2 && query.errors.contains("64 bits"), "\(query.errors)")
    }
  }

  @Test func recordsOfNumPyAreRefused() throws {
    for type in ["[('u1', '<f4'), ('x', '<f4')]", "[('<f4', 'u1', (4,))]", "('<f4', (4,))"] {
      try folder.write(
        "s.npy", VectorFiles.npy(rows: 2, columns: 4, header: type, body: Data(count: 32)))
      let result = try importing("s.npy")
      #expect(result.status == 1 && result.errors.contains("s.npy"), "\(result.errors)")
    }
    #expect(try count == 0)
  }

  /// Errors of the library about a record say which row it was.
  @Test func everyErrorNamesTheRow() throws {
    try Command.succeed(
      "create", folder.path("db"), "cos", "--dimensions", "2", "--metric", "cosine")
    let rows: [[Float]] = [[1, 0], [0, 1], [0, 0], [1, 1]]
    try folder.write("z.fvecs", VectorFiles.fvecs(rows))
    let zero = try Command.run("import", folder.path("db"), "cos", folder.path("z.fvecs"))
    #expect(zero.status == 1 && zero.errors.contains("z.fvecs, row 2"), "\(zero.errors)")
    let long = String(repeating: "k", count: 1_025)
    try folder.write(
      "l.jsonl", "\n{\"key\":\"a\",\"vector\":[1,0]}\n\n{\"key\":\"\(long)\",\"vector\":[1,0]}\n")
    let key = try Command.run("import", folder.path("db"), "cos", folder.path("l.jsonl"))
    #expect(key.status == 1 && key.errors.contains("l.jsonl, line 4"), "\(key.errors)")
  }

  @Test func aSlowStreamIsSeenAndEndsWithTheFirstSignal() throws {
    let row = "'{\"key\":\"slow\",\"vector\":[1,2,3,4]}'"
    let result = try Shell.run(
      """
      mkfifo slow never
      (exec 9<> slow; exec $vecdb import db c - --format jsonl <&9) & importer=$!
      exec 8> slow; echo \(row) >&8
      for try in $(seq 100); do sleep 0.1; $vecdb get db c slow > seen 2> /dev/null && break; done
      cat seen
      kill -TERM $importer
      for try in $(seq 30); do sleep 0.1; kill -0 $importer 2> /dev/null || break; done
      kill -9 $importer 2> /dev/null && echo still there
      $vecdb import db c never --format jsonl & importer=$!
      sleep 0.5; kill -TERM $importer
      for try in $(seq 30); do sleep 0.1; kill -0 $importer 2> /dev/null || break; done
      kill -9 $importer 2> /dev/null && echo still there
      $vecdb check db
      """, in: folder)
    #expect(result.output.contains("\"key\":\"slow\"") && result.output.contains("clean"))
    #expect(!result.output.contains("still there"))
  }
}
