import VecDB

/// The stopwatch of a rehearsal: phases one after another, without a gap. What happens between two
/// phases belongs to the one that comes next, so that they add up to what the whole took.
struct DrillClock {
  private let start = ContinuousClock.now
  private(set) var phases: [DrillReport.Phase] = []
  /// Where the last phase ended.
  private var end = 0.0
  private(set) var failureSeconds: Double?

  /// Runs a phase and notes how long it took.
  mutating func phase<Value>(
    _ name: String, _ body: () async throws -> Value
  ) async throws -> Value {
    defer {
      let now = (ContinuousClock.now - start).inSeconds
      phases.append(.init(name: name, beganSeconds: end, seconds: now - end))
      end = now
    }
    return try await body()
  }

  /// The failure happens now: the next phase begins with it.
  mutating func fail() {
    let now = (ContinuousClock.now - start).inSeconds
    if phases.isEmpty {
      phases.append(.init(name: "preparation", beganSeconds: 0, seconds: now))
    } else {
      phases[phases.count - 1].seconds += now - end
    }
    end = now
    failureSeconds = now
  }

  /// From the failure to the end of the last phase: the sum of the phases since.
  var sinceFailure: Double? { failureSeconds.map { end - $0 } }
}
