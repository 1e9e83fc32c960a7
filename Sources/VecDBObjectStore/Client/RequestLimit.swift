import Dispatch
import VecDBBytes

/// How many requests are under way: fewer after the store said that it is overloaded, and again more
/// with each that succeeds. Any thread.
package final class RequestLimit: Sendable {
  private struct State: Sendable {
    var limit: Double
    var underWay = 0
    var loweredMilliseconds: Int64 = .min
    var waiting = 0
  }

  private let most: Double
  private let state: Guarded<State>
  private let room = DispatchSemaphore(value: 0)
  private static let pauseMilliseconds: Int64 = 1_000

  package init(most: Int) {
    self.most = Double(max(1, most))
    state = Guarded(State(limit: Double(max(1, most))))
  }

  package var current: Int { state.withLock { Int($0.limit) } }

  package func enter() {
    while true {
      let isIn = state.withLock { state in
        guard state.underWay < max(1, Int(state.limit)) else {
          state.waiting += 1
          return false
        }
        state.underWay += 1
        return true
      }
      if isIn { return }
      room.wait()
    }
  }

  package func leave() {
    let waiting = state.withLock { state in
      state.underWay -= 1
      defer { state.waiting = 0 }
      return state.waiting
    }
    for _ in 0..<waiting { room.signal() }
  }

  package func succeeded() {
    state.withLock { $0.limit = min(most, $0.limit + 1 / max(1, $0.limit)) }
  }

  /// Halves, at most once in a second: many requests fail for one reason.
  package func overloaded(at milliseconds: Int64) {
    state.withLock { state in
      guard
        state.loweredMilliseconds == .min
          || milliseconds - state.loweredMilliseconds >= Self.pauseMilliseconds
      else { return }
      state.loweredMilliseconds = milliseconds
      state.limit = max(1, state.limit / 2)
    }
  }
}
