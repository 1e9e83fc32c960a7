import VecDB

/// The stopwatch of a rehearsal: phases one after another.
struct DrillClock {
  private let start = ContinuousClock.now
  private(set) var phases: [DrillReport.Phase] = []
  private var failure: Double?

  var seconds: Double { (ContinuousClock.now - start).inSeconds }

  /// Runs a phase and notes how long it took.
  mutating func phase<Value>(
    _ name: String, _ body: () async throws -> Value
  ) async throws -> Value {
    let began = seconds
    defer {
      phases.append(.init(name: name, beganSeconds: began, seconds: seconds - began))
    }
    return try await body()
  }

  /// The failure happens now.
  mutating func fail() { failure = seconds }

  var sinceFailure: Double? { failure.map { seconds - $0 } }
}
