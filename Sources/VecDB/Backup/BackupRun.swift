import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// One backup: publishes to a repository what it lacks of the state at one LSN.
///
/// The order is what makes a crash harmless: blocks and log first, the manifest last. A backup that
/// was broken off is taken up by the next one, since what is there is not sent again. What takes the
/// processor runs on threads of low priority unless that is not wanted, so that searches and writes
/// do not wait; this thread waits for them, and is an ordinary one, since threads that are made of
/// one of low priority have a low one themselves, for good.
struct BackupRun: Sendable {
  let engine: Engine
  let own: OwnRepository
  var repository: StoredRepository { own.store }
  let options: BackupOptions
  let progress: ProgressReporter
  /// The manifest, with its blocks held on the disk.
  let pin: BlockPin
  let cancellation: Cancellation
  private var report: BackupReport

  init(
    engine: Engine, repository: OwnRepository, options: BackupOptions, pin: BlockPin,
    cancellation: Cancellation, progress: ProgressHandler?
  ) {
    self.engine = engine
    own = repository
    self.options = options
    self.pin = pin
    self.cancellation = cancellation
    self.progress = ProgressReporter(progress)
    report = BackupReport(
      repository: repository.store.location, epoch: pin.manifest.epochCounter,
      lsn: pin.manifest.lsn,
      blocks: 0, totalBytes: 0, newBlocks: 0, newBytes: 0, logFrames: 0, repairedBlocks: 0,
      canary: nil, seconds: 0, branch: repository.branch)
  }

  /// `measureCanary` measures recall on the live collections; it is not asked if the restore point
  /// is there already.
  mutating func run(
    measureCanary: @escaping @Sendable () throws -> CanaryAnnotation
  ) throws -> BackupReport {
    let started = DispatchTime.now()
    let entry = ManifestEntry(epochCounter: report.epoch, lsn: report.lsn)
    try own.requireThere()
    let published = try repository.manifests().contains(entry)
    if published, !options.repair {
      let manifest = try repository.getManifest(entry)
      try requireSame(manifest)
      countWhatIsThere(manifest)
      report.canary = try CanaryAnnotation(in: manifest)?.report
    } else {
      try publish(isNew: !published, measureCanary: measureCanary, started: started)
    }
    // What goes to the bare place where a file system was mounted is no backup.
    try own.requireThere()
    if options.repair {
      let left = RepositoryVerification(repository, progress: nil, cancellation: cancellation)
      report.remainingProblems = try left.run().problems
    }
    if let made = repository.requests {
      report.requests = RepositoryRequests(made)
      engine.telemetry.requested(made)
    }
    report.seconds = Self.seconds(since: started)
    return report
  }

  /// Throws unless a restore point of the same epoch and LSN is of this history.
  private func requireSame(_ manifest: Manifest) throws {
    guard manifest.chain == pin.manifest.chain else {
      throw StoreError(
        .invalidArgument,
        "the repository has another history of epoch \(report.epoch) at LSN \(report.lsn), which "
          + "another copy of this database wrote", at: repository.location,
        remedy: "Back up again: each copy then gets its own epoch. Write to only one of them.")
    }
  }

  /// Blocks, log and canary at the same time, then the manifest.
  private mutating func publish(
    isNew: Bool, measureCanary: @escaping @Sendable () throws -> CanaryAnnotation,
    started: DispatchTime
  ) throws {
    var manifest = pin.manifest
    let limit = options.bytesPerSecond ?? engine.configuration.backupBytesPerSecond
    let yields = options.isLowPriority
    let limiter = BackupLimiter(
      bytesPerSecond: limit, yields: yields, telemetry: engine.telemetry)
    engine.telemetry.beganDisturbance()
    defer { engine.telemetry.endedDisturbance() }
    let target = try RenewingRepository(
      repository, limiter: limiter, isRepairing: options.repair)
    let log = try LowPriorityThread.Job(yields: yields) { [self] in try archiveLog(limiter) }
    let canary: LowPriorityThread.Job<CanaryAnnotation?>
    do {
      canary = try .init(yields: yields) { isNew ? try measureCanary() : nil }
    } catch {
      cancellation.cancel()
      log.wait()
      throw error
    }
    do {
      manifest.records = try publishBlocks(of: manifest, to: target)
      // While the log is still on its way.
      try repository.synchronize()
    } catch {
      cancellation.cancel()
      log.wait()
      canary.wait()
      throw error
    }
    let archived: LogArchive.Published
    do { archived = try log.value() } catch {
      canary.wait()
      throw error
    }
    report.logFrames = archived.frames
    report.newBytes += archived.bytes
    report.repairedBlocks = target.repairedBlocks
    let measured = try canary.value()
    try cancellation.check()
    guard isNew else {
      try repository.synchronize()
      return try notePublished(archived)
    }
    try measured?.write(to: &manifest)
    report.canary = measured?.report
    try BackupAnnotation(newBytes: report.newBytes, seconds: Self.seconds(since: started))
      .write(to: &manifest)
    // See `RenewingRepository` for why this suffices beside a prune.
    if try target.needsAnotherLook() { try lookAgain(manifest) }
    do { try repository.putManifest(manifest) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      // Another process was at the same restore point and faster: it stands for both.
      return try requireSame(
        try repository.getManifest(
          ManifestEntry(epochCounter: report.epoch, lsn: report.lsn)))
    }
    if try target.needsAnotherLook() { try lookAgain(manifest) }
    try notePublished(archived)
    report.newBytes += manifest.encode().count
  }

  private func notePublished(_ archived: LogArchive.Published) throws {
    try repository.notePublished(
      epochs: Set(archived.pieces.map(\.epochCounter)).union([report.epoch]))
  }

  private mutating func countWhatIsThere(_ manifest: Manifest) {
    for (_, array) in manifest.namedArrays {
      report.blocks += BlockList.blockCount(lengthBytes: array.lengthBytes) + 1
      report.totalBytes += array.lengthBytes
    }
  }

  /// Publishes the index's blocks that the repository lacks, and `records.sqlite`, whose main file
  /// is stable: the caller holds off its checkpoints.
  private mutating func publishBlocks(
    of manifest: Manifest, to target: RenewingRepository
  ) throws -> ArrayManifest {
    let progress = progress
    let cancellation = cancellation
    var transfer = BlockTransfer(threads: engine.configuration.resolvedThreads) {
      try cancellation.check()
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    transfer.isLowPriority = options.isLowPriority
    let logger = engine.configuration.logger
    transfer.notice = {
      logger.warning("a backup met an obstacle", metadata: ["notice": "\($0)"])
    }
    let previous = try newestReadableManifest()
    progress.begin("copying blocks")
    add(try transfer.publish(manifest, from: engine.blocks, to: target, previous: previous))
    progress.begin("copying records")
    let records = try transfer.publishFile(
      engine.directory.records, name: "records.sqlite", fileSystem: engine.fileSystem,
      to: target, previous: previous?.records)
    add(records.progress)
    return records.array
  }

  /// What differences are made to.
  private func newestReadableManifest() throws -> Manifest? {
    guard let entry = try repository.newestManifest() else { return nil }
    do { return try repository.getManifest(entry) } catch let error as StoreError
      where error.kind == .corrupt || error.kind == .notFound
    {
      return nil
    }
  }

  /// Sends again what a prune has condemned or deleted since it was found in the repository.
  private mutating func lookAgain(_ manifest: Manifest) throws {
    let whole = report
    var index = manifest
    try repository.refresh()
    // Its blocks are in no pack: they are cut from the file again.
    index.records = nil
    _ = try publishBlocks(of: index, to: try RenewingRepository(repository))
    try repository.synchronize()
    report.blocks = whole.blocks
    report.totalBytes = whole.totalBytes
  }

  private mutating func add(_ transferred: TransferProgress) {
    report.blocks += transferred.totalBlocks
    report.totalBytes += transferred.totalBytes
    report.newBlocks += transferred.sentBlocks
    report.newBytes += transferred.sentBytes
  }

  /// Publishes the log of this history that is not archived yet.
  private func archiveLog(_ limiter: BackupLimiter) throws -> LogArchive.Published {
    let archive = LogArchive(
      log: engine.log, repository: repository, path: own.history,
      isLowPriority: options.isLowPriority)
    var done = try archive.publish(through: report.lsn) {
      try cancellation.check()
      limiter.wait(forBytes: $0)
    }
    if options.repair, let oldest = try repository.manifests().first {
      done.add(
        try archive.repair(from: oldest.lsn + 1, through: report.lsn) { try cancellation.check() })
      let missing = try repository.missing()
      done.add(
        try archive.publish(missing: missing, through: report.lsn) { try cancellation.check() })
    }
    return done
  }

  private static func seconds(since start: DispatchTime) -> Double {
    start.elapsedSeconds
  }
}
