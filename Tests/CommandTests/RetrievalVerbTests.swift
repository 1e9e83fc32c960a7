import Foundation
import Testing
import VecDB

/// `vecdb query` beyond the nearest k, on a closed database and through the process that has it open.
@Suite(.serialized) struct RetrievalVerbTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try Command.succeed("create", folder.path("db"), "c", "--dimensions", "2", "--metric", "l2")
    let lines = (0..<200).map {
      "{\"key\":\"k\($0)\",\"vector\":[\($0),1],\"metadata\":{\"document\":\"d\($0 / 20)\"}}"
    }
    try folder.write("records.jsonl", lines.joined(separator: "\n") + "\n")
    try Command.succeed("import", folder.path("db"), "c", folder.path("records.jsonl"))
  }

  private func query(_ arguments: String...) async throws -> CommandRun {
    let all = ["query", folder.path("db"), "c"] + arguments
    return try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try Command.run(all) }) }
    }
  }

  @Test func eachGivesTheSameEitherWay() async throws {
    var outputs: [String] = []
    for isOpen in [false, true] {
      let database = isOpen ? try await Database.open(at: folder.path("db")) : nil
      let range = try await query("--vector", "[50,1]", "--within", "9", "--json")
      #expect(range.status == 0, "\(range.errors)")
      let hits = try #require(try range.objects[0]["hits"] as? [[String: Any]])
      #expect(
        Set(hits.compactMap { $0["key"] as? String })
          == ["k47", "k48", "k49", "k50", "k51", "k52", "k53"])
      let limited = try await query(
        "--vector", "[50,1]", "--within", "9", "-k", "2", "--no-metadata")
      #expect(limited.status == 0 && limited.output.split(separator: "\n").count == 3)

      let groups = try await query(
        "--vector", "[0,1]", "--group-by", "document", "--groups", "3", "--per-group", "2", "--json"
      )
      #expect(groups.status == 0, "\(groups.errors)")
      let found = try #require(try groups.objects[0]["groups"] as? [[String: Any]])
      #expect(found.compactMap { $0["value"] as? String } == ["d0", "d1", "d2"])
      #expect(
        found.map { ($0["hits"] as? [[String: Any]] ?? []).compactMap { $0["key"] as? String } }
          == [["k0", "k1"], ["k20", "k21"], ["k40", "k41"]])
      let shown = try await query("--vector", "[0,1]", "--group-by", "document", "--groups", "2")
      #expect(shown.output.hasPrefix("document = \"d0\"\n"), "\(shown.output)")
      let unknown = try await query("--vector", "[0,1]", "--group-by", "author")
      #expect(unknown.status == 0 && unknown.errors.contains("no record that matches has"))

      let unlike = try await query("--key", "k100", "--mmr", "0.5", "-k", "4", "--json")
      #expect(unlike.status == 0, "\(unlike.errors)")
      let near = try await query("--near", "k10", "k12", "--away-from", "k199", "-k", "1", "--json")
      #expect(near.status == 0 && near.output.contains("\"k0\""), "\(near.output)")
      outputs.append(range.output + groups.output + unlike.output + near.output)
      try await database?.close()
    }
    #expect(outputs[0] == outputs[1])
  }

  @Test func whatCannotBeIsSaid() async throws {
    let cases: [([String], Int32, String)] = [
      (["--vector", "[0,1]", "--within", "-1"], 1, "the distance is -1"),
      (["--vector", "[0,1]", "--within", "1", "--mmr", "0.5"], 2, "Give one of"),
      (["--vector", "[0,1]", "--mmr", "2"], 1, "lambda is 2"),
      (["--vector", "[0,1]", "--candidates", "20"], 2, "--candidates needs --mmr"),
      (["--vector", "[0,1]", "--group-by", "document", "--groups", "0"], 1, "groups is 0"),
      (["--near", "k1", "nobody"], 1, "nobody"),
      (["--away-from", "k1", "--key", "k2"], 2, "--away-from needs --near"),
      (["--near", "k1", "--key", "k2"], 2, "Give one of"),
    ]
    for (arguments, status, words) in cases {
      let result = try Command.run(["query", folder.path("db"), "c"] + arguments)
      #expect(
        result.status == status && result.errors.contains(words), "\(arguments): \(result.errors)")
    }
  }
}
