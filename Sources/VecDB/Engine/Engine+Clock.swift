import Glibc

extension Engine {
  /// The log's time now, for the writer. Logs a clock that was set.
  func logTime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    let monotonic = Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    let reading = clock.read(system: systemClock(), monotonic: monotonic)
    shared.logMilliseconds.store(reading.milliseconds, ordering: .relaxed)
    if let jump = reading.jump {
      let ahead = reading.milliseconds &- systemClock()
      configuration.logger.warning(
        "the system's clock was set",
        metadata: [
          "byMilliseconds": "\(jump)", "lsn": "\(state.lsn)",
          "logAheadMilliseconds": "\(max(0, ahead))",
        ])
    }
    return reading.milliseconds
  }
}
