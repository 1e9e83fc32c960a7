import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// One prune: takes restore points and log out of a repository, condemns blocks that nothing needs
/// any more, and deletes those that were condemned long enough ago.
///
/// Killed at any moment it leaves a valid repository: what is to be kept is never touched, and what
/// is left over is taken by the next prune.
package struct PruneRun {
  /// Backups rely on nothing being deleted sooner than this after it was condemned.
  static let shortestGraceSeconds = 3_600

  let repository: StoredRepository
  let policy: RetentionPolicy
  let graceMilliseconds: Int64
  let dryRun: Bool
  let force: Bool
  let nowMilliseconds: Int64

  package init(
    repository: StoredRepository, policy: RetentionPolicy, graceMilliseconds: Int64, dryRun: Bool,
    force: Bool, nowMilliseconds: Int64
  ) {
    self.repository = repository
    self.policy = policy
    self.graceMilliseconds = graceMilliseconds
    self.dryRun = dryRun
    self.force = force
    self.nowMilliseconds = nowMilliseconds
  }

  package func run() throws -> PruneReport {
    let started = DispatchTime.now()
    guard !policy.isEmpty else {
      throw VecDBError(
        .invalidArgument, "no rule says what the prune must keep",
        remedy: "Give --keep-last or another --keep option.")
    }
    guard force || graceMilliseconds >= Int64(Self.shortestGraceSeconds) * 1000 else {
      throw VecDBError(
        .invalidArgument, "a grace of \(graceMilliseconds / 1000) s could break a running backup",
        remedy: "Use at least an hour, or --force if no backup is running.")
    }
    let lock = try repository.lockForPruning(owner: Self.owner)
    defer { lock.unlock() }
    // What others did before the lock was taken.
    try repository.refresh()
    let (points, damaged) = try readPoints()
    let history = RepositoryHistory(
      entries: points.map(\.entry), pieces: try repository.logPieces(),
      path: try RepositoryHistory(repository).path)
    let marks = try restorableMarks(history)
    let plan = RetentionPlan(policy, points: points, history: history, marks: marks, force: force)
    let kept = plan.points.filter { !$0.reasons.isEmpty }.map(\.point.entry)
    // Before anything is removed: a list that cannot be read would make its blocks look unneeded.
    var needed = Set<Digest>()
    for entry in kept {
      try lock.check()
      needed.formUnion(try blocks(of: entry, known: needed))
    }
    var report = PruneReport(
      repository: repository.location, dryRun: dryRun, restorePoints: Self.describe(plan),
      damagedRestorePoints: damaged.map(\.lsn), marks: plan.keptMarks,
      droppedMarks: plan.droppedMarks, logPiecesRemoved: plan.removedPieces.count,
      blocksCondemned: 0, blocksDeleted: 0, bytesDeleted: 0, blocksWaiting: 0, retainedObjects: 0,
      seconds: 0)
    if !dryRun {
      let removed = plan.points.filter(\.reasons.isEmpty).map(\.point.entry) + damaged
      var taken = Publications(points: removed, log: plan.removedPieces)
      if force { taken.formUnion(try repository.missing()) }
      try repository.notePruned(taken)
      var retained = Set<ManifestEntry>()
      for entry in removed {
        try lock.check()
        if try !repository.deleteManifest(entry) { retained.insert(entry) }
      }
      for piece in plan.removedPieces {
        try lock.check()
        do { try repository.deleteLog(piece) } catch let error as StoreError
          where error.kind == .notFound
        {
          // It was made part of a larger piece meanwhile, which the next prune sees.
          continue
        }
      }
      // A backup may have finished meanwhile.
      try lock.check()
      try repository.refresh()
      let known = Set(kept)
      for entry in try repository.manifests() where !known.contains(entry) {
        try lock.check()
        do { needed.formUnion(try blocks(of: entry, known: needed)) } catch let error as StoreError
          where retained.contains(entry) && damaged.contains(entry) && error.kind == .corrupt
        {
          // Nothing can be restored from it, and the place does not let it go.
          continue
        }
      }
      _ = try repository.removeTemporaries(
        olderThanMilliseconds: nowMilliseconds
          - (force ? graceMilliseconds : max(graceMilliseconds, 86_400_000)))
    }
    try collect(needed, lock, &report)
    report.retainedObjects = repository.retainedObjects
    report.requests = repository.requests.map { RepositoryRequests($0) }
    report.seconds =
      started.elapsedSeconds
    return report
  }

  /// The restore points, and those whose manifest cannot be read.
  private func readPoints() throws -> (points: [RetentionPlan.Point], damaged: [ManifestEntry]) {
    var points: [RetentionPlan.Point] = []
    var damaged: [ManifestEntry] = []
    for entry in try repository.manifests() {
      do {
        let manifest = try repository.getManifest(entry)
        points.append(.init(entry: entry, timeMilliseconds: manifest.timeMilliseconds))
      } catch let error as StoreError where force && error.kind == .corrupt {
        damaged.append(entry)
      }
    }
    return (points, damaged)
  }

  private func restorableMarks(_ history: RepositoryHistory) throws -> [MarkInfo] {
    do { return try repository.marks().infos.filter { history.canRestore($0) } } catch let error
      as StoreError where force && error.kind == .corrupt
    { return [] }
  }

  /// The stored names of every block that a restore point needs, its lists included, and of those
  /// that they are kept as differences to.
  private func blocks(of entry: ManifestEntry, known: Set<Digest> = []) throws -> Set<Digest> {
    var names = Set<Digest>()
    let arrays = try repository.getManifest(entry).namedArrays.map(\.array)
    let lists = try Parallel.map(arrays, threads: repository.requestsAtOnce) { [repository] in
      try repository.list(of: $0).hashes
    }
    var fresh: [Digest] = []
    for (array, hashes) in zip(arrays, lists) {
      for hash in [array.list] + hashes {
        let name = repository.storedName(of: hash)
        if !known.contains(name), names.insert(name).inserted { fresh.append(hash) }
      }
    }
    let bases = try Parallel.map(fresh, threads: repository.requestsAtOnce) { [repository] in
      try repository.bases(of: $0)
    }
    for base in bases.joined() { names.insert(repository.storedName(of: base)) }
    return names
  }

  /// Deletes what was condemned long enough ago, and condemns what is not needed any more.
  private func collect(
    _ needed: Set<Digest>, _ lock: any FileLock, _ report: inout PruneReport
  ) throws {
    // The clock of the place, which is the same for all that prune it.
    let nowMilliseconds = nowMilliseconds &+ repository.clockOffsetMilliseconds
    var waiting: [CondemnedBlock] = []
    var decided = needed
    let condemned = try repository.condemnedBlocks()
    for block in condemned where !needed.contains(block.hash) {
      guard let info = try repository.blockInfo(block.hash) else { continue }
      // Written again: a backup relies on it, so that its time begins anew.
      guard info.modifiedMilliseconds == block.modifiedMilliseconds else { continue }
      decided.insert(block.hash)
      var block = block
      // Of a prune whose clock was ahead: its time begins now, and not when that clock is right.
      block.condemnedMilliseconds = min(block.condemnedMilliseconds, nowMilliseconds)
      if nowMilliseconds - max(0, block.condemnedMilliseconds) < graceMilliseconds {
        waiting.append(block)
      } else {
        if !dryRun {
          try lock.check()
          guard try repository.deleteBlock(block.hash) else {
            waiting.append(block)
            continue
          }
        }
        report.blocksDeleted += 1
        report.bytesDeleted += info.sizeBytes
      }
    }
    for hash in try repository.blocks() where !decided.contains(hash) {
      guard let info = try repository.blockInfo(hash) else { continue }
      waiting.append(
        CondemnedBlock(
          hash: hash, condemnedMilliseconds: nowMilliseconds,
          modifiedMilliseconds: info.modifiedMilliseconds))
      report.blocksCondemned += 1
    }
    report.blocksWaiting = waiting.count
    // A repository without any room left can be pruned as long as there is nothing new to say.
    try lock.check()
    if !dryRun, Set(waiting) != Set(condemned) {
      try repository.replaceCondemnedBlocks(with: waiting)
    }
  }

  /// Who prunes, as whoever finds the place locked is told.
  private static var owner: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "process \(getpid())" }
    let text = String(
      decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return "process \(getpid()) on \(text)"
  }

  private static func describe(_ plan: RetentionPlan) -> [PruneReport.RestorePoint] {
    plan.points.map {
      .init(
        epoch: $0.point.entry.epochCounter, lsn: $0.point.entry.lsn,
        timeMilliseconds: $0.point.timeMilliseconds, keptFor: $0.reasons)
    }
  }
}

/// What a prune kept and removed, or would.
public struct PruneReport: Sendable, Hashable, Codable {
  public struct RestorePoint: Sendable, Hashable, Codable {
    public var epoch: UInt64
    public var lsn: UInt64
    public var time: Date { Date(milliseconds: timeMilliseconds) }
    package var timeMilliseconds: Int64
    /// The rules that keep it; empty if it was removed.
    public var keptFor: [String]
  }

  public var repository: String
  /// Nothing was changed; the figures say what would have been.
  public var dryRun: Bool
  /// All that were there, oldest first.
  public var restorePoints: [RestorePoint]
  /// LSNs of restore points that could not be read, removed with `force`.
  public var damagedRestorePoints: [UInt64]
  /// Marks that can still be restored.
  public var marks: [MarkInfo]
  /// Marks that cannot be restored any more, with `force`.
  public var droppedMarks: [MarkInfo]
  public var logPiecesRemoved: Int
  /// Blocks that are not needed any more since this prune.
  public var blocksCondemned: Int
  /// Blocks condemned by an earlier prune, longer ago than the grace.
  public var blocksDeleted: Int
  public var bytesDeleted: Int
  /// Blocks that a later prune will delete.
  public var blocksWaiting: Int
  /// Objects that the store kept although they were to be deleted, since a lock protects them. A
  /// later prune deletes them. 0 in a directory.
  public var retainedObjects: Int
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  /// What was asked of the object store; nil for a repository in a directory.
  public var requests: RepositoryRequests?
}

extension Database {
  /// Removes from a repository the restore points that a policy does not keep, with the log and the
  /// blocks that only they need.
  ///
  /// Safe beside running backups: blocks are condemned first and deleted by a prune at least
  /// `grace` later, unless a backup has written them again. Marks that can be restored stay
  /// so, and the newest restore point is never removed.
  ///
  /// - Parameters:
  ///   - grace: at least an hour unless forced, in whole seconds; default one day.
  ///   - dryRun: only report.
  ///   - force: give up marks that the policy does not cover, remove restore points whose manifest
  ///     is damaged, give up restore points and log that are missing, and accept any grace, also
  ///     for unfinished files: no backup may be running then.
  ///   - key: of an encrypted repository.
  /// - Throws: `invalidArgument` for a policy that names nothing; `corrupt` if a manifest or list
  ///   cannot be read, since nobody can tell then what is needed; `locked` while another prune
  ///   runs.
  public static func prune(
    repository: String, keeping policy: RetentionPolicy, grace: Duration = .seconds(86_400),
    dryRun: Bool = false, force: Bool = false, key: (any RepositoryKey)? = nil
  ) async throws -> PruneReport {
    try await VecDBError.translating {
      try await prune(
        repository: repository, keeping: policy, graceSeconds: grace.wholeSeconds, dryRun: dryRun,
        force: force, key: key, nowMilliseconds: Engine.nowMilliseconds())
    }
  }

  private static func milliseconds(_ seconds: Int) -> Int64 {
    let (product, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000)
    return overflow ? (seconds < 0 ? .min : .max) : product
  }

  /// As above, at a given time.
  package static func prune(
    repository: String, keeping policy: RetentionPolicy, graceSeconds: Int, dryRun: Bool,
    force: Bool, key: (any RepositoryKey)? = nil, nowMilliseconds: Int64
  ) async throws -> PruneReport {
    try await onBackground {
      try VecDBError.translating {
        try PruneRun(
          repository: try openSource(repository, key: key),
          policy: policy, graceMilliseconds: Self.milliseconds(graceSeconds), dryRun: dryRun,
          force: force, nowMilliseconds: nowMilliseconds
        ).run()
      }
    }
  }
}
