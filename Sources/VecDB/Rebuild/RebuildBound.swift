import VecDBIndex

/// What a rebuild may cost while it cannot finish. As long as a second generation is built from the
/// first or follows it, by slot, no slot is used again, so every update takes a new one.
struct RebuildBound {
  /// Dead slots at which the rebuild is given up.
  var building: Int
  /// Dead slots at which the old generation is given up before the grace period ends.
  var grace: Int

  init(liveCount: Int, _ configuration: DatabaseConfiguration) {
    if let fixed = configuration.rebuildDeadSlots {
      (building, grace) = (fixed, fixed)
    } else {
      building = max(65_536, 3 * liveCount)
      grace = max(16_384, liveCount)
    }
  }

  /// Dead slots from which on the rebuild has all threads, at the ordinary priority.
  var pressing: Int { building / 3 }
}

extension Engine {
  /// Presses a rebuild that costs too much, and ends one that goes on doing so. For the writer, after
  /// each commit.
  func boundRebuilds() {
    // What ends a rebuild comes to a follower with the log.
    guard poison == nil, writeRefusal == nil else { return }
    for runtime in state.collections.values {
      guard let rebuild = runtime.rebuilds.withLock({ $0.state }) else { continue }
      let index = runtime.index
      let dead = index.assignedSlotCount - index.liveCount - index.freeSlotCount
      let bound = RebuildBound(liveCount: index.liveCount, configuration)
      let limit = rebuild.phase == .building ? bound.building : bound.grace
      if dead >= limit {
        end(runtime, rebuild, dead)
      } else if rebuild.phase == .building, dead >= bound.pressing {
        runtime.rebuilds.withLock { $0.isPressed = true }
      }
    }
  }

  private func end(_ runtime: CollectionRuntime, _ rebuild: RebuildState, _ dead: Int) {
    let isBuilding = rebuild.phase == .building
    let what =
      isBuilding
      ? "vecdb gave it up, because it did not keep up with the writes"
      : "vecdb gave up the old generation early"
    do {
      try endRebuild(runtime, rebuild, "\(what): \(dead) slots were dead and could not be reused")
    } catch {
      return unboundRebuilds.note(error, configuration.logger)
    }
    if isBuilding { telemetry.refusedRebuild() }
    configuration.logger.warning(
      "a rebuild was given up, since it costs too many slots",
      metadata: [
        "collection": "\(runtime.definition.name)", "reason": "\(what)",
        "deadSlots": "\(dead)", "liveRecords": "\(runtime.index.liveCount)",
      ])
  }
}
