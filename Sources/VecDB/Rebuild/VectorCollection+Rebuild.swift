import Dispatch
import VecDBBytes
import VecDBIndex
import VecDBThreads

/// Rebuilding the index while it serves.
extension VectorCollection {
  /// Builds a new generation of the index with other parameters beside the one that serves, and
  /// returns when it serves.
  ///
  /// The new generation is built in the background from the state at one LSN, catches up from then
  /// on, is measured against the old one (see ``RebuildGate``), and takes over between two batches:
  /// each search sees one generation or the other. Searches and writes go on all the time. The old
  /// generation is kept caught up for ``RebuildOptions/grace``, during which
  /// ``rollBackRebuild(reason:)`` is instant.
  ///
  /// The rebuild is part of the log: after a crash, or in a restored copy, it goes on when the
  /// database is opened. Ending the task that waits here does not end the rebuild. Called again with
  /// the same options while it is being built, this waits for it.
  ///
  /// Cost: the memory of a second index and the time to build one, on
  /// ``RebuildBudget/threads`` threads.
  /// - Throws: `alreadyExists` if another rebuild is under way, `limitExceeded` if the new generation
  ///   would not fit the budget, `verificationFailed` if the gate refuses it, naming what and by
  ///   how much, `cancelled`, `notReached` where it has been held up for half a minute, `poisoned`.
  ///   In all these cases the old generation serves on.
  @discardableResult
  public func rebuild(
    _ options: RebuildOptions = RebuildOptions(),
    progress: (@Sendable (RebuildStatus) -> Void)? = nil
  ) async throws -> RebuildReport {
    try await VecDBError.translating {
      let generation = try await beginRebuild(options, joining: true)
      return try await waitForRebuild(generation: generation, progress: progress)
    }
  }

  /// As ``rebuild(_:progress:)``, and returns at once. It does not take one that is being built for
  /// the one that is asked for.
  @discardableResult
  public func beginRebuild(
    _ options: RebuildOptions = RebuildOptions()
  ) async throws -> RebuildStatus {
    try await VecDBError.translating {
      _ = try await beginRebuild(options, joining: false)
      return try rebuildStatus()
    }
  }

  private static let longestWait = Duration.seconds(60)
  /// When maintenance took no step for so long, none is expected.
  private static let idleTime = Duration.seconds(1)

  /// Lets maintenance have its turn: dead slots are freed only between rebuilds.
  private func beginRebuild(_ options: RebuildOptions, joining: Bool) async throws -> UInt32 {
    try VecDBError.translating { try requireUsable() }
    let runtime = runtime
    let giveUp = ContinuousClock.now + Self.longestWait
    var progress = (steps: 0, moment: ContinuousClock.now)
    while true {
      let now = ContinuousClock.now
      let mayWait = now < giveUp && now - progress.moment < Self.idleTime
      let (generation, steps) = try await database.writer.exclusively { engine -> (UInt32?, Int) in
        let steps = engine.maintainer.stepCount
        if mayWait, engine.mustFreeSlots(of: runtime) { return (nil, steps) }
        let generation = try engine.beginRebuild(
          runtime, options, cause: .request, reason: "requested", joining: joining)
        return (generation, steps)
      }
      if let generation {
        database.rebuilds.wake()
        return generation
      }
      if steps != progress.steps { progress = (steps, now) }
      try await Task.sleep(nanoseconds: 20_000_000)
    }
  }

  /// Waits until that generation serves.
  func waitForRebuild(
    generation: UInt32, progress: (@Sendable (RebuildStatus) -> Void)?
  ) async throws -> RebuildReport {
    let started = DispatchTime.now()
    while true {
      try VecDBError.translating { try requireUsable() }
      if let poison = database.engine.shared.poison.withLock({ $0 }) { throw poison }
      let status = try rebuildStatus()
      progress?(status)
      let (state, outcome, served) = runtime.rebuilds.withLock {
        ($0.state, $0.outcome, $0.lastServed)
      }
      if let state, state.number == generation {
        if state.phase == .grace { return report(state, status, since: started) }
        try requireProgress()
        if status.stage == .refused, let gate = status.gate {
          throw refused(gate.refusals.joined(separator: "; "), "Cancel it when you are done.")
        }
      } else if let served, served.number == generation, outcome?.kind == .retired {
        // The grace period was over before this looked.
        return report(served, status, since: started)
      } else {
        let reason = outcome.map { $0.number == generation ? $0.reason : "" } ?? ""
        guard runtime.rebuilds.withLock({ $0.refusedByGate }) == generation else {
          throw VecDBError(.cancelled, "the rebuild was ended: \(reason)", at: name)
        }
        throw refused(reason, "Rebuild with other parameters or another gate.")
      }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
  }

  /// Throws where the rebuild has been held up for long.
  private func requireProgress() throws {
    guard let job = database.rebuilds.job(of: runtime) else { return }
    let (trouble, began) = job.live.withLock { ($0.trouble, $0.troubleBegan) }
    let patience = Duration.milliseconds(database.engine.configuration.rebuildPatienceMilliseconds)
    guard let began, ContinuousClock.now - began > patience else { return }
    throw VecDBError(
      .notReached, "the rebuild is held up: \(trouble)", at: name,
      remedy: "It continues by itself when it can. See `--status`, or end it with `--cancel`.")
  }

  private func refused(_ reason: String, _ remedy: String) -> VecDBError {
    VecDBError(
      .verificationFailed, reason, at: name, remedy: "The old generation still serves. " + remedy)
  }

  private func report(
    _ state: RebuildState, _ status: RebuildStatus, since started: DispatchTime
  ) -> RebuildReport {
    let elapsed = started.elapsedNanoseconds
    return RebuildReport(
      collection: name, generation: state.number, m: state.plan.options.m,
      efConstruction: state.plan.options.efConstruction, originLSN: state.origin,
      swapLSN: state.swapLSN, records: count, seconds: Double(elapsed) / 1e9,
      graceSeconds: state.plan.graceSeconds, gate: status.gate)
  }

  /// Where the rebuild stands, from any thread.
  public func rebuildStatus() throws -> RebuildStatus {
    try VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      let rebuilds = runtime.rebuilds.withLock { $0 }
      var status = RebuildStatus(
        collection: name, stage: .none, generation: runtime.generation.number,
        m: runtime.options.m, efConstruction: runtime.options.efConstruction, originLSN: 0, done: 0,
        total: 0, recordsPerSecond: 0, secondsLeft: nil, lag: 0, isPaused: false,
        searchMilliseconds: nil, budget: nil, graceSecondsLeft: nil, reason: "", gate: nil,
        lastOutcome: rebuilds.outcome?.text ?? "",
        proposal: database.rebuilds.advisor.proposal(for: runtime) ?? "")
      guard let state = rebuilds.state, let job = database.rebuilds.job(of: runtime) else {
        return status
      }
      let live = job.live.withLock { $0 }
      status.stage =
        state.phase == .grace ? .grace : RebuildStage(rawValue: live.machine.stage.rawValue)
      status.generation = state.number
      status.m = state.plan.options.m
      status.efConstruction = state.plan.options.efConstruction
      status.originLSN = state.origin
      (status.done, status.total) = (live.done, max(live.total, Int(state.slotCount)))
      status.lag = live.lag
      status.isPaused = live.isTooSlow
      status.searchMilliseconds = live.searchMilliseconds
      status.budget = live.budget
      status.reason = live.trouble.isEmpty ? state.plan.reason : "held up: \(live.trouble)"
      status.gate = live.report
      switch state.phase {
      case .building:
        status.recordsPerSecond = live.recordsPerSecond
        if live.machine.stage == .building, live.recordsPerSecond > 0 {
          status.secondsLeft = Double(status.total - status.done) / live.recordsPerSecond
        }
      case .grace:
        let end = state.swappedMilliseconds &+ Int64(state.plan.graceSeconds) * 1_000
        status.graceSecondsLeft = max(0, Double(end &- Engine.nowMilliseconds()) / 1_000)
      }
      return status
    }
  }

  /// Changes what the running rebuild may take, from its next step on.
  public func setRebuildBudget(_ budget: RebuildBudget) throws {
    try VecDBError.translating {
      try VecDBError.translating {
        try requireUsable()
        try budget.requireValid(at: name)
      }
      guard let job = database.rebuilds.job(of: runtime) else { throw noRebuild() }
      job.live.withLock { $0.budget = budget }
    }
  }

  /// Gives the candidate up. The index that serves was never touched.
  ///
  /// - Throws: `notFound` if none is being built.
  @discardableResult
  public func cancelRebuild() async throws -> Receipt {
    try await VecDBError.translating {
      try await endRebuild(.building, reason: "cancelled on request")
    }
  }

  /// Gives the old generation up before the grace period ends; its memory and disk space are
  /// returned.
  ///
  /// - Throws: `notFound` if none is kept.
  @discardableResult
  public func retireRebuild() async throws -> Receipt {
    try await VecDBError.translating {
      try await endRebuild(.grace, reason: "retired on request")
    }
  }

  private func endRebuild(_ phase: RebuildState.Phase, reason: String) async throws -> Receipt {
    try VecDBError.translating { try requireUsable() }
    let runtime = runtime
    let missing = noRebuild()
    let receipt = try await database.writer.exclusively { engine in
      guard let state = runtime.rebuilds.withLock({ $0.state }), state.phase == phase else {
        throw missing
      }
      try engine.endRebuild(runtime, state, reason)
      return engine.receipt
    }
    try await database.returnSpaceOfRebuild()
    return receipt
  }

  /// Makes the old generation serve again, which takes milliseconds, and gives the new one up.
  ///
  /// Nothing that was written is lost: the old generation was kept caught up.
  /// - Throws: `notFound` outside the grace period; `limitExceeded` for a reason of more than 4,096
  ///   bytes.
  @discardableResult
  public func rollBackRebuild(reason: String = "on request") async throws -> Receipt {
    try await VecDBError.translating {
      try VecDBError.translating { try requireUsable() }
      guard reason.utf8.count <= RebuildBatch.maximumReasonBytes else {
        throw VecDBError(
          .limitExceeded, "the reason has \(reason.utf8.count) bytes of UTF-8", at: name,
          remedy: "Use at most \(RebuildBatch.maximumReasonBytes) bytes.")
      }
      let runtime = runtime
      let missing = noRebuild()
      let receipt = try await database.writer.exclusively { engine in
        let (rebuild, other) = runtime.rebuilds.withLock { ($0.state, $0.other) }
        guard let state = rebuild, state.phase == .grace else { throw missing }
        if let problem = other?.index.prover?.failure {
          throw VecDBError(
            .corrupt, "the old generation is damaged: \(problem)", at: runtime.definition.name,
            remedy: "Retire it; this does not affect the new one.")
        }
        _ = try engine.write([
          RebuildBatch.rollback(reason: reason).encode(runtime.header(state.number))
        ])
        engine.telemetry.rolledBack()
        engine.configuration.logger.info(
          "a rebuild was rolled back",
          metadata: [
            "collection": "\(runtime.definition.name)", "generation": "\(state.previous)",
            "reason": "\(reason)",
          ])
        return engine.receipt
      }
      database.returnSpaceOfRebuildInBackground()
      return receipt
    }
  }

  private func noRebuild() -> VecDBError {
    VecDBError(
      .notFound, "there is no rebuild in that stage", at: name,
      remedy: "`vecdb rebuild DB COLL --status` prints the stage.")
  }
}

extension Database {
  /// Has the disk space of a generation that was given up returned.
  func returnSpaceOfRebuild() async throws {
    let runner = rebuilds
    do { try await onBackground { try runner.returnSpace() } } catch {
      throw VecDBError(wrapping: error)
    }
  }

  func returnSpaceOfRebuildInBackground() {
    guard engine.configuration.rebuildsInBackground else { return }
    let runner = rebuilds
    let logger = engine.configuration.logger
    DispatchQueue.global(qos: .utility).async {
      do { try runner.returnSpace() } catch {
        logger.info(
          "a later checkpoint will free the space of a generation",
          metadata: ["error": "\(error)"])
      }
    }
  }
}

extension CollectionRuntime {
  /// Throws `invalidArgument` or `limitExceeded`.
  func plan(
    _ wanted: RebuildOptions, cause: RebuildPlan.Cause, reason: String
  ) throws -> RebuildPlan {
    try wanted.requireValid(at: definition.name)
    let new = RebuildAlternative(
      m: wanted.m, efConstruction: wanted.efConstruction, codes: wanted.codes
    ).resolved(over: options)
    do { _ = try definition.indexParameters(with: new) } catch {
      throw VecDBError(.invalidArgument, "\(error)", at: definition.name)
    }
    let needed = index.sizeBytes + max(0, (new.m - options.m) * 8 * index.assignedSlotCount)
    if let limit = wanted.budget.memoryBytes, needed > limit {
      throw VecDBError(
        .limitExceeded,
        "the new generation would need about \(needed) bytes; the budget allows \(limit)",
        at: definition.name, remedy: "Raise the budget's memory, or choose a smaller M.")
    }
    return RebuildPlan(wanted, index: new, cause: cause, reason: reason)
  }
}
