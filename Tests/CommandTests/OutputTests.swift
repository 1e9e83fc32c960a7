import Foundation
import Testing

/// Where results go: what cannot be written is told, and nothing that is there is destroyed.
@Suite struct OutputTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database()
  }

  @Test(arguments: [
    "export db c", "query db c --key k1", "query db c --vectors records.jsonl --json",
    "get db c k1",
    "stats db", "stats db --json", "check db", "--help", "help export", "export db c -o /dev/full",
    "backups repo", "mark db", "verify repo",
  ])
  func aFullDiskIsAFailure(arguments: String) throws {
    try Shell.succeed("$vecdb backup db repo", in: folder)
    let result = try Shell.run("$vecdb \(arguments) > /dev/full", in: folder)
    #expect(result.status == 1, "\(result.errors)")
    #expect(result.errors.contains("No space left on device"), "\(result.errors)")
  }

  @Test(arguments: ["stats db", "export db c", "get db c k1", "checkpoint db"])
  func aClosedStreamIsNoFileOfTheDatabase(arguments: String) throws {
    let before = try Command.succeed("export", folder.path("db"), "c").output
    for streams in [">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"] {
      let result = try Shell.run("$vecdb \(arguments) \(streams)", in: folder)
      #expect(result.status == (streams.contains(" >&-") || streams.hasPrefix(">") ? 1 : 0))
      try Command.succeed("check", folder.path("db"))
    }
    #expect(try Command.succeed("export", folder.path("db"), "c").output == before)
  }

  @Test func exportWritesIntoWhatIsNoFile() throws {
    let all = try Command.succeed("export", folder.path("db"), "c").output
    try Shell.succeed(
      "mkfifo pipe; (cat pipe > read) & $vecdb export db c -o pipe && wait && test -p pipe",
      in: folder)
    #expect(String(decoding: try folder.read("read"), as: UTF8.self) == all)
    try Shell.succeed("$vecdb export db c -o /dev/null && test -c /dev/null", in: folder)
    for place in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
      #expect(try Shell.succeed("$vecdb export db c -o \(place)", in: folder).output == all)
      // Appending stays appending.
      try Shell.succeed(
        "echo first > all; $vecdb export db c -o \(place) >> all", in: folder)
      #expect(String(decoding: try folder.read("all"), as: UTF8.self) == "first\n" + all)
    }
  }

  @Test func exportFollowsLinksAndKeepsModes() throws {
    let all = try Command.succeed("export", folder.path("db"), "c").output
    try Shell.succeed(
      """
      mkdir sub; ln -s sub/real.jsonl link; ln -s link link2
      $vecdb export db c -o link2 && test -L link && test -L link2 && test -f sub/real.jsonl
      cp sub/real.jsonl first; chmod 600 sub/real.jsonl; echo old > sub/real.jsonl
      $vecdb export db c -o link && test -L link && cmp first sub/real.jsonl
      test "$(stat -c %a sub/real.jsonl)" = 600
      """, in: folder)
    #expect(String(decoding: try folder.read("first"), as: UTF8.self) == all)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("sub"))
    #expect(names == ["real.jsonl"])
    let refused = try Shell.run("$vecdb export db c -o sub", in: folder)
    #expect(refused.status == 1 && refused.errors.contains("directory"), "\(refused.errors)")
  }

  @Test func argumentsThatAreNotTextAreRefused() throws {
    try Shell.succeed(
      "$vecdb import db c - --format jsonl <<< '{\"key\":\"\u{FFFD}\",\"vector\":[1,2,3,4]}'",
      in: folder)
    for script in [
      #"$vecdb create $'caf\xe9.vecdb' c --dimensions 2 --metric l2"#,
      #"$vecdb delete db c $'\xff'"#, #"$vecdb backup db $'r\xc3'"#,
    ] {
      let result = try Shell.run(script, in: folder)
      #expect(result.status == 2 && result.errors.contains("not UTF-8"), "\(result.errors)")
    }
    try Command.succeed("get", folder.path("db"), "c", "\u{FFFD}")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.root)
    #expect(!names.contains { $0.hasPrefix("caf") || $0.hasPrefix("r\u{FFFD}") })
  }
}
