import Files

/// Lets the power fail at every operation of some work, starts again with several states that
/// could be left, and checks each.
///
/// `Progress` is what the work knows to be done, for example the writes that were acknowledged: the
/// check demands them, and allows what was under way.
package struct CrashTest<Progress> {
  /// Makes the disk on which all work starts; everything on it is then durable.
  package var prepare: (SimulatedDisk) throws -> Void
  package var initial: Progress
  /// The work. It opens and closes all that it needs, and ends at the error that the power failure
  /// causes, or goes on for as long as it likes.
  package var work: (SimulatedDisk, inout Progress) throws -> Void
  /// Throws if the disk, started again, is not as it must be.
  package var check: (SimulatedDisk, Progress) throws -> Void
  package var options = SimulatedDisk.Options()

  package init(
    initial: Progress, prepare: @escaping (SimulatedDisk) throws -> Void = { _ in },
    work: @escaping (SimulatedDisk, inout Progress) throws -> Void,
    check: @escaping (SimulatedDisk, Progress) throws -> Void
  ) {
    self.prepare = prepare
    self.initial = initial
    self.work = work
    self.check = check
  }

  /// Runs the work once whole and then once for each crash point.
  ///
  /// - Parameters:
  ///   - seed: Decides what survives; a failure names the seed that repeats it.
  ///   - chances: How many random survivals are tried at each crash point, besides the one
  ///     with only what was synced and the one with everything.
  ///   - limit: At most so many crash points, spread evenly over the work.
  /// - Returns: How many disks were checked.
  @discardableResult
  package func run(seed: UInt64 = 1, chances: Int = 3, limit: Int = .max) throws -> Int {
    let fresh = SimulatedDisk(seed: seed, options: options)
    try prepare(fresh)
    let base = fresh.restarted(.everything)
    let whole = base.restarted(.everything)
    let start = whole.operationCount
    var progress = initial
    try work(whole, &progress)
    let total = whole.operationCount - start
    var checked = 0
    try verify(whole, progress, 0, seed, chances, &checked)
    var point = 1
    while point <= total {
      let disk = base.restarted(.everything)
      disk.crash(atOperation: point)
      var progress = initial
      do {
        try work(disk, &progress)
      } catch {
        guard disk.isCrashed else { throw failure(disk, point, nil, error) }
      }
      try verify(disk, progress, point, seed, chances, &checked)
      point += max(1, total / max(1, min(limit, total)))
    }
    return checked
  }

  private func verify(
    _ disk: SimulatedDisk, _ progress: Progress, _ point: Int, _ seed: UInt64, _ chances: Int,
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
  /// The operation of the work, from 1, at which the power failed; 0 if it failed after the work.
  package var operation: Int
  /// What was left; nil if the work itself failed while there was power.
  package var survival: Survival?
  package var cause: any Error
  /// The last operations before the crash.
  package var trace: [TraceEntry]

  package var description: String {
    let survived = survival.map { "\($0)" } ?? "the work failed while there was power"
    return "crash at operation \(operation), \(survived): \(cause)\n"
      + trace.map { "  \($0)" }.joined(separator: "\n")
  }
}
