import Foundation
import Testing

/// Every option of every verb that takes a value, with numbers at and beyond all limits: the command
/// does it or says what is wrong; it is never killed by a signal, and the database stays whole.
@Suite struct OptionNumberTests {
  private struct Dump: Decodable {
    struct Argument: Decodable {
      struct Name: Decodable {
        var kind: String
        var name: String
      }
      var kind: String
      var names: [Name]?
    }
    struct Command: Decodable {
      var commandName: String
      var arguments: [Argument]?
      var subcommands: [Command]?
    }
    var command: Command
  }

  private static let extremes = [
    "0", "-1", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "1e400",
    "nan",
    "99999999w", "9223372036854775807s", "9e18GB", "4294967296", "65536.5", "", "1:99999",
    "\u{661}",
  ]

  /// What a verb needs besides the option; nil for verbs that go on until they are stopped.
  private static func arguments(_ verb: String, _ folder: TemporaryFolder) -> [String]? {
    let (db, repository) = (folder.path("db"), folder.path("repo"))
    switch verb {
    case "create": return [folder.path("new"), "c", "--dimensions", "2", "--metric", "l2"]
    case "import": return [db, "c", folder.path("records.jsonl")]
    case "query": return [db, "c", "--vector", "[1,2,3,4]"]
    case "get", "delete": return [db, "c", "k1"]
    case "drop": return [db, "none"]
    case "export": return [db, "c"]
    case "stats", "check", "checkpoint": return [db]
    case "rebuild": return [db, "c"]
    case "mark": return [db, "name"]
    case "backup": return [db, repository]
    // With --every it goes on for ever.
    case "archive": return [db, folder.path("none") + "/repo"]
    case "backups", "verify": return [repository]
    case "restore": return [repository, folder.path("copy")]
    case "prune": return [repository, "--dry-run"]
    case "bench": return [folder.path("few.jsonl"), folder.path("few.jsonl"), "-"]
    case "status": return ["127.0.0.1:1"]
    case "promote": return [db]
    case "cluster": return ["photos", "--coordinator", "etcd://127.0.0.1:1"]
    case "rejoin": return [db, "--primary", "127.0.0.1:1", "--insecure-loopback", "--timeout", "1"]
    // Nothing is there to serve.
    case "serve": return [folder.path("none"), "--listen", "127.0.0.1:0", "--insecure-loopback"]
    default: return nil
    }
  }

  @Test func noNumberKillsAVerb() throws {
    let folder = try TemporaryFolder()
    try folder.database(records: 200)
    try folder.write("few.jsonl", (0..<20).map { "{\"vector\":[\($0),1]}\n" }.joined())
    try Command.succeed("backup", folder.path("db"), folder.path("repo"))
    let dump = try JSONDecoder().decode(
      Dump.self, from: Data(try Command.succeed("--experimental-dump-help").output.utf8))
    let verbs = try #require(dump.command.subcommands)
    var tried = 0
    for verb in verbs {
      guard let arguments = Self.arguments(verb.commandName, folder) else { continue }
      let names = (verb.arguments ?? []).filter { $0.kind == "option" }.compactMap {
        $0.names?.first { $0.kind == "long" }?.name
      }
      var lines: [String] = []
      // Not all values with all options each time: each option meets a few, all values come by.
      for (index, name) in names.enumerated() {
        for offset in 0..<4 {
          let value = Self.extremes[(index * 5 + offset * 3) % Self.extremes.count]
          lines.append(
            "run \(([verb.commandName] + arguments).map(Self.quoted).joined(separator: " ")) "
              + Self.quoted("--\(name)=\(value)"))
        }
      }
      guard !lines.isEmpty else { continue }
      let script = """
        run() {
          rm -rf new copy
          timeout -s KILL 20 "$vecdb" "$@" >out 2>err </dev/null
          local status=$?
          if [ $status -gt 4 ]; then echo "$status: $* $(tail -n 2 err)"; fi
          if [ $status -gt 0 ] && [ ! -s err ]; then echo "without a word: $*"; fi
          echo done
        }
        \(lines.joined(separator: "\n"))
        """
      let result = try Shell.run(script, in: folder)
      let told = result.output.split(separator: "\n")
      #expect(told.filter { $0 != "done" } == [], "\(verb.commandName)")
      tried += told.count { $0 == "done" }
    }
    #expect(tried > 200, "\(tried) tried")
    #expect(try Command.run("check", folder.path("db")).status == 0)
  }

  private static func quoted(_ text: String) -> String {
    "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }
}
