import Dispatch
import VecDBBytes
import VecDBLogStore
import VecDBThreads

/// Makes the log durable on a thread of its own while the writer applies what it wrote there: the
/// disk and the processor work at the same time.
final class LogSyncer: Sendable {
  /// Nil: `wait` does it, so that a simulated disk sees its operations in the same order each time.
  private let thread: SerialThread?

  init(isBeside: Bool) { thread = isBeside ? SerialThread(name: "vecdb.sync") : nil }

  /// Starts the sync of what was just written. `then` is called as soon as it is durable.
  func begin(_ log: WriteAheadLog, then: @escaping @Sendable () -> Void) -> PendingSync {
    let pending = PendingSync(isStarted: thread != nil) {
      try log.settle()
      then()
    }
    thread?.async { pending.run() }
    return pending
  }
}

/// A sync that was begun; to be waited for, whatever happens meanwhile.
final class PendingSync: Sendable {
  private struct State {
    var outcome: Result<Void, any Error>?
    var nanoseconds: UInt64 = 0
  }

  private let body: @Sendable () throws -> Void
  private let isStarted: Bool
  private let state = Guarded(State())
  private let done = DispatchSemaphore(value: 0)

  fileprivate init(isStarted: Bool, _ body: @escaping @Sendable () throws -> Void) {
    self.isStarted = isStarted
    self.body = body
  }

  fileprivate func run() {
    let begun = DispatchTime.now()
    let outcome = Result { try body() }
    let nanoseconds = begun.elapsedNanoseconds
    state.withLock { $0 = State(outcome: outcome, nanoseconds: nanoseconds) }
    done.signal()
  }

  /// Returns, as often as it is called, when the write is durable, or throws why it is not.
  func wait() throws {
    if state.withLock({ $0.outcome }) == nil {
      if !isStarted { run() }
      done.wait()
      done.signal()
    }
    try state.withLock { $0.outcome }?.get()
  }

  /// How long it took; 0 before.
  var nanoseconds: UInt64 { state.withLock { $0.nanoseconds } }
}
