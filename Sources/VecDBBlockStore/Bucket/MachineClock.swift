import Glibc

/// The clocks of this machine, in milliseconds.
package enum MachineClock {
  /// Never goes back, and counts the time that the machine sleeps.
  package static func uptimeMilliseconds() -> Int64 { read(CLOCK_BOOTTIME) }
  /// Since 1970; somebody may set it.
  package static func nowMilliseconds() -> Int64 { read(CLOCK_REALTIME) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}
