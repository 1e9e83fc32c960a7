import VecDBFiles

/// Lets the power fail, or something else go wrong, at every operation of some work, starts again
/// with several states that could be left, and checks each.
///
/// `WorkProgress` is what the work knows to be done, for example the writes that were acknowledged: the
/// check demands them, and allows what was under way.
package struct CrashTest<WorkProgress> {
  /// Makes the disk on which all work starts; everything on it is then durable.
  package var prepare: (SimulatedDisk) throws -> Void
  package var initial: WorkProgress
  /// The work. It opens and closes all that it needs, and ends at the error that the power failure
  /// causes, or goes on for as long as it likes.
  package var work: (SimulatedDisk, inout WorkProgress) throws -> Void
  /// Throws if the disk, started again, is not as it must be.
  package var check: (SimulatedDisk, WorkProgress) throws -> Void
  package var options = SimulatedDisk.Options()

  package init(
    initial: WorkProgress, prepare: @escaping (SimulatedDisk) throws -> Void = { _ in },
    work: @escaping (SimulatedDisk, inout WorkProgress) throws -> Void,
    check: @escaping (SimulatedDisk, WorkProgress) throws -> Void
  ) {
    self.prepare = prepare
    self.initial = initial
    self.work = work
    self.check = check
  }

  /// Runs the work once whole and then once for each operation that can be hit.
  ///
  /// - Parameters:
  ///   - effect: What happens at the operation. After anything else than a power failure the work
  ///     may go on or throw; in any case the power fails when it has ended.
  ///   - kinds: The operations to hit; nil means those that `Fault` takes for the effect.
  ///   - pathContaining: Hit only operations on paths that contain this text.
  ///   - seed: Decides what survives; a failure tells what repeats it.
  ///   - chances: How many random survivals are tried at each point, besides the one with only
  ///     what was synced and the one with everything.
  ///   - limit: At most so many points, spread evenly over the work.
  /// - Returns: How many disks were checked.
  @discardableResult
  package func run(
    _ effect: Fault.Effect = .powerFailure, on kinds: Set<OperationKind>? = nil,
    pathContaining: String? = nil, seed: UInt64 = 1, chances: Int = 3, limit: Int = .max
  ) throws -> Int {
    var fault = Fault(effect, on: kinds, pathContaining: pathContaining, skipping: .max)
    let fresh = SimulatedDisk(seed: seed, options: options)
    try prepare(fresh)
    let base = fresh.restarted(.everything)
    let whole = base.restarted(.everything)
    whole.inject(fault)
    var progress = initial
    do {
      try work(whole, &progress)
    } catch {
      throw failure(whole, 0, nil, error)
    }
    let total = whole.operationsPassed
    var checked = 0
    try verify(whole, progress, 0, seed, chances, &checked)
    let step = total > limit ? (total + limit - 1) / max(1, limit) : 1
    for point in stride(from: 1, through: total, by: step) {
      let disk = base.restarted(.everything)
      fault.skipping = point - 1
      disk.inject(fault)
      var progress = initial
      do {
        try work(disk, &progress)
      } catch {
        // An error before anything has gone wrong is the work's own.
        guard disk.pendingFaults == 0 else { throw failure(disk, point, nil, error) }
      }
      try verify(disk, progress, point, seed, chances, &checked)
    }
    return checked
  }

  private func verify(
    _ disk: SimulatedDisk, _ progress: WorkProgress, _ point: Int, _ seed: UInt64, _ chances: Int,
    _ checked: inout Int
  ) throws {
    var random = SplitMix64(seed: seed &+ UInt64(point) &* 0x1_0000)
    let chosen = (0..<max(0, chances)).map { _ in Survival.random(seed: random.next()) }
    for survival in [.syncedOnly, .everything] + chosen {
      let survivor = disk.restarted(survival)
      do {
        try check(survivor, progress)
      } catch {
        throw failure(disk, point, survival, error)
      }
      checked += 1
    }
  }

  private func failure(
    _ disk: SimulatedDisk, _ point: Int, _ survival: Survival?, _ error: any Error
  ) -> CrashTestFailure {
    CrashTestFailure(
      operation: point, survival: survival, cause: error, trace: disk.trace.suffix(40).map(\.self))
  }
}

/// A crash that was not survived, with all that is needed to repeat it.
package struct CrashTestFailure: Error, CustomStringConvertible {
  /// The operation of the work, from 1, counting only those that can be hit, at which the fault
  /// struck; 0 if nothing went wrong before the work's end.
  package var operation: Int
  /// What was left; nil if the work itself failed while there was power.
  package var survival: Survival?
  package var cause: any Error
  /// The last operations before the crash.
  package var trace: [TraceEntry]

  package var description: String {
    let survived = survival.map { "\($0)" } ?? "the work failed while there was power"
    return "fault at operation \(operation), \(survived): \(cause)\n"
      + trace.map { "  \($0)" }.joined(separator: "\n")
  }
}
