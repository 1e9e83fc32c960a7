import Foundation
import Testing
import VecDB

/// Commands that have the database for a moment wait for one another.
@Suite(.serialized) struct SessionTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database()
  }

  @Test func manyAtOnceAllSucceed() throws {
    let result = try Shell.run(
      """
      run() { "$@" > /dev/null 2> errors-$BASHPID || { echo "failed: $*"; cat errors-$BASHPID; }; }
      for n in $(seq 24); do run $vecdb query db c --key k$n -k 3 & done
      for n in $(seq 4); do run $vecdb backup db repo & done
      for n in $(seq 4); do run $vecdb mark db mark$n & done
      for n in $(seq 3); do run $vecdb get db c k$n & run $vecdb stats db & done
      run $vecdb export db c & run $vecdb delete db c k299 &
      wait
      """, in: folder)
    #expect(result.output.isEmpty, "\(result.output)")
    let marks = try Command.succeed("mark", folder.path("db"), "--json").output
    #expect(marks.split(separator: "\n").count == 4)
    try Command.succeed("verify", folder.path("repo"))
  }

  @Test func aMonitoringLoopDisturbsNobody() throws {
    let result = try Shell.run(
      """
      while test ! -e stop; do $vecdb stats db > /dev/null 2>> monitor || echo monitor failed; done &
      for n in $(seq 8); do
        $vecdb archive db repo > /dev/null 2> errors || { echo archive; cat errors; }
        $vecdb mark db m$n > /dev/null 2> errors || { echo mark; cat errors; }
        $vecdb export db c > /dev/null 2> errors || { echo export; cat errors; }
        echo '{"key":"x'$n'","vector":[1,2,3,4]}' \
          | $vecdb import db c - --format jsonl > /dev/null 2> errors || { echo import; cat errors; }
      done
      touch stop; wait
      """, in: folder)
    #expect(result.output.isEmpty, "\(result.output)")
  }

  /// An application, too, and a restore that takes the database's place.
  @Test func whoNeedsTheDatabaseWaitsForAMoment() async throws {
    try Shell.succeed("$vecdb backup db repo", in: folder)
    let monitor = try Running(
      ["-c", "while test ! -e stop; do $vecdb stats db > /dev/null 2>&1; done"], folder: folder,
      program: "/bin/bash", environment: ["vecdb": Shell.vecdb])
    defer { _ = try? folder.write("stop", "") }
    for _ in 0..<12 {
      let database = try await Database.open(at: folder.path("db"))
      try await Task.sleep(nanoseconds: 3_000_000)
      try await database.close()
      try Command.succeed("restore", folder.path("repo"), folder.path("db"), "--replace")
      try Command.succeed("check", folder.path("db"), "--repair")
    }
    try folder.write("stop", "")
    _ = try monitor.wait()
  }

  /// Each of them is a process of its own; what they leave dead is used again.
  @Test func shortCommandsReuseSlots() throws {
    for round in 0..<14 {
      let lines = (0..<600).map { "{\"key\":\"r\($0)\",\"vector\":[\($0),\(round),2,3]}" }
      try folder.write("round.jsonl", lines.joined(separator: "\n"))
      try Command.succeed("import", folder.path("db"), "c", folder.path("round.jsonl"))
    }
    let stats = try Command.succeed("stats", folder.path("db"), "--json").objects[0]
    let collections = try #require(stats["collections"] as? [[String: Any]])
    let slots = try #require(collections[0]["slots"] as? Int)
    #expect(collections[0]["count"] as? Int == 900)
    #expect(slots < 3_000, "\(slots) slots for 900 records")
    try Command.succeed("check", folder.path("db"))
  }
}
