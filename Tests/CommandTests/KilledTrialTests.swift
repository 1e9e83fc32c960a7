import Foundation
import Testing

/// What a command that was killed leaves in the temporary directory goes with the next one.
@Suite struct KilledTrialTests {
  private static func left(_ folder: TemporaryFolder) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.root).filter {
      $0 != "stdout" && $0 != "stderr"
    }
  }

  @Test(arguments: ["quick", "full"])
  func theNextVerifyRemovesWhatAKilledOneLeft(verification: String) throws {
    let folder = try TemporaryFolder()
    try folder.database(records: 4_000)
    try Shell.succeed("$vecdb backup db repo", in: folder)
    let temporary = try TemporaryFolder()
    // What is somebody else's stays.
    let other = "vecdb-verify.restoring-mine"
    try FileManager.default.createDirectory(
      atPath: temporary.path(other), withIntermediateDirectories: false)
    var wasLeft = 0
    for milliseconds in stride(from: 20, through: 600, by: 15) where wasLeft < 3 {
      let running = try Running(
        ["verify", folder.path("repo"), "--sample", "3"], folder: try TemporaryFolder(),
        environment: ["TMPDIR": temporary.root])
      usleep(UInt32(milliseconds) * 1_000)
      running.kill()
      _ = try running.wait()
      guard try Self.left(temporary).count > 1 else { continue }
      wasLeft += 1
      let next = try Command.run(
        ["verify", folder.path("repo"), "--verify", verification],
        environment: ["TMPDIR": temporary.root])
      #expect(next.status == 0, "\(next.errors)")
      #expect(try Self.left(temporary) == [other])
    }
    #expect(wasLeft > 0)
  }

  /// One that is asked to stop puts away what it has made itself.
  @Test(arguments: [SIGINT, SIGTERM])
  func whatIsInterruptedLeavesNothing(signal: Int32) throws {
    let folder = try TemporaryFolder()
    try folder.database(records: 8_000)
    try Shell.succeed("$vecdb backup db repo", in: folder)
    let before = Set(try FileManager.default.contentsOfDirectory(atPath: folder.root))
    let temporary = try TemporaryFolder()
    var interrupted = 0
    for arguments in [
      ["verify", "repo", "--sample", "20"], ["restore", "repo", "copy"],
      ["restore", "repo", "db", "--collection", "c", "--into", "again"],
    ] {
      for milliseconds in stride(from: 40, through: 400, by: 60) {
        let running = try Running(
          arguments.map { ["repo", "copy", "db"].contains($0) ? folder.path($0) : $0 },
          folder: try TemporaryFolder(), environment: ["TMPDIR": temporary.root])
        usleep(UInt32(milliseconds) * 1_000)
        Foundation.kill(running.processID, signal)
        let end = try running.wait()
        #expect(try Self.left(temporary) == [], "\(arguments[0]) after \(milliseconds) ms")
        if end.status == 0 {
          try? FileManager.default.removeItem(atPath: folder.path("copy"))
          if arguments.contains("--into") {
            try Command.succeed("drop", folder.path("db"), "again")
          }
        } else {
          interrupted += end.status == 1 ? 1 : 0
          // A signal that comes before the command listens for it ends it as ever.
          #expect([1, -1].contains(end.status), "\(end.errors)")
        }
        let after = Set(try FileManager.default.contentsOfDirectory(atPath: folder.root))
        #expect(after == before, "\(arguments[0]) after \(milliseconds) ms: \(end.errors)")
      }
    }
    #expect(interrupted > 3)
    try Command.succeed("check", folder.path("db"))
  }

  @Test func theNextTemporaryDirectoryRemovesThatOfAKilledProcess() throws {
    let folder = try TemporaryFolder()
    let base = folder.path("base.jsonl")
    let bench = ["bench", base, base, "-", "--rounds", "1", "--ef", "10", "--limit-queries", "20"]
    let lines = (0..<20_000).map { "{\"vector\":[\($0),\($0 % 91),1,\($0 % 7)]}" }
    try folder.write("base.jsonl", lines.joined(separator: "\n") + "\n")
    let temporary = try TemporaryFolder()
    let killed = try Running(bench, folder: folder, environment: ["TMPDIR": temporary.root])
    for _ in 0..<500 where try Self.left(temporary).isEmpty { usleep(10_000) }
    usleep(100_000)
    killed.kill()
    _ = try killed.wait()
    #expect(try Self.left(temporary).count == 1)
    // One that lives keeps its own.
    let living = try Running(bench, folder: folder, environment: ["TMPDIR": temporary.root])
    for _ in 0..<500 where try Self.left(temporary).count < 1 { usleep(10_000) }
    usleep(200_000)
    let short = try Command.run(
      bench + ["--limit", "100"], environment: ["TMPDIR": temporary.root])
    #expect(short.status == 0, "\(short.errors)")
    let end = try living.wait()
    #expect(end.status == 0, "\(end.errors)")
    #expect(try Self.left(temporary) == [])
  }
}
