import Glibc

/// The time that batches carry: the system's, but never before that of the batch before, so that a
/// point in time means one place in the log.
///
/// A system clock that was set shows as a difference between it and the time since the machine
/// started.
struct LogClock {
  /// A clock that moves by less than this is being adjusted, not set.
  private static let toleranceMilliseconds: Int64 = 1_000

  /// The last time that was given or seen in the log.
  private(set) var lastMilliseconds: Int64
  private var offset: Int64?

  init(lastMilliseconds: Int64) { self.lastMilliseconds = lastMilliseconds }

  struct Reading: Equatable {
    var milliseconds: Int64
    /// By how much the system's clock was set since the last reading; nil if it was not.
    var jump: Int64?
  }

  /// - Parameter monotonic: milliseconds since some start, which nobody sets.
  mutating func read(system: Int64, monotonic: Int64) -> Reading {
    let offset = system &- monotonic
    let change = self.offset.map { offset &- $0 } ?? min(0, system &- lastMilliseconds)
    self.offset = offset
    lastMilliseconds = max(lastMilliseconds, system)
    let isJump = change.magnitude > UInt64(Self.toleranceMilliseconds)
    return Reading(milliseconds: lastMilliseconds, jump: isJump ? change : nil)
  }

  /// Takes in the time of a batch that another node or an earlier process wrote.
  mutating func saw(_ milliseconds: Int64) {
    lastMilliseconds = max(lastMilliseconds, milliseconds)
  }
}
