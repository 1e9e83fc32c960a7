/// When to try a connection again: exponential, with full jitter, so that many replicas do not
/// come back at the same moment (Brooker, "Exponential Backoff And Jitter", 2015).
package struct Backoff: Sendable {
  package var firstMilliseconds: UInt64
  package var maximumMilliseconds: UInt64
  private var attempts: UInt64 = 0

  package init(firstMilliseconds: UInt64 = 50, maximumMilliseconds: UInt64 = 5_000) {
    self.firstMilliseconds = firstMilliseconds
    self.maximumMilliseconds = maximumMilliseconds
  }

  /// The connection worked.
  package mutating func reset() { attempts = 0 }

  /// How long to wait before the next attempt.
  package mutating func next(using generator: inout some RandomNumberGenerator) -> UInt64 {
    let ceiling = min(maximumMilliseconds, firstMilliseconds << min(attempts, 16))
    attempts += 1
    return UInt64.random(in: ceiling / 2...ceiling, using: &generator)
  }
}
