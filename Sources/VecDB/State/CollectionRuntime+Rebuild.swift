import VecDBBytes
import VecDBFiles
import VecDBIndex

/// What a collection has beside the generation that serves.
struct Rebuilds: Sendable {
  /// The highest generation number given out.
  var lastNumber: UInt32 = 1
  /// The rebuild that is under way, as the log defines it.
  var state: RebuildState?
  /// The generation that does not serve: the candidate while it is built (nil until its building
  /// began here), the old one in the grace period. It may lag behind the log; what it lacks is
  /// taken from the serving generation whenever it is needed.
  var other: Generation?
  /// How the last rebuild ended.
  var outcome: RebuildOutcome?
  /// Trials that are reading slots.
  var slotHolds = 0
  /// The rebuild whose generation served last, as this process saw it begin to.
  var lastServed: RebuildState?
  /// The candidate that the gate of this process refused last.
  var refusedByGate: UInt32?
  /// Whether the rebuild costs so many slots that it must get on.
  var isPressed = false

  /// The number and options of `other`, whether it is there or not.
  var otherIdentity: (number: UInt32, options: IndexOptions)? {
    state.map { state in
      switch state.phase {
      case .building: (state.number, state.plan.options)
      case .grace: (state.previous, state.previousOptions)
      }
    }
  }
}

// MARK: Apply

extension CollectionRuntime {
  /// Whether dead slots may be freed: not while a second generation is built from or follows the
  /// first, which it does by slot. Slots that are free already may be taken all the while.
  var maySlotsBeFreed: Bool {
    rebuilds.withLock { $0.state == nil && $0.slotHolds == 0 }
  }

  /// Keeps dead slots from being freed while a trial reads them.
  func holdSlots() throws {
    let isFree = rebuilds.withLock { rebuilds in
      guard rebuilds.state == nil else { return false }
      rebuilds.slotHolds += 1
      return true
    }
    guard isFree else {
      throw VecDBError(
        .alreadyExists, "a rebuild is under way", at: definition.name,
        remedy: "Wait for it, cancel it, or retire the old generation.")
    }
  }

  func releaseSlots() { rebuilds.withLock { $0.slotHolds -= 1 } }

  /// Applies a batch that concerns a rebuild. A pure function of this collection's state and the
  /// batch: what the candidate still lacks, up to all of it, is built here.
  func apply(_ batch: RebuildBatch, _ header: RebuildBatch.Header, lsn: UInt64) throws {
    switch batch {
    case .begin(let plan): try begin(plan, header, lsn: lsn)
    case .swap(let digestLSN, let digest):
      let state = try requireRebuild(header, .building, lsn: lsn)
      guard digestLSN == lsn - 1 else { throw mismatch("the swap is for LSN \(digestLSN)", lsn) }
      try swap(state, digest, header, lsn: lsn)
    case .rollback(let reason):
      let state = try requireRebuild(header, .grace, lsn: lsn)
      try rollBack(state, header, lsn: lsn, reason: reason)
    case .exchange: throw mismatch("an exchange concerns two collections", lsn)
    case .retire(let reason):
      let state = try requireRebuild(header, nil, lsn: lsn)
      end(
        header, lsn: lsn, reason: reason, kind: state.phase == .building ? .dropped : .retired)
    }
  }

  private func begin(_ plan: RebuildPlan, _ header: RebuildBatch.Header, lsn: UInt64) throws {
    let serving = generation
    let number = rebuilds.withLock { $0.state == nil ? $0.lastNumber + 1 : 0 }
    guard number == header.number,
      (try? definition.indexParameters(with: plan.options)) != nil
    else { throw mismatch("a rebuild of generation \(header.number) cannot begin", lsn) }
    let state = RebuildState(
      number: number, previous: serving.number, previousOptions: serving.options, origin: lsn,
      slotCount: slotCount, plan: plan, beganMilliseconds: header.timeMilliseconds)
    rebuilds.withLock { rebuilds in
      rebuilds.lastNumber = number
      rebuilds.state = state
      rebuilds.other = nil
    }
  }

  private func swap(
    _ state: RebuildState, _ digest: Digest, _ header: RebuildBatch.Header, lsn: UInt64
  ) throws {
    var candidate = try makeCandidate(state)
    try complete(candidate, state, through: lsn - 1)
    if candidate.exclusively({ _ in candidate.graphDigest(at: lsn - 1) }) != digest {
      // What was checkpointed of it may be damaged: it is derived, and built anew.
      rebuilds.withLock { $0.other = nil }
      candidate = try makeCandidate(state)
      try complete(candidate, state, through: lsn - 1)
      let found = candidate.exclusively { _ in candidate.graphDigest(at: lsn - 1) }
      guard found == digest else {
        throw StoreError(
          .corrupt,
          "generation \(state.number) of '\(definition.name)' has the digest \(found.hex), "
            + "not \(digest.hex)", at: "LSN \(lsn)", remedy: "Restore the database from a backup.")
      }
    }
    let old = generation
    let new = candidate
    var next = state
    next.phase = .grace
    next.swapLSN = lsn
    next.swappedMilliseconds = header.timeMilliseconds
    new.exclusively { [next] index in
      index.takeFreeSlots(of: old.index)
      index.publish(like: old.index)
      index.threads = old.index.threads
      serve(new)
      rebuilds.withLock { rebuilds in
        rebuilds.state = next
        rebuilds.lastServed = next
        rebuilds.isPressed = false
        rebuilds.other = old
      }
    }
  }

  private func rollBack(
    _ state: RebuildState, _ header: RebuildBatch.Header, lsn: UInt64, reason: String
  ) throws {
    guard let old = rebuilds.withLock({ $0.other }) else {
      throw mismatch("generation \(state.previous) is not there", lsn)
    }
    let new = generation
    try old.exclusively { index in
      guard try index.follow(new.index, through: lsn - 1) else { return }
      index.publish(like: new.index)
      index.threads = new.index.threads
      serve(old)
      end(header, lsn: lsn, reason: reason, kind: .rolledBack)
    }
    new.releaseInBackground()
  }

  private func end(
    _ header: RebuildBatch.Header, lsn: UInt64, reason: String, kind: RebuildOutcome.Kind
  ) {
    let outcome = RebuildOutcome(
      kind: kind, number: header.number, lsn: lsn, milliseconds: header.timeMilliseconds,
      reason: reason)
    let other = rebuilds.withLock { rebuilds in
      rebuilds.state = nil
      rebuilds.isPressed = false
      rebuilds.outcome = outcome
      defer { rebuilds.other = nil }
      return rebuilds.other
    }
    if other !== generation { other?.releaseInBackground() }
  }

  private func requireRebuild(
    _ header: RebuildBatch.Header, _ phase: RebuildState.Phase?, lsn: UInt64
  ) throws -> RebuildState {
    guard let state = rebuilds.withLock({ $0.state }), state.number == header.number,
      phase == nil || state.phase == phase
    else { throw mismatch("there is no such rebuild of generation \(header.number)", lsn) }
    return state
  }

  private func mismatch(_ message: String, _ lsn: UInt64) -> StoreError {
    StoreError(
      .corrupt, "the batch does not fit '\(definition.name)': \(message)", at: "LSN \(lsn)",
      remedy: "Restore the database from a backup.")
  }
}

// MARK: Building

extension CollectionRuntime {
  /// Slots that a candidate takes over in one step.
  static let adoptionStep = 8_192

  /// The candidate of the rebuild that is under way; made empty if it is not there yet.
  func makeCandidate(_ state: RebuildState) throws -> Generation {
    if let other = rebuilds.withLock({ $0.other }) { return other }
    let index = try IndexGeneration(
      parameters: try definition.indexParameters(with: state.plan.options),
      options: VecDBIndex.IndexOptions(threads: generation.index.threads))
    let made = Generation(number: state.number, options: state.plan.options, index: index)
    return rebuilds.withLock { rebuilds in
      // Somebody else may have been faster, or have ended the rebuild.
      guard rebuilds.state == state else { return made }
      if let other = rebuilds.other { return other }
      rebuilds.other = made
      return made
    }
  }

  func dropCandidate(_ candidate: Generation) {
    rebuilds.withLock { rebuilds in
      if rebuilds.other === candidate, rebuilds.state?.phase == .building { rebuilds.other = nil }
    }
  }

  /// Brings a candidate, however far it is, to `lsn`, which the serving generation has applied.
  func complete(_ candidate: Generation, _ state: RebuildState, through lsn: UInt64) throws {
    let leader = generation.index
    try candidate.exclusively { index in
      if index.appliedLSN < state.origin {
        while try index.adopt(
          leader, at: state.origin, count: Int(state.slotCount), limit: Self.adoptionStep)
        {}
        while try index.insertAdopted(at: state.origin) {}
      }
      _ = try index.follow(leader, through: lsn)
    }
  }
}
