/// What a rebuild does next: prepare, build, catch up, validate, swap, grace, retire.
///
/// Pure. What lasts is elsewhere: the phase in the log, the progress in the candidate itself. So a
/// machine that begins anew, after a crash or in a restored copy, goes on where that leaves it.
package struct RebuildMachine: Sendable, Hashable {
  package enum Stage: String, Sendable, Codable, CaseIterable {
    /// Slots are taken over and the codes are trained.
    case preparing
    /// The graph is built over the slots of the pinned LSN.
    case building
    /// The batches since then are applied.
    case catchingUp
    /// The gate measures.
    case validating
    /// The gate passed; the new generation is about to serve.
    case swapping
    /// The gate refused, and the candidate is kept for inspection.
    case refused
    /// The new generation serves and the old one follows.
    case grace
  }

  /// What is seen before each step.
  package struct Observation: Sendable, Hashable {
    package var phase: RebuildPhase
    /// Slots at the pinned LSN, those taken over and those in the graph.
    package var slots: Int
    package var adopted = 0
    package var inserted = 0
    /// Whether the candidate has all of the pinned LSN.
    package var isAtOrigin = false
    /// Batches that the serving generation shows and the other one lacks.
    package var lag: UInt64 = 0
    /// What the gate found; nil before.
    package var passed: Bool?
    package var refusal = ""
    package var keepsRefused = false
    /// Whether searches take longer than the budget allows.
    package var isTooSlow = false
    package var graceLeftMilliseconds: Int64 = 0
    /// Whether the progress since the last checkpoint is worth one.
    package var isCheckpointDue = false
    /// Whether another node decides, and this one only builds.
    package var isFollower = false

    package init(phase: RebuildPhase, slots: Int) {
      self.phase = phase
      self.slots = slots
    }
  }

  package enum Action: Sendable, Hashable {
    case adopt
    case insert
    /// Apply what the serving generation was given since.
    case follow
    case checkpoint
    case judge
    case swap
    /// Give the candidate up, for this reason.
    case drop(String)
    /// Give the old generation up.
    case retire
    /// Nothing for now.
    case rest(milliseconds: Int)
  }

  /// With fewer batches to go, the swap takes the rest along.
  package static let smallLag: UInt64 = 8

  package private(set) var stage = Stage.preparing
  /// Whether the candidate, complete, was checkpointed before the swap.
  private var isSaved = false

  package init() {}

  package mutating func next(_ seen: Observation) -> Action {
    switch decide(seen) {
    // What is decided comes with the log.
    case .judge where seen.isFollower, .swap where seen.isFollower,
      .drop where seen.isFollower, .retire where seen.isFollower:
      .rest(milliseconds: 50)
    case let action: action
    }
  }

  private mutating func decide(_ seen: Observation) -> Action {
    guard seen.phase == .building else {
      stage = .grace
      if seen.graceLeftMilliseconds <= 0 { return .retire }
      return seen.lag > 0 ? .follow : .rest(milliseconds: 10)
    }
    guard seen.isAtOrigin else {
      isSaved = false
      stage = seen.adopted < seen.slots ? .preparing : .building
      if seen.isTooSlow { return .rest(milliseconds: 50) }
      if seen.isCheckpointDue { return .checkpoint }
      return stage == .preparing ? .adopt : .insert
    }
    if seen.passed == false {
      if seen.keepsRefused {
        stage = .refused
        return .rest(milliseconds: 200)
      }
      return .drop(seen.refusal)
    }
    // Falling behind is not cured by waiting: catching up goes on whatever the searches' times.
    if seen.lag > Self.smallLag {
      stage = .catchingUp
      return .follow
    }
    guard seen.passed == true else {
      stage = .validating
      return seen.isTooSlow ? .rest(milliseconds: 50) : .judge
    }
    stage = .swapping
    // So that a crash after the swap finds the new generation in a manifest.
    return isSaved ? .swap : .checkpoint
  }

  /// To be told when a checkpoint that was asked for has succeeded: one that failed is asked for
  /// again.
  package mutating func noteCheckpoint() {
    if stage == .swapping { isSaved = true }
  }
}
