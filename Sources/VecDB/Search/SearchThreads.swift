import Dispatch
import FoundationEssentials
import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// The threads that searches of async callers run on: one per core, whatever the number of callers,
/// so that the threads of Swift's tasks are left to those who do not compute.
final class SearchThreads: Sendable {
  static let shared = SearchThreads(count: ProcessInfo.processInfo.activeProcessorCount)

  private struct State {
    /// In the order in which it came; what is before `first` is done.
    var work: [(@Sendable () -> Void)?] = []
    var first = 0
    var threads = 0
    var idle = 0
  }

  private final class Flag: Sendable { let isSet = Atomic(false) }

  private let state = Guarded(State())
  private let arrivals = DispatchSemaphore(value: 0)
  private let limit: Int

  init(count: Int) { limit = max(1, count) }

  /// Runs `body` on one of the threads. What is cancelled before its turn does not run.
  func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let cancelled = Flag()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        submit {
          guard !cancelled.isSet.load(ordering: .relaxed) else {
            return continuation.resume(
              throwing: VecDBError(.cancelled, "the search was cancelled before its turn"))
          }
          continuation.resume(with: Result { try body() })
        }
      }
    } onCancel: {
      cancelled.isSet.store(true, ordering: .relaxed)
    }
  }

  private func submit(_ work: @escaping @Sendable () -> Void) {
    let isShort = state.withLock { state in
      state.work.append(work)
      guard state.idle == 0 || state.work.count - state.first > state.idle,
        state.threads < limit
      else { return false }
      state.threads += 1
      return true
    }
    // Kept for good once they were needed.
    if isShort { LowPriorityThread.serve("vecdb.search") { [self] in serve() } }
    arrivals.signal()
  }

  private func serve() {
    while true {
      state.withLock { $0.idle += 1 }
      arrivals.wait()
      let work = state.withLock { state -> (@Sendable () -> Void)? in
        state.idle -= 1
        guard state.first < state.work.count else { return nil }
        defer {
          state.work[state.first] = nil
          state.first += 1
          if state.first >= 1_024, state.first * 2 >= state.work.count {
            state.work.removeFirst(state.first)
            state.first = 0
          }
        }
        return state.work[state.first]
      }
      work?()
    }
  }
}
