import Foundation
import Testing

/// What is printed as a time restores the moment that it was printed for; what is no time is refused.
@Suite struct RestoreTimeTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func whatIsPrintedIsAccepted() throws {
    try folder.database(records: 10)
    try Shell.succeed(
      """
      $vecdb backup db repo && $vecdb mark db ten && sleep 0.01
      echo '{"key":"later","vector":[1,2,3,4]}' | $vecdb import db c - --format jsonl
      $vecdb mark db eleven && $vecdb backup db repo
      """, in: folder)
    let points = try Command.succeed("backups", folder.path("repo")).output
    let marks = try Command.succeed("mark", folder.path("db")).output
    let pattern = try Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z")
    for text in [points, marks] {
      let times = text.split(separator: "\n").compactMap { line in
        line.firstMatch(of: pattern).map { String($0.output[0].substring ?? "") }
      }
      #expect(times.count >= 2, "\(text)")
      for (number, time) in times.prefix(2).enumerated() {
        let copy = folder.path("copy-\(UUID().uuidString)")
        try Command.succeed("restore", folder.path("repo"), copy, "--time", time)
        let count = try Command.succeed("export", copy, "c").output.split(separator: "\n").count
        #expect(count == 10 + number, "\(time): \(text)")
      }
    }
  }

  /// The restore point is younger than the mark that it was made for.
  @Test func aMarkBeforeTheFirstRestorePointIsReached() throws {
    try folder.database(records: 10)
    try Shell.succeed("$vecdb mark db ten && sleep 0.05 && $vecdb backup db repo", in: folder)
    let marks = try Command.succeed("mark", folder.path("db"), "--json").objects
    let time = try #require(marks[0]["timeMilliseconds"] as? Int)
    let copy = folder.path("copy")
    try Command.succeed("restore", folder.path("repo"), copy, "--time", "\(time)")
    #expect(try Command.succeed("export", copy, "c").output.split(separator: "\n").count == 10)
  }

  /// Nobody knows yet what a moment in the future will be like.
  @Test func aTimeInTheFutureIsRefused() throws {
    try folder.database(records: 10)
    try Shell.succeed("$vecdb backup db repo", in: folder)
    let printed = try Command.succeed("backups", folder.path("repo")).output
    for time in ["2999-01-01T00:00:00Z", "\(Int64.max)"] {
      let copy = folder.path("copy")
      let result = try Command.run("restore", folder.path("repo"), copy, "--time", time)
      #expect(result.status == 1 && !folder.exists("copy"), "\(result.errors)")
      let pattern = try Regex("[0-9-]{10}T[0-9:.]{12}Z")
      let told = result.errors.matches(of: pattern).map { String($0.output[0].substring ?? "") }
      let newest = try #require(told.last)
      #expect(result.errors.contains("in the future") && printed.contains(newest))
      let into = try Command.run(
        "restore", folder.path("repo"), folder.path("db"), "--collection", "c", "--into", "d",
        "--time", time)
      #expect(into.status == 1 && into.errors.contains(newest), "\(into.errors)")
    }
  }

  /// A time that was, after all that the repository knows of: what was written since is told to be
  /// missing.
  @Test func aTimeAfterTheNewestMomentSaysWhatThatIs() throws {
    try folder.database(records: 10)
    try Shell.succeed(
      "$vecdb backup db repo && sleep 0.05 && date -u +%Y-%m-%dT%H:%M:%S.%3NZ > now", in: folder)
    let now = String(decoding: try folder.read("now"), as: UTF8.self)
      .trimmingCharacters(in: .newlines)
    let result = try Command.succeed(
      "restore", folder.path("repo"), folder.path("copy"), "--time", now)
    #expect(result.errors.contains("The newest moment in the repository is"), "\(result.errors)")
    let json = try Command.succeed(
      "restore", folder.path("repo"), folder.path("again"), "--time", now, "--json")
    #expect(try json.objects[0]["newestMilliseconds"] is Int)
  }

  @Test(arguments: [
    "25:00:00Z", "24:00:00Z", "12:60:00Z", "12:00:60Z", "12:00:00", "12:00:00Zxx", "12:00:00 Z",
    "12:00Z", "12:00:00.Z", "12:00:00+24:00", "12:00:00+0200", "12:00:00+02", "1:00:00Z",
    "12:0:00Z",
    "12:00:00Z ", "12:00:00,5Z",
  ])
  func whatIsNoTimeIsRefused(time: String) throws {
    let result = try Command.run("restore", "nowhere", "copy", "--time", "2026-03-01T\(time)")
    #expect(result.status == 2, "\(result.errors)")
  }

  @Test(arguments: [
    "2026-02-30", "2025-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10",
    "2026-01-00",
    "26-01-01", "2026-1-01", "+2026-01-01",
  ])
  func whatIsNoDayIsRefused(day: String) throws {
    let result = try Command.run("restore", "nowhere", "copy", "--time", "\(day)T12:00:00Z")
    #expect(result.status == 2, "\(result.errors)")
  }

  @Test(arguments: [
    "2026-03-31T18:00:00Z", "2026-03-31t18:00:00z", "2026-03-31 18:00:00.123456Z",
    "2024-02-29T23:59:59.9+14:00", "2000-02-29T00:00:00-11:30", "1774980000000", "0",
  ])
  func timesAreAccepted(time: String) throws {
    let result = try Command.run("restore", "nowhere", "copy", "--time", time)
    #expect(result.status == 1 && result.errors.contains("nowhere"), "\(result.errors)")
  }
}
