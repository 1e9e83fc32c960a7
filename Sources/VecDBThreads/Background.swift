import Dispatch
import Glibc
import Synchronization

/// Carries the cancellation of a task to blocking work.
package final class Cancellation: Sendable {
  private let isCancelled = Atomic(false)

  package init() {}

  package func cancel() { isCancelled.store(true, ordering: .relaxed) }

  package func check() throws {
    if isCancelled.load(ordering: .relaxed) { throw CancellationError() }
  }
}

/// Runs blocking work off the cooperative pool.
package func onBackground<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global(qos: .userInitiated).async {
      continuation.resume(with: Result { try body() })
    }
  }
}

/// As `onBackground`, for long work that looks now and then whether its task was cancelled.
package func onCancellableBackground<Value: Sendable>(
  _ body: @escaping @Sendable (Cancellation) throws -> Value
) async throws -> Value {
  let cancellation = Cancellation()
  return try await withTaskCancellationHandler {
    try await onBackground {
      try cancellation.check()
      return try body(cancellation)
    }
  } onCancel: {
    cancellation.cancel()
  }
}

/// Runs long work on a thread of its own.
package func onOwnThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try LowPriorityThread.detach(yields: false) {
        continuation.resume(with: Result { try body() })
      }
    } catch { continuation.resume(throwing: error) }
  }
}

/// Blocks the calling thread for so long.
package func pauseThread(seconds: Double) {
  guard seconds > 0 else { return }
  let whole = min(seconds, 1e9)
  var left = timespec(
    tv_sec: Int(whole), tv_nsec: Int((whole - whole.rounded(.down)) * 1e9))
  while true {
    // A signal wakes the thread early.
    let wanted = left
    guard withUnsafePointer(to: wanted, { nanosleep($0, &left) }) != 0, errno == EINTR else {
      return
    }
  }
}
