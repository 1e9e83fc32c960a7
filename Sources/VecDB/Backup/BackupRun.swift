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
  private var report: BackupReport

  init(
    engine: Engine, repository: DirectoryRepository, pin: BlockPin, progress: ProgressHandler?
  ) {
    self.engine = engine
    self.repository = repository
    self.pin = pin
    self.progress = ProgressReporter(progress)
    report = BackupReport(
      repository: repository.location, epoch: pin.manifest.epochCounter, lsn: pin.manifest.lsn,
      blocks: 0, totalBytes: 0, newBlocks: 0, newBytes: 0, logFrames: 0, canary: nil, seconds: 0)
  }

  /// `canary` is what was measured on the live collections, and at which LSN.
  mutating func run(canary: CanaryAnnotation?) throws -> BackupReport {
    let started = DispatchTime.now()
    var manifest = pin.manifest
    let entry = ManifestEntry(epochCounter: manifest.epochCounter, lsn: manifest.lsn)
    if try repository.manifests().contains(entry) {
      try countWhatIsThere(repository.getManifest(entry))
    } else {
      let current = engine.log.identity.currentEpoch
      try repository.claimEpoch(counter: current.counter, id: current.id.number)
      try publishArrays(of: manifest)
      manifest.records = try publishRecords()
      try archiveLog(through: manifest.lsn)
      if let canary { manifest.annotations[CanaryAnnotation.name] = try canary.encoded() }
      try repository.synchronize()
      try repository.putManifest(manifest)
      report.newBytes += manifest.encode().count
    }
    report.canary = canary?.report
    report.seconds =
      Double(DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds) / 1e9
    return report
  }

  private mutating func countWhatIsThere(_ manifest: Manifest) throws {
    for (_, array) in manifest.namedArrays {
      report.blocks += BlockList.blockCount(lengthBytes: array.lengthBytes) + 1
      report.totalBytes += array.lengthBytes
    }
  }

  private mutating func publishArrays(of manifest: Manifest) throws {
    let arrays = manifest.namedArrays.map(\.array)
    progress.begin("copying blocks", totalBytes: arrays.reduce(0) { $0 + $1.lengthBytes })
    for array in arrays {
      let list = try engine.blocks.list(of: array)
      for (index, hash) in list.hashes.enumerated() {
        let length = list.blockLengthBytes(index)
        if try !repository.hasBlock(hash, lengthBytes: length) {
          try put(hash, try engine.blocks.read(hash))
        }
        report.blocks += 1
        report.totalBytes += length
        progress.advance(length)
      }
      try put(array.list, list.encode())
    }
  }

  private mutating func put(_ hash: Digest, _ bytes: [UInt8]) throws {
    if try bytes.withUnsafeBytes({ try repository.putBlock(hash, $0) }) {
      report.newBlocks += 1
      report.newBytes += bytes.count
    }
  }

  /// Publishes `records.sqlite`, whose main file is stable: the caller holds off its checkpoints.
  private mutating func publishRecords() throws -> ArrayManifest {
    let file = try engine.fileSystem.open(engine.directory.records, .read)
    let size = try file.sizeBytes()
    progress.begin("copying records", totalBytes: size)
    var hashes: [Digest] = []
    var buffer = [UInt8](repeating: 0, count: blockSizeBytes)
    for index in 0..<BlockList.blockCount(lengthBytes: size) {
      let length = BlockList.blockLengthBytes(index, of: size)
      let bytes = try buffer.withUnsafeMutableBytes { raw in
        let part = UnsafeMutableRawBufferPointer(rebasing: raw.prefix(length))
        guard try file.read(at: index * blockSizeBytes, into: part) == length else {
          throw StoreError(
            .inputOutput, "records.sqlite became shorter while it was copied", at: file.path,
            remedy: "Run the backup again.")
        }
        return Array(part)
      }
      let hash = SHA256.hash(bytes)
      try put(hash, bytes)
      hashes.append(hash)
      report.blocks += 1
      report.totalBytes += length
      progress.advance(length)
    }
    let list = try BlockList(hashes: hashes, lengthBytes: size)
    let bytes = list.encode()
    let name = SHA256.hash(bytes)
    try put(name, bytes)
    return ArrayManifest(name: "records.sqlite", rowStrideBytes: 0, lengthBytes: size, list: name)
  }

  /// Publishes the log of this epoch that is not archived yet, in pieces of some 16 MiB. Where the
  /// log was trimmed before it was archived there is a gap, which `backups` shows.
  private mutating func archiveLog(through last: UInt64) throws {
    let epoch = engine.log.identity.currentEpoch
    let archived = try repository.logPieces().filter { $0.epochCounter == epoch.counter }
      .map(\.lastLSN).max() ?? epoch.beganAtLSN
    let first = max(archived + 1, engine.log.firstLSN)
    guard first <= last else { return }
    progress.begin("archiving the log", totalBytes: 0)
    var frames: [LogFrame] = []
    var bytes = 0
    try engine.log.read(after: first - 1, through: last) { frame in
      frames.append(frame)
      bytes += frame.payload.count + LogFrame.overheadBytes
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
