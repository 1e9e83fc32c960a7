import Foundation
import Testing

/// What has gone from a repository is missed, though nothing of it is left to be found damaged.
@Suite struct RepositoryPresenceTests {
  let folder: TemporaryFolder

  /// Three restore points with log between them.
  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 20)
    try Shell.succeed("$vecdb backup db repo", in: folder)
    for key in ["a", "b"] {
      try write(key)
      try Shell.succeed("$vecdb backup db repo", in: folder)
    }
    try expectVerified()
  }

  private func write(_ key: String) throws {
    try Shell.succeed(
      """
      echo '{"key":"\(key)","vector":[1,2,3,4]}' | $vecdb import db c - --format jsonl
      """, in: folder)
  }

  private func names(_ kind: String) throws -> [String] {
    let path = "repo/\(kind)/00000000000000000001"
    return try FileManager.default.contentsOfDirectory(atPath: folder.path(path)).sorted()
      .map { path + "/" + $0 }
  }

  private func remove(_ name: String) throws {
    try FileManager.default.removeItem(atPath: folder.path(name))
  }

  private func expectVerified(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let result = try Shell.run("$vecdb verify repo", in: folder)
    #expect(result.status == 0, "\(result.output)", sourceLocation: sourceLocation)
  }

  private func expectMissing(
    _ words: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Shell.run("$vecdb verify repo", in: folder)
    #expect(result.status == 3, sourceLocation: sourceLocation)
    #expect(
      result.output.contains(words) && result.output.contains("is missing"), "\(result.output)",
      sourceLocation: sourceLocation)
  }

  @Test func everyPieceOfTheLogIsMissed() throws {
    let pieces = try names("log")
    #expect(pieces.count == 3)
    for piece in pieces {
      try remove(piece)
      try expectMissing("the log of LSN ")
      try Shell.succeed("$vecdb backup db repo --repair", in: folder)
      try expectVerified()
    }
    // Archived log behind the newest restore point, too.
    try write("c")
    try Shell.succeed("$vecdb archive db repo", in: folder)
    let newest = try #require(try names("log").last)
    try remove(newest)
    try expectMissing("the log of LSN 5 to 5")
  }

  @Test func theNewestRestorePointIsMissed() throws {
    let newest = try #require(try names("manifests").last)
    try remove(newest)
    try expectMissing("restore point LSN 4 of epoch 1")
    try Shell.succeed("$vecdb backup db repo --repair", in: folder)
    try expectVerified()
  }

  /// A repair does not say that all is well while it is not.
  @Test func whatCannotBeMendedIsToldAndGivenUp() throws {
    let points = try names("manifests")
    try remove(points[1])
    try expectMissing("restore point LSN 3 of epoch 1")
    let repair = try Shell.run("$vecdb backup db repo --repair", in: folder)
    #expect(repair.status == 3 && repair.output.contains("restore point LSN 3"), "\(repair.output)")
    #expect(repair.errors.contains("prune"), "\(repair.errors)")
    let json = try Shell.run("$vecdb backup db repo --repair --json", in: folder)
    #expect(json.status == 3)
    #expect(try (json.objects.first?["remainingProblems"] as? [String])?.count == 1)
    // An ordinary backup and an ordinary prune change nothing of it.
    try Shell.succeed("$vecdb backup db repo && $vecdb prune repo --keep-last 9", in: folder)
    try expectMissing("restore point LSN 3 of epoch 1")
    try Shell.succeed("$vecdb prune repo --keep-last 9 --force", in: folder)
    try expectVerified()
    try Shell.succeed("$vecdb backup db repo --repair", in: folder)
  }

  /// A block of an old restore point that the database has no more.
  @Test func aRepairThatLeavesDamageFails() throws {
    let oldest = try names("manifests")[0]
    try folder.write(oldest, Data(repeating: 7, count: 100))
    let repair = try Shell.run("$vecdb backup db repo --repair", in: folder)
    #expect(repair.status == 3, "\(repair.output)")
  }

  @Test func whatAPruneTakesIsNotMissed() throws {
    try Shell.succeed("$vecdb prune repo --keep-last 1", in: folder)
    #expect(try names("manifests").count == 1)
    try expectVerified()
    for key in ["d", "e"] {
      try write(key)
      try Shell.succeed(
        "$vecdb backup db repo && $vecdb prune repo --keep-last 1 && $vecdb verify repo", in: folder
      )
    }
    let newest = try #require(try names("manifests").last)
    try remove(newest)
    try expectMissing("restore point LSN 6 of epoch 1")
  }

  /// Of a version that noted nothing, all that is there is noted by the next backup.
  @Test func anOlderRepositoryIsTakenUp() throws {
    try remove("repo/published")
    let pieces = try names("log")
    try remove(pieces[1])
    try expectVerified()
    try write("f")
    try Shell.succeed("$vecdb backup db repo", in: folder)
    try expectVerified()
    try remove(pieces[0])
    try expectMissing("the log of LSN 1 to 2")
  }

  /// Nothing is to be written, so that no room is needed for it.
  @Test func aFullRepositoryCanBePruned() throws {
    let result = try Shell.run(
      """
      mkdir full && mount -t tmpfs -o size=8m none full || exit 0
      trap 'umount full' EXIT
      $vecdb backup db full/repo && $vecdb prune full/repo --keep-last 9 || exit 1
      head -c 16m /dev/zero > full/filler
      $vecdb prune full/repo --keep-last 9 || exit 2
      rm full/filler; $vecdb verify full/repo
      """, in: folder)
    #expect(result.status == 0, "\(result.errors)")
  }
}
