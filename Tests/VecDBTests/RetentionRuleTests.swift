import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// Which restore points each rule of retention keeps, against a plain reading of the rule.
@Suite struct RetentionRuleTests {
  private static let hour: Int64 = 3_600_000
  private static let end: Int64 = 1_790_000_000_000

  /// A repository of restore points without content at these times.
  private static func repository(_ directory: TemporaryDirectory, _ times: [Int64]) throws -> String
  {
    let path = directory.file("repository")
    let repository = try StoredRepository.create(
      path, databaseID: 5, fileSystem: PosixFileSystem())
    for (index, time) in times.enumerated() {
      try repository.putManifest(
        Manifest(
          databaseID: 5, epochs: [], epochCounter: 1, lsn: UInt64(index + 1), chain: .zero,
          timeMilliseconds: time, catalog: [], collections: [], records: nil, recordsLSN: 1,
          annotations: [:]))
    }
    return path
  }

  private static func parts(_ time: Int64) -> DateComponents {
    var calendar = Calendar(identifier: .iso8601)
    calendar.timeZone = TimeZone(identifier: "UTC") ?? calendar.timeZone
    return calendar.dateComponents(
      [.year, .month, .day, .weekOfYear, .yearForWeekOfYear],
      from: Date(timeIntervalSince1970: Double(time) / 1000))
  }

  /// The last of each of the newest `count` periods.
  private static func newest(
    _ count: Int, _ times: [Int64], _ period: (DateComponents) -> [Int?]
  ) -> Set<UInt64> {
    var seen: [[Int?]] = []
    var kept = Set<UInt64>()
    for (index, time) in times.enumerated().reversed() where !seen.contains(period(parts(time))) {
      guard seen.count < count else { break }
      seen.append(period(parts(time)))
      kept.insert(UInt64(index + 1))
    }
    return kept
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func eachRuleKeepsWhatItSays(seed: UInt64) async throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: seed)
    var times: [Int64] = []
    var time = Self.end - 400 * 24 * Self.hour
    while times.count < 150 {
      time += Int64.random(in: 1...(5 * 24), using: &generator) * Self.hour
      times.append(time)
    }
    let path = try Self.repository(directory, times)
    var policy = RetentionPolicy()
    policy.keepLast = Int.random(in: 0...6, using: &generator)
    policy.keepDaily = Int.random(in: 0...10, using: &generator)
    policy.keepWeekly = Int.random(in: 0...10, using: &generator)
    policy.keepMonthly = Int.random(in: 1...8, using: &generator)
    policy.keepWithinMilliseconds = Int64.random(in: 0...30, using: &generator) * 24 * Self.hour

    var expected: Set<UInt64> = [UInt64(times.count)]
    expected.formUnion((0..<policy.keepLast).map { UInt64(times.count - $0) })
    expected.formUnion(Self.newest(policy.keepDaily, times) { [$0.year, $0.month, $0.day] })
    expected.formUnion(
      Self.newest(policy.keepWeekly, times) { [$0.yearForWeekOfYear, $0.weekOfYear] })
    expected.formUnion(Self.newest(policy.keepMonthly, times) { [$0.year, $0.month] })
    if policy.keepWithinMilliseconds > 0 {
      // And the one that the oldest moment of the window is restored from.
      let limit = (times.last ?? 0) - policy.keepWithinMilliseconds
      let base = times.lastIndex { $0 <= limit } ?? 0
      expected.formUnion((base..<times.count).map { UInt64($0 + 1) })
    }
    let dry = try await Database.prune(repository: path, keeping: policy, dryRun: true)
    #expect(Set(dry.restorePoints.filter { !$0.keptFor.isEmpty }.map(\.lsn)) == expected)
    #expect(try Database.backups(in: path).count == times.count, "a dry run changes nothing")
    _ = try await Database.prune(repository: path, keeping: policy)
    #expect(Set(try Database.backups(in: path).map(\.lsn)) == expected)
    // Again: what is kept stays.
    _ = try await Database.prune(repository: path, keeping: policy)
    #expect(Set(try Database.backups(in: path).map(\.lsn)) == expected)
  }
}
