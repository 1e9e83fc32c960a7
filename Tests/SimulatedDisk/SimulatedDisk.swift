import Glibc
import VecDBFiles

/// A disk in memory that can lose power, fail and lie, with a file system and a SQLite VFS on it.
///
/// It keeps apart what programs see and what is durable. `crash()`, or a fault, stops it in the
/// middle of anything; `restarted` then gives a disk with a state that a real one could have
/// come back with. Everything that chance decides comes from seeds, so that a failure repeats;
/// only the salts that SQLite writes into its WAL come from SQLite's own generator.
///
/// Any number of threads may use it; one mutex guards all of it.
package final class SimulatedDisk: @unchecked Sendable {
  package struct Options: Sendable {
    /// How many bytes the files may have together; nil means no limit.
    package var capacityBytes: Int?
    /// Whether a torn write leaves the bytes next to it alone, which SQLite assumes of every disk
    /// unless it is told otherwise. Without it SQLite pads its WAL to whole sectors.
    package var powersafeOverwrite = true
    /// Whether SQLite connections can share a WAL; otherwise WAL mode needs exclusive locking.
    package var sharedMemory = true
    /// Whether the file system can exchange two names in one step.
    package var canExchange = true
    /// What SQLite is told about the size of a sector, in bytes.
    package var sectorSizeBytes = 4096
    /// How many of the last operations the trace keeps.
    package var traceLimit = 4096

    package init() {}
  }

  // All that varies is used only while `lock` is held.
  let lock = Lock()
  let seed: UInt64
  var currentOptions: Options
  var tree = DirectoryTree()
  var random: SplitMix64
  var hasPower = true
  /// Counts restarts in place: what was opened before one is dead.
  var generation = 0
  var faults: [Fault] = []
  var operations = 0
  var entries: [TraceEntry] = []
  var vfs: SimulatedVFS?

  /// An empty disk with a root directory.
  package init(seed: UInt64 = 1, options: Options = Options()) {
    self.seed = seed
    currentOptions = options
    random = SplitMix64(seed: seed)
  }

  deinit { vfs?.unregister() }

  package var options: Options {
    get { lock.withLock { currentOptions } }
    set { lock.withLock { currentOptions = newValue } }
  }

  /// How many operations that change the disk or sync it have begun since it was made.
  package var operationCount: Int { lock.withLock { operations } }

  /// The last operations, the oldest first.
  package var trace: [TraceEntry] { lock.withLock { entries } }

  package var isCrashed: Bool { lock.withLock { !hasPower } }

  /// How often the faults can still strike; 0 once all have struck.
  package var pendingFaults: Int {
    lock.withLock { faults.reduce(0) { $0.addingReportingOverflow($1.times).partialValue } }
  }

  /// How many operations the faults with an endless `skipping` have let pass.
  var operationsPassed: Int {
    lock.withLock { faults.reduce(0) { max($0, .max - max($1.skipping, 0)) } }
  }

  package func inject(_ fault: Fault) { lock.withLock { faults.append(fault) } }

  package func removeFaults() { lock.withLock { faults = [] } }

  /// Lets the power fail at the nth operation from now, 1 being the next.
  package func crash(atOperation n: Int) {
    inject(Fault(.powerFailure, skipping: max(0, n - 1)))
  }

  /// Takes the power away now: from here on every operation fails.
  package func crash() { lock.withLock { hasPower = false } }

  /// A new disk with what a power failure would leave, or has left, on this one, which stays as it
  /// is: so one crash can be survived in many ways. Faults and the trace are not copied.
  package func restarted(_ survival: Survival) -> SimulatedDisk {
    lock.withLock {
      let result = SimulatedDisk(seed: seed, options: currentOptions)
      result.tree = tree.surviving(
        survival, powersafeOverwrite: currentOptions.powersafeOverwrite)
      result.operations = operations
      return result
    }
  }

  /// Starts this same disk again with what the power failure left. All that was opened before,
  /// including SQLite connections, stays dead, also in their `close`; `sqliteVFSName` changes.
  /// The faults are removed.
  package func restart(_ survival: Survival) {
    lock.withLock {
      tree = tree.surviving(survival, powersafeOverwrite: currentOptions.powersafeOverwrite)
      hasPower = true
      generation += 1
      faults = []
      vfs?.unregister()
      vfs = nil
    }
  }

  /// Ends the process that uses the disk, as SIGKILL would, while the machine runs on: all that was
  /// opened is dead and its locks are gone; what was written stays as it is, synced or not. Faults
  /// stay too.
  package func killProcess() {
    lock.withLock {
      guard hasPower else { return }
      generation += 1
      tree.root.releaseLocks()
      vfs?.unregister()
      vfs = nil
    }
  }

  /// `restart` with what chance leaves.
  package func restart(seed: UInt64) { restart(.random(seed: seed)) }

  // MARK: For the operations, inside the lock

  func isAlive(_ generation: Int) -> Bool { hasPower && generation == self.generation }

  /// Simulated time: it moves by a millisecond with each operation.
  var clockMilliseconds: Int64 { 1_700_000_000_000 + Int64(operations) }

  func checkPower(_ generation: Int, _ path: String) throws {
    guard isAlive(generation) else { throw Self.powerless(path) }
  }

  static func powerless(_ path: String) -> StoreError {
    StoreError(.inputOutput, "the simulated machine has lost power", at: path)
  }

  /// Counts an operation and finds the fault that strikes it.
  func begin(
    _ kind: OperationKind, _ path: String, generation: Int, offset: Int = 0, length: Int = 0
  ) throws -> Fault.Effect? {
    try checkPower(generation, path)
    if kind != .read { operations += 1 }
    var effect: Fault.Effect?
    for index in faults.indices where faults[index].strikes(kind, path) {
      effect = effect ?? faults[index].effect
    }
    if kind != .read || effect != nil {
      if entries.count >= max(2, 2 * currentOptions.traceLimit) {
        entries.removeFirst(entries.count - currentOptions.traceLimit)
      }
      entries.append(
        TraceEntry(
          number: operations, kind: kind, path: path, offset: offset, length: length,
          remark: effect.map { "\($0)" } ?? ""))
    }
    return effect
  }

  /// Ends an operation: takes the power away or throws, as the fault demands.
  func end(_ effect: Fault.Effect?, _ operation: String, _ path: String) throws {
    switch effect {
    case nil, .flippedBit?: return
    case .powerFailure?:
      hasPower = false
      throw Self.powerless(path)
    case .inputOutputError?, .failedSync?: throw systemError(EIO, operation, at: path)
    case .diskFull?: throw systemError(ENOSPC, operation, at: path)
    }
  }
}
