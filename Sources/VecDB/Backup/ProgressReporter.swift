import Dispatch

/// Hands progress on, at most ten times a second and always at the beginning of a stage.
final class ProgressReporter {
  private let handler: ProgressHandler?
  private var current = Progress(stage: "", doneBytes: 0, totalBytes: 0)
  private var lastNanoseconds: UInt64 = 0

  init(_ handler: ProgressHandler?) { self.handler = handler }

  func begin(_ stage: String, totalBytes: Int) {
    current = Progress(stage: stage, doneBytes: 0, totalBytes: totalBytes)
    handler?(current)
  }

  func advance(_ bytes: Int) {
    set(doneBytes: current.doneBytes + bytes, totalBytes: current.totalBytes)
  }

  func set(doneBytes: Int, totalBytes: Int) {
    current.doneBytes = doneBytes
    current.totalBytes = totalBytes
    guard let handler else { return }
    let now = DispatchTime.now().uptimeNanoseconds
    if now - lastNanoseconds > 100_000_000 || current.doneBytes == current.totalBytes {
      lastNanoseconds = now
      handler(current)
    }
  }
}
