import FoundationEssentials

/// Between the public types of time and the numbers that are stored, sent and logged.
extension Duration {
  /// Whole milliseconds, rounded to the nearest; what does not fit becomes the largest or smallest.
  package var wholeMilliseconds: Int {
    let (seconds, attoseconds) = components
    let (product, overflows) = seconds.multipliedReportingOverflow(by: 1_000)
    guard !overflows else { return seconds < 0 ? .min : .max }
    let rest =
      (attoseconds + (attoseconds < 0 ? -1 : 1) * 500_000_000_000_000) / 1_000_000_000_000_000
    let (sum, tooFar) = product.addingReportingOverflow(rest)
    return tooFar ? (seconds < 0 ? .min : .max) : Int(clamping: sum)
  }

  /// Whole seconds, rounded down.
  package var wholeSeconds: Int { Int(clamping: components.seconds) }

  package var inSeconds: Double { self / .seconds(1) }

  /// Of a number of seconds; what is no number is zero, and what is too large the largest.
  package init(inSeconds seconds: Double) {
    let limit = 9e15
    self = .seconds(seconds.isNaN ? 0 : max(-limit, min(limit, seconds)))
  }
}

extension Date {
  /// Of milliseconds since 1970.
  package init(milliseconds: Int64) {
    self.init(timeIntervalSince1970: Double(milliseconds) / 1_000)
  }

  /// Milliseconds since 1970, rounded to the nearest; what does not fit becomes the largest or smallest.
  package var milliseconds: Int64 {
    let number = (timeIntervalSince1970 * 1_000).rounded()
    return Int64(exactly: number) ?? (number > 0 ? .max : .min)
  }
}
