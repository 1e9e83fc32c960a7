import Foundation
import Testing

/// A collection that is restored into a database is there whole, or not at all.
@Suite struct RestoreIntoTests {
  @Test func aKilledRestoreLeavesNothingThatCanBeSeen() throws {
    let folder = try TemporaryFolder()
    try folder.database(records: 6_000)
    try Shell.succeed(
      "$vecdb backup db repo && $vecdb create db other --dimensions 2 --metric l2", in: folder)
    var wasCut = 0
    for milliseconds in stride(from: 60, through: 900, by: 70) {
      let running = try Running(
        ["restore", folder.path("repo"), folder.path("db"), "--collection", "c", "--into", "back"],
        folder: try TemporaryFolder())
      usleep(UInt32(milliseconds) * 1_000)
      running.kill()
      let isDone = try running.wait().status == 0
      let stats = try Command.succeed("stats", folder.path("db"), "--json").objects[0]
      let collections = try #require(stats["collections"] as? [[String: Any]])
      for collection in collections where collection["name"] as? String != "other" {
        #expect(collection["count"] as? Int == 6_000, "\(collection)")
      }
      #expect(collections.count <= 3)
      if collections.count == 3 || isDone {
        try Command.succeed("drop", folder.path("db"), "back")
      } else {
        wasCut += 1
      }
      try Command.succeed("check", folder.path("db"))
    }
    #expect(wasCut > 0)
    try Command.succeed(
      "restore", folder.path("repo"), folder.path("db"), "--collection", "c", "--into", "back")
    let both = try ["c", "back"].map {
      try Command.succeed("export", folder.path("db"), $0).output
    }
    #expect(both[0] == both[1])
    let taken = try Command.run(
      "restore", folder.path("repo"), folder.path("db"), "--collection", "c", "--into", "back")
    #expect(taken.status == 1 && taken.errors.contains("already"))
  }
}
