import Dispatch
import FoundationEssentials
import Glibc
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBThreads

/// Works on the rebuilds of a database, step by step, on threads of its own: at a low priority of
/// the scheduler while a candidate is built, at the ordinary one where others wait for it.
///
/// What it decides itself (swap, refusal, end of the grace period) it has the writer log; the
/// machine says what is next.
final class RebuildRunner: Companion {
  private enum Lane: Int, CaseIterable {
    case background
    case urgent
  }

  private struct State {
    var jobs: [UInt32: RebuildJob] = [:]
    var isRunning: [Bool] = [false, false]
    var isStopped = false
    var timer: RepeatingTimer?
  }

  /// What the scheduler takes from a thread of this niceness goes to searches and writes.
  private static let niceness: Int32 = 15
  /// Records that are applied in one step while catching up; and in the grace period, in which a
  /// rollback waits for the step that is under way.
  private static let followStep = 512
  private static let graceFollowStep = 32

  private let writer: Writer
  private let engine: Engine
  private let state = Guarded(State())
  private let threads = DispatchGroup()
  /// Makes the threads: one that is made by a thread of low priority has a low one, too.
  private let maker = SerialThread(name: "vecdb.rebuild")
  let advisor: RebuildAdvisor
  private let unadvised = RepeatedFailure(
    "cannot apply the policy for rebuilds", level: .warning)

  init(writer: Writer, engine: Engine) {
    self.writer = writer
    self.engine = engine
    advisor = RebuildAdvisor(policy: engine.configuration.rebuildPolicy)
  }

  /// Looks every few seconds whether a rebuild is worth it.
  func startAdvice() {
    guard advisor.policy != .off, engine.configuration.rebuildsInBackground else { return }
    let timer = RepeatingTimer(seconds: RebuildAdvisor.periodSeconds) { [weak self] in
      self?.advise()
    }
    state.withLock { $0.timer = timer }
  }

  /// Looks now; with the policy `on`, begins what is proposed.
  func advise() {
    guard !engine.shared.refusesWrites.load(ordering: .acquiring) else { return }
    for runtime in engine.shared.catalog.all where !isStopped {
      do {
        guard let reason = try advisor.advise(runtime, writer, engine), advisor.policy == .on
        else { continue }
        try writer.exclusivelyBlocking { engine in
          guard runtime.rebuilds.withLock({ $0.state }) == nil,
            !engine.mustFreeSlots(of: runtime)
          else { return }
          try engine.beginRebuild(runtime, RebuildOptions(), cause: .policy, reason: reason)
        }
        wake()
        unadvised.isOver(engine.configuration.logger)
      } catch {
        if !isStopped { unadvised.note(error, engine.configuration.logger) }
      }
    }
  }

  /// Takes up whatever the catalog has to be worked on. To be called when a rebuild was begun.
  func wake() {
    refreshJobs()
    if engine.configuration.rebuildsInBackground { startThreads() }
  }

  /// The job of a collection, if a rebuild is under way.
  func job(of runtime: CollectionRuntime) -> RebuildJob? {
    refreshJobs()
    return state.withLock { $0.jobs[runtime.id] }
  }

  /// Ends the threads after the step that they are in.
  func abandon() {
    state.withLock { state in
      state.isStopped = true
      state.timer?.cancel()
      state.timer = nil
      for job in state.jobs.values { job.leave() }
    }
  }

  /// As `abandon`, and returns when they have ended.
  func stop() async {
    abandon()
    await withCheckedContinuation { continuation in
      threads.notify(queue: .global()) { continuation.resume() }
    }
  }

  private var isStopped: Bool { state.withLock { $0.isStopped } }

  private func refreshJobs() {
    let runtimes = engine.shared.catalog.all
    state.withLock { state in
      var jobs: [UInt32: RebuildJob] = [:]
      for runtime in runtimes {
        guard let rebuild = runtime.rebuilds.withLock({ $0.state }) else { continue }
        if let known = state.jobs[runtime.id], known.number == rebuild.number,
          known.runtime === runtime
        {
          jobs[runtime.id] = known
        } else {
          let job = RebuildJob(runtime, rebuild, engine.tracing)
          runtime.latency.observe()
          jobs[runtime.id] = job
        }
      }
      for (id, job) in state.jobs where jobs[id] !== job {
        job.runtime.latency.stopObserving()
        job.leave()
      }
      state.jobs = jobs
    }
  }

  // MARK: Threads

  private func startThreads() {
    for lane in Lane.allCases {
      let mustStart = state.withLock { state in
        guard !state.isStopped, !state.isRunning[lane.rawValue],
          state.jobs.values.contains(where: { $0.isUrgent == (lane == .urgent) })
        else { return false }
        state.isRunning[lane.rawValue] = true
        return true
      }
      guard mustStart else { continue }
      threads.enter()
      maker.async { [self] in
        LowPriorityThread.serve("vecdb.rebuild") { [self] in
          if lane == .background { ThreadPriority.yieldToOthers(niceness: Self.niceness) }
          run(lane)
          threads.leave()
        }
      }
    }
  }

  private func run(_ lane: Lane) {
    while true {
      refreshJobs()
      let mine = state.withLock { state -> [RebuildJob] in
        let mine = state.jobs.values.filter { $0.isUrgent == (lane == .urgent) }
        if mine.isEmpty || state.isStopped { state.isRunning[lane.rawValue] = false }
        return state.isStopped ? [] : mine
      }
      // What changed lanes is taken up by the other one's thread.
      guard !mine.isEmpty else { return startThreads() }
      var rest = Int.max
      for job in mine where !isStopped { rest = min(rest, step(job)) }
      if rest > 0 { wait(milliseconds: rest) }
      startThreads()
    }
  }

  private func wait(milliseconds: Int) {
    var left = milliseconds
    while left > 0, !isStopped {
      usleep(UInt32(min(left, 20)) * 1_000)
      left -= 20
    }
  }

  /// Does the next step of every rebuild on the calling thread; false if there is none. For tests,
  /// with the background threads turned off.
  func stepAll() -> Bool {
    refreshJobs()
    let jobs = state.withLock { Array($0.jobs.values) }
    for job in jobs { _ = step(job) }
    return !jobs.isEmpty
  }

  // MARK: Steps

  /// One step of a rebuild. Returns for how many milliseconds to leave it alone.
  private func step(_ job: RebuildJob) -> Int {
    do {
      guard let (observed, rebuild, other) = try job.observe(now: Engine.nowMilliseconds())
      else { return 0 }
      var seen = observed
      seen.isFollower = engine.shared.refusesWrites.load(ordering: .acquiring)
      let action = job.live.withLock { $0.machine.next(seen) }
      let started = DispatchTime.now().uptimeNanoseconds
      try perform(action, job, rebuild, other)
      job.live.withLock { live in
        live.trouble = ""
        live.troubleBegan = nil
      }
      if case .rest(let milliseconds) = action { return milliseconds }
      guard case .insert = action else { return 0 }
      return try pauseForRate(job, before: seen.inserted, other, started)
    } catch {
      let text = "\(VecDBError(wrapping: error))"
      let isNew = job.live.withLock { live in
        defer { live.trouble = text }
        if live.troubleBegan == nil { live.troubleBegan = .now }
        return live.trouble != text
      }
      if isNew, !isStopped {
        engine.configuration.logger.warning(
          "a rebuild is held up",
          metadata: ["collection": "\(job.runtime.definition.name)", "error": "\(text)"])
      }
      return 500
    }
  }

  private func perform(
    _ action: RebuildMachine.Action, _ job: RebuildJob, _ rebuild: RebuildState,
    _ other: Generation
  ) throws {
    let runtime = job.runtime
    let (budget, isBoosted) = job.live.withLock { ($0.budget, $0.isBoosted) }
    let threads = isBoosted || job.isPressed ? engine.configuration.resolvedThreads : budget.threads
    switch action {
    case .adopt:
      let leader = runtime.index
      try change(other, job) { index in
        index.threads = threads
        _ = try index.adopt(
          leader, at: rebuild.origin, count: Int(rebuild.slotCount),
          limit: CollectionRuntime.adoptionStep)
      }
    case .insert:
      try change(other, job) { index in
        index.threads = threads
        _ = try index.insertAdopted(at: rebuild.origin)
      }
    case .follow:
      try change(other, job) { index in
        index.threads = threads
        let leader = runtime.index
        _ = try index.follow(
          leader, through: leader.view().lsn,
          limit: rebuild.phase == .grace ? Self.graceFollowStep : Self.followStep)
      }
    case .checkpoint:
      job.live.withLock { live in
        live.savedDone = live.done
        live.savedNanoseconds = DispatchTime.now().uptimeNanoseconds
      }
      try checkpoint()
      job.live.withLock { $0.machine.noteCheckpoint() }
    case .judge: try judge(job, rebuild, other)
    case .swap: try swap(job, rebuild, other)
    case .drop(let reason):
      job.runtime.rebuilds.withLock { $0.refusedByGate = rebuild.number }
      try end(job, rebuild, "the gate refused it: \(reason)")
    case .retire: try end(job, rebuild, "")
    case .rest: break
    }
  }

  /// Changes the generation that does not serve, if it still does not.
  private func change(
    _ other: Generation, _ job: RebuildJob, _ body: (IndexGeneration) throws -> Void
  ) throws {
    try other.step { index in
      guard job.state != nil, job.runtime.rebuilds.withLock({ $0.other }) === other else { return }
      try body(index)
    }
  }

  private func pauseForRate(
    _ job: RebuildJob, before: Int, _ other: Generation, _ started: UInt64
  ) throws -> Int {
    guard let rate = job.live.withLock({ $0.budget.recordsPerSecond }) else { return 0 }
    let inserted = other.index.graphSlotCount - before
    let spent = Int((DispatchTime.now().uptimeNanoseconds - started) / 1_000_000)
    return max(0, inserted * 1_000 / rate - spent)
  }

  /// Writes what the arrays are now, whether there are new batches or not.
  private func checkpoint() throws {
    while true {
      let started = try writer.exclusivelyBlocking { try $0.startCheckpoint(always: true) }
      guard let (job, isNew) = started else { return }
      let outcome = job.outcome(waiting: true)
      try writer.exclusivelyBlocking { $0.awaitCheckpoint() }
      // One that was running already has an older state.
      guard isNew else { continue }
      _ = try outcome?.get()
      return
    }
  }

  // MARK: Gate, swap, end

  private func judge(_ job: RebuildJob, _ rebuild: RebuildState, _ other: Generation) throws {
    let leader = job.runtime.index
    let view = leader.view()
    try change(other, job) { index in
      _ = try index.follow(leader, through: view.lsn)
      index.publish(lsn: view.lsn)
    }
    // The writer may take the candidate only for a swap, which comes after this.
    let report = try RebuildJudge(
      gate: rebuild.plan.gate, old: leader, new: other.index
    ) { [weak self] in self?.isStopped ?? true }.judge(
      oldView: view, newView: other.index.view())
    job.live.withLock { $0.report = report }
    let logger = engine.configuration.logger
    let name = job.runtime.definition.name
    if report.isPassed {
      logger.debug(
        "a rebuild passed its gate",
        metadata: [
          "collection": "\(name)", "generation": "\(rebuild.number)",
          "recall": "\(report.newRecall)", "recallBefore": "\(report.oldRecall)",
          "searchMicroseconds": "\(report.newMicroseconds)",
          "searchMicrosecondsBefore": "\(report.oldMicroseconds)",
        ])
    } else {
      engine.telemetry.refusedRebuild()
      logger.info(
        "the gate refused a rebuild",
        metadata: [
          "collection": "\(name)", "generation": "\(rebuild.number)",
          "reason": "\(report.refusals.joined(separator: "; "))",
        ])
    }
  }

  private func swap(_ job: RebuildJob, _ rebuild: RebuildState, _ other: Generation) throws {
    let runtime = job.runtime
    let refusals = try writer.exclusivelyBlocking { engine -> [String] in
      guard job.state == rebuild, runtime.rebuilds.withLock({ $0.other }) === other else {
        return []
      }
      let lsn = engine.state.lsn
      try runtime.complete(other, rebuild, through: lsn)
      let leader = runtime.index
      let (digest, refusals) = other.exclusively { index in
        (
          other.graphDigest(at: lsn),
          index.dataDigest == leader.dataDigest && index.liveCount == leader.liveCount
            ? []
            : [
              "its data digest is not that of the old generation (\(index.liveCount) live records "
                + "and \(leader.liveCount))"
            ]
        )
      }
      guard refusals.isEmpty else { return refusals }
      _ = try engine.write([
        RebuildBatch.swap(lsn: lsn, digest: digest).encode(runtime.header(rebuild.number))
      ])
      engine.telemetry.swapped()
      engine.configuration.logger.debug(
        "a rebuilt index serves",
        metadata: [
          "collection": "\(runtime.definition.name)", "generation": "\(rebuild.number)",
          "lsn": "\(engine.state.lsn)",
        ])
      return []
    }
    guard refusals.isEmpty else {
      return job.live.withLock { $0.report?.refusals = refusals }
    }
    if let state = job.state, state.phase == .grace {
      job.serves(from: state.swapLSN)
      try checkpoint()
    }
  }

  private func end(_ job: RebuildJob, _ rebuild: RebuildState, _ reason: String) throws {
    try writer.exclusivelyBlocking { engine in
      guard job.state == rebuild else { return }
      try engine.endRebuild(job.runtime, rebuild, reason)
    }
    try returnSpace()
  }

  /// Writes checkpoints until the packs are gone of which the state without the generation that was
  /// given up needs little or nothing: one empties them, one more lets the manifest go that still
  /// needs them. Ends earlier if one takes none of them away, as while a backup holds them.
  func returnSpace() throws {
    try checkpoint()
    var left = try engine.blocks.mostlyDeadPacks()
    var vain = 0
    while !left.isEmpty, vain < 2 {
      try checkpoint()
      let rest = engine.blocks.stillThere(of: left)
      vain = rest == left ? vain + 1 : 0
      left = rest
    }
  }
}

extension Database {
  /// Works on rebuilds that are under way.
  var rebuilds: RebuildRunner {
    companions.find { RebuildRunner(writer: writer, engine: engine) }
  }
}
