import Dispatch
import VecDBBytes
import VecDBIndex

/// A rebuild as this process works on it: what is not in the log, since it can be found out again.
final class RebuildJob: Sendable {
  struct Live: Sendable {
    var machine = RebuildMachine()
    var budget: RebuildBudget
    var report: RebuildGateReport?
    /// Failing to keep up with the writes: catching up goes on at full speed.
    var isBoosted = false
    var lagBefore: (lag: UInt64, nanoseconds: UInt64)?
    // The searches' times.
    var latencyBefore: (counts: [Int], nanoseconds: UInt64)?
    var searchMilliseconds: Double?
    var isTooSlow = false
    // Progress.
    var stageBegan: (stage: RebuildMachine.Stage, done: Int, nanoseconds: UInt64)?
    var done = 0
    var total = 0
    var lag: UInt64 = 0
    var recordsPerSecond = 0.0
    /// Records done when the candidate was checkpointed last.
    var savedDone = 0
    var savedNanoseconds: UInt64 = 0
    /// What went wrong last, and is tried again.
    var trouble = ""
    /// Since when it goes wrong.
    var troubleBegan: ContinuousClock.Instant?
  }

  let runtime: CollectionRuntime
  let number: UInt32
  let live: Guarded<Live>
  /// From where this process took it up until it serves or is given up; nil if nobody listens, and
  /// for one that serves already.
  private let span: OperationSpan?

  init(_ runtime: CollectionRuntime, _ state: RebuildState, _ tracing: DatabaseTracing) {
    self.runtime = runtime
    span =
      state.phase == .building
      ? tracing.begin("rebuild", collection: runtime.definition.name) : nil
    span?.note("vecdb.rebuild.generation", Int64(state.number))
    span?.note("vecdb.rebuild.reason", state.plan.reason)
    number = state.number
    live = Guarded(Live(budget: state.plan.budget))
  }

  /// The new generation serves from this LSN on.
  func serves(from lsn: UInt64) {
    span?.note("vecdb.lsn", Int64(clamping: lsn))
    span?.end()
  }

  /// Nobody works on it any more. Without an outcome of its own the process merely stops.
  func leave() {
    let outcome = runtime.rebuilds.withLock { $0.outcome }
    if let outcome, outcome.number == number, outcome.kind == .dropped {
      span?.fail(VecDBError(.verificationFailed, "the rebuild was ended: \(outcome.reason)"))
    }
    span?.end()
  }

  /// The rebuild in the log, if it is still this one.
  var state: RebuildState? {
    runtime.rebuilds.withLock { $0.state }.flatMap { $0.number == number ? $0 : nil }
  }

  /// Whether it works at the ordinary priority: to keep the old generation caught up, and where it
  /// falls behind the writes.
  var isUrgent: Bool {
    state?.phase == .grace || live.withLock { $0.isBoosted } || isPressed
  }

  /// Whether it costs so much that it gets what it needs.
  var isPressed: Bool { runtime.rebuilds.withLock { $0.isPressed } }

  // MARK: What is seen before a step

  /// Nil if the rebuild has ended. Makes the candidate if there is none yet.
  func observe(now: Int64) throws -> (
    observation: RebuildMachine.Observation, state: RebuildState, other: Generation
  )? {
    guard let state else { return nil }
    let other: Generation
    switch state.phase {
    case .building:
      let found = try runtime.makeCandidate(state)
      // Damage in what was checkpointed of it: it is derived, and begun anew.
      if found.index.prover?.failure != nil {
        runtime.dropCandidate(found)
        live.withLock { $0.report = nil }
        other = try runtime.makeCandidate(state)
      } else {
        other = found
      }
    case .grace:
      guard let old = runtime.rebuilds.withLock({ $0.other }) else { return nil }
      other = old
    }
    let shown = runtime.index.view().lsn
    let (applied, adopted, inserted) = other.step {
      ($0.appliedLSN, $0.assignedSlotCount, $0.graphSlotCount)
    }
    var seen = RebuildMachine.Observation(phase: state.phase, slots: Int(state.slotCount))
    seen.adopted = adopted
    seen.inserted = inserted
    seen.isAtOrigin = state.phase == .grace || applied >= state.origin
    seen.lag = shown > applied ? shown - applied : 0
    seen.keepsRefused = state.plan.keepsRefused
    seen.graceLeftMilliseconds =
      state.swappedMilliseconds &+ Int64(state.plan.graceSeconds) * 1_000 &- now
    live.withLock { live in
      seen.passed = live.report?.isPassed
      seen.refusal = live.report?.refusals.joined(separator: "; ") ?? ""
      seen.isTooSlow = live.isTooSlow
      live.note(seen)
      seen.isCheckpointDue = live.isCheckpointDue
    }
    if state.phase == .building { watchSearches() }
    return (seen, state, other)
  }

  /// Reads how long searches take, once a second.
  private func watchSearches() {
    let now = DispatchTime.now().uptimeNanoseconds
    let counts = runtime.latency.snapshot()
    live.withLock { live in
      guard let before = live.latencyBefore else {
        live.latencyBefore = (counts, now)
        return
      }
      guard now - before.nanoseconds > 1_000_000_000 else { return }
      live.latencyBefore = (counts, now)
      live.searchMilliseconds = SearchLatency.percentile99(from: before.counts, to: counts)
      guard let limit = live.budget.pauseAboveMilliseconds else {
        live.isTooSlow = false
        return
      }
      live.isTooSlow = (live.searchMilliseconds ?? 0) > limit
    }
  }
}

extension RebuildJob.Live {
  /// Takes down how far it is and how fast.
  fileprivate mutating func note(_ seen: RebuildMachine.Observation) {
    let now = DispatchTime.now().uptimeNanoseconds
    lag = seen.lag
    total = seen.slots
    done = seen.isAtOrigin ? seen.slots : seen.adopted < seen.slots ? seen.adopted : seen.inserted
    if stageBegan?.stage != machine.stage || (stageBegan?.done ?? 0) > done {
      stageBegan = (machine.stage, done, now)
      if savedNanoseconds == 0 { savedNanoseconds = now }
    }
    if let began = stageBegan, now > began.nanoseconds {
      recordsPerSecond = Double(done - began.done) * 1e9 / Double(now - began.nanoseconds)
    }
    guard machine.stage == .catchingUp else {
      lagBefore = nil
      return
    }
    guard let before = lagBefore else {
      lagBefore = (lag, now)
      return
    }
    // Three seconds without getting nearer.
    if now - before.nanoseconds > 3_000_000_000 {
      isBoosted = lag * 10 > before.lag * 9
      lagBefore = (lag, now)
    }
  }

  /// After every eighth of the graph, but not more often than every ten seconds of building, which is
  /// what a crash costs at most: building waits meanwhile.
  fileprivate var isCheckpointDue: Bool {
    machine.stage == .building && (done - savedDone) * 8 >= max(1, total)
      && DispatchTime.now().uptimeNanoseconds - savedNanoseconds > Self.checkpointNanoseconds
  }

  private static let checkpointNanoseconds: UInt64 = 10_000_000_000
}
