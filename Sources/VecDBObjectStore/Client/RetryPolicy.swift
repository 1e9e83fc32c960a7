/// When a request is repeated: for a time, not a number of times, with a pause drawn at random from
/// nothing to a bound that doubles (full jitter), so that many clients do not come back at once.
package struct RetryPolicy: Sendable {
  package var budgetMilliseconds: Int64 = 180_000
  /// The same before the store has answered for the first time: more likely its address is wrong.
  package var firstBudgetMilliseconds: Int64 = 20_000
  package var firstPauseMilliseconds: Int64 = 100
  package var longestPauseMilliseconds: Int64 = 20_000
  /// What a store may ask for by `Retry-After`.
  package var longestAskedMilliseconds: Int64 = 60_000

  package init() {}

  /// The pause before attempt `attempt` + 1, of which the first is 1.
  package func pause(attempt: Int, asked: Int64?) -> Int64 {
    let doublings = min(max(0, attempt - 1), 20)
    let bound = min(longestPauseMilliseconds, firstPauseMilliseconds << Int64(doublings))
    let drawn = Int64.random(in: 0...max(1, bound))
    guard let asked else { return drawn }
    return max(min(asked, longestAskedMilliseconds), 0) + drawn / 4
  }

  /// What `Retry-After` asks for: seconds, or a moment.
  package static func asked(_ header: String?, nowMilliseconds: Int64) -> Int64? {
    guard let header else { return nil }
    if let seconds = Int64(header) {
      return min(max(0, seconds), 86_400) * 1_000
    }
    return StoreTime.http(header).map { max(0, $0 - nowMilliseconds) }
  }
}
