import Dispatch
import Foundation
import Synchronization
import VecDB

/// Reads the rows of a source on a thread of its own, so that whoever writes them need not wait for
/// a slow stream: what has come within a moment is handed out, and a signal ends the waiting.
final class RowReader: @unchecked Sendable {
  /// Rows that follow one another.
  struct Batch {
    var rows: [ImportRow] = []
    /// Why there are no more rows behind these; nil at the end of the source.
    var failure: (any Error)?
    /// A signal asked to stop.
    var isInterrupted = false
  }

  private struct State {
    var rows: [ImportRow] = []
    /// When the first of them came.
    var since = ContinuousClock.now
    var hasEnded = false
    var failure: (any Error)?
    var waiter: CheckedContinuation<Batch, Never>?
    /// What the source told about itself last.
    var fraction: Double?
  }

  /// Rows wait no longer than that for the rest of their batch.
  private static let patience = Duration.seconds(1)

  /// Rows in the source, where it tells.
  let count: Int?
  private let source: RecordSource
  private let batchRows: Int
  private let limit: Int
  private let state = Mutex(State())
  private let room: DispatchSemaphore
  private let timer: any DispatchSourceTimer

  /// `check` is called with each row before it is handed out.
  init(
    _ source: RecordSource, batchRows: Int, limit: Int,
    check: @escaping @Sendable (inout ImportRow, RecordSource) throws -> Void
  ) {
    self.source = source
    self.batchRows = batchRows
    self.limit = limit
    count = source.count
    // One that is released with less than it was made with is a fault to Dispatch.
    room = DispatchSemaphore(value: 0)
    for _ in 0..<batchRows { room.signal() }
    timer = DispatchSource.makeTimerSource(queue: .global(qos: .userInitiated))
    timer.setEventHandler { [weak self] in self?.lookAtClock() }
    timer.schedule(deadline: .now() + .milliseconds(100), repeating: .milliseconds(100))
    timer.resume()
    Thread.detachNewThread { [self] in read(check) }
  }

  /// Ends the thread as soon as it has its next row.
  func stop() {
    timer.cancel()
    state.withLock { $0.hasEnded = true }
    room.signal()
  }

  /// How far reading is, from 0 to 1; nil where that is not known.
  var fraction: Double? { state.withLock { $0.fraction } }

  /// The next rows: a whole batch, or what has come when its first row has waited long enough; none
  /// at the end.
  func next() async -> Batch {
    await withCheckedContinuation { continuation in
      handOut { state in state.waiter = continuation }
    }
  }

  private func read(_ check: (inout ImportRow, RecordSource) throws -> Void) {
    do {
      while source.row < limit, var row = try source.next() {
        try check(&row, source)
        room.wait()
        let fraction = row.number % 256 == 0 ? source.vectors.bytes.fraction : nil
        var isWanted = true
        handOut { state in
          isWanted = !state.hasEnded
          if state.rows.isEmpty { state.since = .now }
          state.rows.append(row)
          state.fraction = fraction ?? state.fraction
        }
        guard isWanted else { return }
      }
      handOut { $0.hasEnded = true }
    } catch {
      handOut { state in
        state.failure = error
        state.hasEnded = true
      }
    }
  }

  private func lookAtClock() { handOut { _ in } }

  /// Changes the state, and answers who waits if there is something to say now.
  private func handOut(_ change: (inout State) -> Void) {
    let answer = state.withLock { state -> (CheckedContinuation<Batch, Never>, Batch)? in
      change(&state)
      let isLate = !state.rows.isEmpty && .now - state.since >= Self.patience
      let isInterrupted = Interruption.requested
      guard let waiter = state.waiter,
        state.rows.count >= batchRows || state.hasEnded || isLate || isInterrupted
      else { return nil }
      state.waiter = nil
      let taken = min(batchRows, state.rows.count)
      var batch = Batch(rows: Array(state.rows.prefix(taken)), isInterrupted: isInterrupted)
      state.rows.removeFirst(taken)
      if state.rows.isEmpty { batch.failure = state.failure }
      return (waiter, batch)
    }
    guard let (waiter, batch) = answer else { return }
    for _ in batch.rows { room.signal() }
    waiter.resume(returning: batch)
  }
}
