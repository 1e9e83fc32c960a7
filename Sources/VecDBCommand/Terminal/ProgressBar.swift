import Synchronization
import VecDB

/// A line on the terminal that tells how far long work is, how fast it goes and how long it will
/// still take. Nothing is shown where standard error is not a terminal.
final class ProgressBar: Sendable {
  private struct State {
    var drawn: ContinuousClock.Instant?
    var stage = ""
    var stageStart: ContinuousClock.Instant
  }

  private let unit: Unit
  /// Events for programs instead of a line for people.
  private let isEventStream: Bool
  private let state: Mutex<State>

  enum Unit: Sendable {
    case bytes
    case items(String)
  }

  init(_ unit: Unit, isEventStream: Bool = false) {
    self.unit = unit
    self.isEventStream = isEventStream
    state = Mutex(State(stageStart: .now))
  }

  /// A bar for the bytes that the library reports.
  static func bytes(events: Bool = false) -> ProgressBar {
    ProgressBar(.bytes, isEventStream: events)
  }

  /// What an event of progress says; rate and time left are of the stage.
  private struct Event: Encodable {
    var stage: String
    var doneBytes: Int
    var totalBytes: Int?
    var bytesPerSecond: Int?
    var secondsLeft: Double?
  }

  /// The handler to pass to the library.
  var handler: ProgressHandler {
    { progress in
      let total = progress.totalBytes
      self.update(
        progress.stage, done: progress.doneBytes, total: total > 0 ? total : nil,
        fraction: total > 0 ? Double(progress.doneBytes) / Double(total) : nil)
    }
  }

  /// Redraws at most ten times a second. `fraction` is 0 to 1, nil if it is not known.
  func update(_ stage: String, done: Int, total: Int? = nil, fraction: Double? = nil) {
    guard Terminal.isInteractive || isEventStream else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      if state.stage != stage {
        state.stage = stage
        state.stageStart = now
        state.drawn = nil
      }
      if let drawn = state.drawn, now - drawn < .milliseconds(100) { return }
      state.drawn = now
      if isEventStream {
        let seconds = (now - state.stageStart).inSeconds
        return Terminal.event(event(stage, done: done, total: total, fraction, seconds))
      }
      let line = text(
        stage, done: done, total: total, fraction: fraction,
        seconds: (now - state.stageStart).inSeconds)
      Terminal.redraw(String(line.prefix(Terminal.columns - 1)))
    }
  }

  private func event(
    _ stage: String, done: Int, total: Int?, _ fraction: Double?, _ seconds: Double
  ) -> Event {
    var event = Event(stage: stage, doneBytes: done, totalBytes: total)
    if seconds > 0.2 { event.bytesPerSecond = Int(Double(done) / seconds) }
    if seconds > 0.2, let fraction, fraction > 0.01 {
      event.secondsLeft = (seconds / fraction * (1 - fraction) * 10).rounded() / 10
    }
    return event
  }

  /// Takes the line away.
  func finish() { if !isEventStream { Terminal.clearLine() } }

  private func text(
    _ stage: String, done: Int, total: Int?, fraction: Double?, seconds: Double
  ) -> String {
    var parts = [stage]
    if let fraction {
      let share = min(1, max(0, fraction))
      let filled = Int(share * 24)
      parts.append(
        "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
          + "] \(Int(share * 100)) %")
    }
    parts.append(total.map { "\(amount(done)) of \(amount($0))" } ?? amount(done))
    if seconds > 0.2 {
      parts.append("\(amount(Int(Double(done) / seconds)))/s")
      if let fraction, fraction > 0.01, fraction < 1 {
        parts.append("\(Format.seconds((seconds / fraction * (1 - fraction)).rounded())) left")
      }
    }
    return parts.joined(separator: "  ")
  }

  private func amount(_ value: Int) -> String {
    switch unit {
    case .bytes: Format.bytes(value)
    case .items(let name): "\(Format.count(value)) \(name)"
    }
  }
}

extension Duration {
  /// The duration in seconds.
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
