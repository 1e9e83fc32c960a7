/// How fast a backup may send beside writers: as fast as it can while nobody writes, and else so that
/// the disk has time for their commits.
///
/// A commit waits until its bytes are durable, and on most disks also for what others sent there
/// before: a backup at full speed makes each of them several times longer. What that costs the writer
/// is the time that commits take beyond what they take without a backup. The rate goes down quickly
/// while that is too large a share of all time, and up slowly, as TCP does it (additive increase,
/// multiplicative decrease; Chiu and Jain, 1989), here with factors both ways since disks differ by
/// more than a factor of a hundred.
///
/// Pure: time and figures come from the caller.
///
/// Invariants: `bytesPerSecond`, where there is a limit, is at least `slowest`.
package struct BackupPace: Equatable {
  /// What happened since the last look.
  package struct Window: Equatable {
    var seconds: Double
    /// Commits, and the seconds that they took in the log.
    var commits: Int
    var commitSeconds: Double
    /// What the backup sent.
    var sentBytes: Int

    package init(seconds: Double, commits: Int, commitSeconds: Double, sentBytes: Int) {
      self.seconds = seconds
      self.commits = commits
      self.commitSeconds = commitSeconds
      self.sentBytes = sentBytes
    }
  }

  package static let windowSeconds = 0.05
  /// A backup ends, whatever others do.
  package static let slowest = 16.0 * 1024 * 1024
  /// Of a writer's time; above the first the backup slows down, below the second it may go faster.
  private static let (tooMuch, little) = (0.08, 0.04)
  private static let (slowDown, speedUp) = (0.6, 1.25)
  private static let windowsOfSilence = 4

  /// Nil: no limit.
  package private(set) var bytesPerSecond: Double?
  /// What a commit takes while no backup runs: as far as known, the least that was seen.
  private var undisturbedSeconds: Double
  private var silence = 0

  /// - Parameter undisturbedSeconds: nil if there was no commit yet.
  package init(undisturbedSeconds: Double?) {
    self.undisturbedSeconds = undisturbedSeconds ?? .infinity
  }

  package mutating func observe(_ window: Window) {
    guard window.seconds > 0 else { return }
    guard window.commits > 0 else {
      silence += 1
      if silence >= Self.windowsOfSilence { bytesPerSecond = nil }
      return
    }
    silence = 0
    undisturbedSeconds = min(undisturbedSeconds, window.commitSeconds / Double(window.commits))
    let lost =
      (window.commitSeconds - Double(window.commits) * undisturbedSeconds) / window.seconds
    if lost > Self.tooMuch {
      let present = bytesPerSecond ?? Double(window.sentBytes) / window.seconds
      bytesPerSecond = max(Self.slowest, present * Self.slowDown)
    } else if lost < Self.little, let present = bytesPerSecond,
      Double(window.sentBytes) > present * window.seconds / 2
    {
      // A limit that did not bind is not raised: it would take long to bind again.
      bytesPerSecond = present * Self.speedUp
    }
  }
}
