extension Engine {
  /// Logs the begin of a rebuild, and returns its generation. For the writer.
  ///
  /// - Parameter joining: whether one that was begun with the same choices and is being built will do.
  /// - Throws: `alreadyExists`, `invalidArgument`, `limitExceeded`.
  @discardableResult
  func beginRebuild(
    _ runtime: CollectionRuntime, _ options: RebuildOptions, cause: RebuildPlan.Cause,
    reason: String, joining: Bool = false
  ) throws -> UInt32 {
    try runtime.requireLive()
    let name = runtime.definition.name
    if let running = runtime.rebuilds.withLock({ $0.state }) {
      if joining, running.phase == .building {
        let plan = try runtime.plan(options, cause: cause, reason: reason)
        if plan == running.plan { return running.number }
      }
      throw VecDBError(
        .alreadyExists,
        running.phase == .building
          ? "generation \(running.number) is being built"
          : "generation \(running.number) serves, and vecdb keeps the old one for a rollback",
        at: name,
        remedy: running.phase == .building
          ? "Wait for it, or cancel it." : "Retire the old generation first, or roll back.")
    }
    let plan = try runtime.plan(options, cause: cause, reason: reason)
    let number = runtime.rebuilds.withLock { $0.lastNumber } + 1
    _ = try write([RebuildBatch.begin(plan).encode(runtime.header(number))])
    telemetry.beganRebuild()
    configuration.logger.debug(
      "a rebuild begins",
      metadata: [
        "collection": "\(name)", "generation": "\(number)", "m": "\(plan.options.m)",
        "efConstruction": "\(plan.options.efConstruction)", "reason": "\(reason)",
      ])
    return number
  }

  /// Whether a rebuild has to wait for maintenance: what is dead would stay so until its end.
  func mustFreeSlots(of runtime: CollectionRuntime) -> Bool {
    poison == nil && refusal == nil && runtime.rebuilds.withLock({ $0.state }) == nil
      && maintainer.hasWork(runtime, configuration)
  }

  /// Logs that two collections exchange their names; returns the batch's LSN. For the writer.
  func exchange(_ first: CollectionRuntime, _ second: CollectionRuntime) throws -> UInt64 {
    for collection in [first, second] where collection.rebuilds.withLock({ $0.state }) != nil {
      throw VecDBError(
        .alreadyExists, "a rebuild is under way", at: collection.definition.name,
        remedy: "Wait for it, cancel it, or retire the old generation.")
    }
    let header = RebuildBatch.Header(
      collection: first.id, number: second.id, timeMilliseconds: Self.nowMilliseconds())
    _ = try write([RebuildBatch.exchange.encode(header)])
    return state.lsn
  }

  /// Logs the end of a rebuild: its candidate, or the old generation, is given up. For the writer.
  func endRebuild(
    _ runtime: CollectionRuntime, _ rebuild: RebuildState, _ reason: String
  ) throws {
    // Reasons are for people, and limited in the format.
    let short = String(decoding: Array(reason.utf8.prefix(2_000)), as: UTF8.self)
    _ = try write([RebuildBatch.retire(reason: short).encode(runtime.header(rebuild.number))])
  }
}

extension CollectionRuntime {
  func header(_ number: UInt32) -> RebuildBatch.Header {
    RebuildBatch.Header(
      collection: id, number: number, timeMilliseconds: Engine.nowMilliseconds())
  }

  /// When it was last exchanged with another one; 0 if never.
  var exchangedLSN: UInt64 {
    rebuilds.withLock { $0.outcome }.flatMap { $0.kind == .moved ? $0.lsn : nil } ?? 0
  }
}
