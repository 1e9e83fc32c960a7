import Testing
import VecDB

/// How fast a backup sends beside writers, against a disk with a simple rule: a commit takes its
/// time, and that of what the backup sent since the one before.
@Suite struct BackupPaceTests {
  private static let megabyte = 1024.0 * 1024

  /// A writer that commits, and works for `workSeconds` between commits, beside a backup that could
  /// send `mostBytesPerSecond`, on a disk that takes as much. Returns the pace and what share of the
  /// writer's commits were done in the last of `seconds`.
  private func run(
    _ pace: inout BackupPace, seconds: Double = 10, workSeconds: Double = 0.01,
    commitSeconds: Double = 0.0005, mostBytesPerSecond: Double
  ) -> Double {
    var share = 1.0
    for _ in 0..<Int(seconds / BackupPace.windowSeconds) {
      let rate = min(pace.bytesPerSecond ?? .infinity, mostBytesPerSecond)
      // In one turn the disk writes what came in it: t = work + commit + rate t / most, at most
      // twenty times what the commit alone takes.
      let load = min(rate / mostBytesPerSecond, 0.95)
      let disturbed = commitSeconds + load * (workSeconds + commitSeconds) / (1 - load)
      let turn = workSeconds + disturbed
      let commits = max(1, Int(BackupPace.windowSeconds / turn))
      pace.observe(
        .init(
          seconds: Double(commits) * turn, commits: commits,
          commitSeconds: Double(commits) * disturbed,
          sentBytes: Int(rate * Double(commits) * turn)))
      share = (workSeconds + commitSeconds) / turn
    }
    return share
  }

  @Test func nobodyWritesAndThereIsNoLimit() {
    var pace = BackupPace(undisturbedSeconds: 0.001)
    for _ in 0..<100 {
      pace.observe(.init(seconds: 0.05, commits: 0, commitSeconds: 0, sentBytes: 50 << 20))
    }
    #expect(pace.bytesPerSecond == nil)
  }

  @Test(arguments: [100.0, 300, 1_000, 5_000])
  func writersKeepMostOfTheirRate(megabytesPerSecond: Double) {
    let most = megabytesPerSecond * Self.megabyte
    var free = BackupPace(undisturbedSeconds: 0.0005)
    let share = run(&free, mostBytesPerSecond: most)
    #expect(share > 0.8 || free.bytesPerSecond == BackupPace.slowest)
    // And the backup gets what is left, not the least there is.
    if let rate = free.bytesPerSecond { #expect(rate > min(most * 0.02, BackupPace.slowest)) }
    if megabytesPerSecond > 1_000 {
      #expect((free.bytesPerSecond ?? most) > 3 * BackupPace.slowest)
    }
  }

  @Test func neverBelowTheLeast() {
    var pace = BackupPace(undisturbedSeconds: 0.0001)
    for _ in 0..<100 {
      pace.observe(.init(seconds: 0.05, commits: 5, commitSeconds: 0.05, sentBytes: 1 << 20))
    }
    #expect(pace.bytesPerSecond == BackupPace.slowest)
  }

  @Test func goesFasterAgainWhenCommitsAreQuickAndWithoutLimitWhenTheyEnd() throws {
    var pace = BackupPace(undisturbedSeconds: 0.0001)
    pace.observe(.init(seconds: 0.05, commits: 5, commitSeconds: 0.04, sentBytes: 10 << 20))
    let slow = try #require(pace.bytesPerSecond)
    #expect(slow < Double(10 << 20) / 0.05)
    for _ in 0..<3 {
      pace.observe(.init(seconds: 0.05, commits: 5, commitSeconds: 0.0005, sentBytes: 16 << 20))
    }
    #expect(try #require(pace.bytesPerSecond) > slow * 1.5)
    for _ in 0..<10 {
      pace.observe(.init(seconds: 0.05, commits: 0, commitSeconds: 0, sentBytes: 1 << 20))
    }
    #expect(pace.bytesPerSecond == nil)
  }

  @Test func aLimitThatDoesNotBindIsNotRaised() {
    var pace = BackupPace(undisturbedSeconds: 0.0001)
    pace.observe(.init(seconds: 0.05, commits: 5, commitSeconds: 0.04, sentBytes: 10 << 20))
    let limit = pace.bytesPerSecond
    for _ in 0..<100 {
      pace.observe(.init(seconds: 0.05, commits: 5, commitSeconds: 0.0005, sentBytes: 1 << 20))
    }
    #expect(pace.bytesPerSecond == limit)
  }

  /// A slow disk is not one that the backup slows down.
  @Test func aSlowDiskAloneIsNoReason() {
    for known in [0.02, nil] as [Double?] {
      var pace = BackupPace(undisturbedSeconds: known)
      for _ in 0..<100 {
        pace.observe(.init(seconds: 0.05, commits: 2, commitSeconds: 0.04, sentBytes: 1 << 20))
      }
      #expect(pace.bytesPerSecond == nil)
    }
  }
}
