import Dispatch

extension DispatchTime {
  /// Nanoseconds since then, of a clock that nobody sets.
  package var elapsedNanoseconds: UInt64 {
    DispatchTime.now().uptimeNanoseconds &- uptimeNanoseconds
  }

  /// Seconds since then.
  package var elapsedSeconds: Double { Double(elapsedNanoseconds) / 1e9 }
}
