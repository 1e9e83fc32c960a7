import BlockStore
import Bytes
import Dispatch
import Files
import Foundation
import LogStore

/// One backup: publishes to a repository what it lacks of the state at one LSN.
///
/// The order is what makes a crash harmless: blocks and log first, the manifest last. A backup that
/// was broken off is taken up by the next one, since what is there is not sent again.
struct BackupRun {
  let engine: Engine
  let repository: DirectoryRepository
  let progress: ProgressReporter
  /// The manifest, with its blocks held on the disk.
  let pin: BlockPin
  let cancellation: Cancellation
  private var report: BackupReport

  init(
    engine: Engine, repository: DirectoryRepository, pin: BlockPin, cancellation: Cancellation,
    progress: ProgressHandler?
  ) {
    self.engine = engine
    self.repository = repository
    self.pin = pin
    self.cancellation = cancellation
    self.progress = ProgressReporter(progress)
    report = BackupReport(
      repository: repository.location, epoch: pin.manifest.epochCounter, lsn: pin.manifest.lsn,
      blocks: 0, totalBytes: 0, newBlocks: 0, newBytes: 0, logFrames: 0, canary: nil, seconds: 0)
  }

  /// `measureCanary` measures recall on the live collections; it is not asked if the restore point
  /// is there already.
  mutating func run(measureCanary: () throws -> CanaryAnnotation) throws -> BackupReport {
    let started = DispatchTime.now()
    var manifest = pin.manifest
    let entry = ManifestEntry(epochCounter: manifest.epochCounter, lsn: manifest.lsn)
    if try repository.manifests().contains(entry) {
      let published = try repository.getManifest(entry)
      countWhatIsThere(published)
      report.canary = try CanaryAnnotation(in: published)?.report
    } else {
      let current = engine.log.identity.currentEpoch
      try repository.claimEpoch(counter: current.counter, id: current.id.number)
      if let newer = try repository.claimedEpochs().last, newer.counter > current.counter {
        throw StoreError(
          .invalidArgument,
          "the repository knows epoch \(newer.counter), and this copy is of epoch "
            + "\(current.counter): another copy has become the primary", at: repository.location,
          remedy: "Let this copy follow the new primary with `vecdb rejoin`.")
      }
      let safe = try RenewingRepository(
        repository, limiter: engine.configuration.backupBytesPerSecond.map(RateLimiter.init))
      manifest.records = try publishBlocks(of: manifest, to: safe)
      try archiveLog(through: manifest.lsn)
      try cancellation.check()
      let canary = try measureCanary()
      manifest.annotations[CanaryAnnotation.name] = try canary.encoded()
      report.canary = canary.report
      // See `RenewingRepository` for why this suffices beside a prune.
      if try safe.needsAnotherLook() { try lookAgain(manifest) }
      try repository.putManifest(manifest)
      if try safe.needsAnotherLook() { try lookAgain(manifest) }
      report.newBytes += manifest.encode().count
    }
    report.seconds =
      Double(DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds) / 1e9
    return report
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
    of manifest: Manifest, to repository: RenewingRepository
  ) throws -> ArrayManifest {
    let progress = progress
    let cancellation = cancellation
    let transfer = BlockTransfer(threads: engine.configuration.resolvedThreads) {
      try cancellation.check()
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    progress.begin("copying blocks")
    add(try transfer.publish(manifest, from: engine.blocks, to: repository))
    progress.begin("copying records")
    let records = try transfer.publishFile(
      engine.directory.records, name: "records.sqlite", fileSystem: engine.fileSystem,
      to: repository)
    add(records.progress)
    return records.array
  }

  /// Sends again what a prune has condemned or deleted since it was found in the repository.
  private mutating func lookAgain(_ manifest: Manifest) throws {
    let whole = report
    var index = manifest
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

  /// Publishes the log of this epoch that is not archived yet, in pieces of some 16 MiB. Where the
  /// log was trimmed before it was archived there is a gap, which `backups` shows.
  private mutating func archiveLog(through last: UInt64) throws {
    let epoch = engine.log.identity.currentEpoch
    let archived =
      try repository.logPieces().filter { $0.epochCounter == epoch.counter }
      .map(\.lastLSN).max() ?? epoch.beganAtLSN
    let first = max(archived + 1, engine.log.firstLSN)
    guard first <= last else { return }
    progress.begin("archiving the log")
    var frames: [LogFrame] = []
    var bytes = 0
    try engine.log.read(after: first - 1, through: last) { frame in
      frames.append(frame)
      bytes += frame.payload.count + LogFrame.overheadBytes
      try cancellation.check()
      progress.advance(frame.payload.count)
      if bytes >= 16 << 20 {
        try putLog(frames, epoch.counter)
        frames.removeAll()
        bytes = 0
      }
    }
    if !frames.isEmpty { try putLog(frames, epoch.counter) }
  }

  private mutating func putLog(_ frames: [LogFrame], _ epochCounter: UInt64) throws {
    guard let first = frames.first, let last = frames.last else { return }
    let start = try engine.log.position(at: first.lsn - 1)
    let bytes = LogFrameStream.encode(
      identity: engine.log.identity, start: start, frames: frames)
    let range = LogPiece(epochCounter: epochCounter, firstLSN: first.lsn, lastLSN: last.lsn)
    try repository.putLog(range, bytes)
    report.logFrames += frames.count
    report.newBytes += bytes.count
  }
}

/// Canary recall as a manifest carries it.
struct CanaryAnnotation: Codable, Sendable {
  static let name = "canary"

  /// The LSN at which it was measured; the restore point's, unless writes went on meanwhile.
  var lsn: UInt64
  var report: CanaryReport

  func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Nil if the manifest has none.
  init?(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.name] else { return nil }
    self = try JSONDecoder().decode(CanaryAnnotation.self, from: Data(text.utf8))
  }

  init(lsn: UInt64, report: CanaryReport) {
    self.lsn = lsn
    self.report = report
  }
}
