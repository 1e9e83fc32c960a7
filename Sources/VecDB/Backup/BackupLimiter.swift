import Dispatch
import VecDBBytes
import VecDBThreads

/// Lets a backup's bytes pass at a rate, over all its threads together: at most so many a second, and
/// at the pace that leaves writers their disk.
final class BackupLimiter: Sendable {
  private struct State {
    /// When the bytes that were let pass so far are paid for.
    var free: UInt64
    var pace: BackupPace?
    var looked: UInt64
    var commits: TimingStats
    var sentBytes = 0
  }

  private let bytesPerSecond: Double?
  private let telemetry: Telemetry
  private let state: Guarded<State>

  /// - Parameter yields: whether the writers' commits come first.
  init(bytesPerSecond: Int?, yields: Bool, telemetry: Telemetry) {
    self.bytesPerSecond = bytesPerSecond.map { Double(max(1, $0)) }
    self.telemetry = telemetry
    let now = DispatchTime.now().uptimeNanoseconds
    let pace = yields ? BackupPace(undisturbedSeconds: telemetry.undisturbedAppendSeconds) : nil
    state = Guarded(
      State(free: now, pace: pace, looked: now, commits: telemetry.now.logAppend))
  }

  /// Blocks until it is these bytes' turn.
  func wait(forBytes count: Int) {
    let now = DispatchTime.now().uptimeNanoseconds
    let turn = state.withLock { state -> UInt64 in
      state.sentBytes += count
      look(now, &state)
      let rates = [bytesPerSecond, state.pace?.bytesPerSecond].compactMap { $0 }
      guard let rate = rates.min() else { return now }
      let turn = max(state.free, now)
      state.free = turn + UInt64(Double(count) / rate * 1e9)
      return turn
    }
    if turn > now { pauseThread(seconds: Double(turn - now) / 1e9) }
  }

  private func look(_ now: UInt64, _ state: inout State) {
    let seconds = Double(now &- state.looked) / 1e9
    guard state.pace != nil, seconds >= BackupPace.windowSeconds else { return }
    let commits = telemetry.now.logAppend
    state.pace?.observe(
      BackupPace.Window(
        seconds: seconds, commits: commits.count - state.commits.count,
        commitSeconds: commits.totalSeconds - state.commits.totalSeconds,
        sentBytes: state.sentBytes))
    (state.looked, state.commits, state.sentBytes) = (now, commits, 0)
  }
}
