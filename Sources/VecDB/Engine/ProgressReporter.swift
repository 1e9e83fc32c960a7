import Dispatch
import VecDBBytes

/// Hands progress on, at most ten times a second, and always at the beginning and end of a stage.
final class ProgressReporter: Sendable {
  private struct State {
    var current = WorkProgress(stage: "", doneBytes: 0, totalBytes: 0)
    var lastNanoseconds: UInt64 = 0
  }

  private let handler: ProgressHandler?
  private let state = Guarded(State())

  init(_ handler: ProgressHandler?) { self.handler = handler }

  func begin(_ stage: String, totalBytes: Int = 0) {
    let progress = WorkProgress(stage: stage, doneBytes: 0, totalBytes: totalBytes)
    state.withLock { $0.current = progress }
    handler?(progress)
  }

  func advance(_ bytes: Int) {
    update { $0.doneBytes += bytes }
  }

  func set(doneBytes: Int, totalBytes: Int) {
    update { progress in
      progress.doneBytes = doneBytes
      progress.totalBytes = totalBytes
    }
  }

  private func update(_ change: (inout WorkProgress) -> Void) {
    guard let handler else { return }
    let due = state.withLock { state -> WorkProgress? in
      change(&state.current)
      let now = DispatchTime.now().uptimeNanoseconds
      let isDue = now - state.lastNanoseconds > 100_000_000
      guard isDue || state.current.doneBytes == state.current.totalBytes else { return nil }
      state.lastNanoseconds = now
      return state.current
    }
    if let due { handler(due) }
  }
}
