/// How far a replica is behind, told by its own clock alone, so that clocks may differ and jump.
///
/// Lag in seconds is the age of the oldest thing that the primary is known to have and this
/// replica is not; when nothing is heard any more, at least the time since the last word.
package struct Lag: Sendable {
  private struct Mark: Sendable {
    var lsn: UInt64
    var heardAt: UInt64
  }

  package private(set) var primaryLSN: UInt64 = 0
  package private(set) var appliedLSN: UInt64 = 0
  /// Bytes of log that the primary has and this replica has not applied.
  package private(set) var bytes: UInt64 = 0
  private var marks: [Mark] = []
  private var lastHeard: UInt64?
  /// Silence up to here is the rhythm of heartbeats and does not count.
  private let silenceMilliseconds: UInt64
  private static let marksMaximum = 1_024

  package init(silenceMilliseconds: UInt64 = 1_500) {
    self.silenceMilliseconds = silenceMilliseconds
  }

  package mutating func heard(primaryLSN lsn: UInt64, bytesBehind: UInt64, now: UInt64) {
    lastHeard = now
    // Another primary, whose history ends earlier: what the old one had does not count.
    if lsn < primaryLSN { marks.removeAll { $0.lsn > lsn } }
    primaryLSN = lsn
    bytes = bytesBehind
    guard lsn > appliedLSN, lsn > marks.last?.lsn ?? 0 else { return }
    // A full list loses every other mark but the oldest, which is the one that counts.
    if marks.count == Self.marksMaximum {
      marks = marks.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    }
    marks.append(Mark(lsn: lsn, heardAt: now))
  }

  /// - Parameter bytesBehind: log that is still missing; nil if that is not known anew.
  package mutating func applied(_ lsn: UInt64, bytesBehind: UInt64? = nil) {
    appliedLSN = lsn
    if let bytesBehind { bytes = bytesBehind }
    let kept = marks.firstIndex { $0.lsn > lsn } ?? marks.count
    marks.removeFirst(kept)
    if lsn >= primaryLSN { bytes = 0 }
  }

  package var lsns: UInt64 { primaryLSN > appliedLSN ? primaryLSN - appliedLSN : 0 }

  /// Nil as long as the primary was never heard.
  package func milliseconds(now: UInt64) -> UInt64? {
    guard let lastHeard else { return nil }
    // A word may come after `now` was read.
    let silence = now > lastHeard ? now - lastHeard : 0
    let behind = marks.first.map { now > $0.heardAt ? now - $0.heardAt : 0 } ?? 0
    return max(behind, silence > silenceMilliseconds ? silence : 0)
  }
}
