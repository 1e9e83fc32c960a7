import BlockStore
import Bytes
import Dispatch
import Foundation

/// A repository as a backup writes to it, safe beside a prune: a condemned block counts as absent
/// and is written again, which saves it.
///
/// The rule that makes it safe: a block is deleted only if it was condemned for at least
/// `PruneRun.shortestGrace`, was not written again since, and no manifest names it. A backup reads
/// the list when it begins. What it relies on can therefore go only if it was on that list, or if
/// the backup has been running for as long as the grace. In both cases `needsAnotherLook`, and the
/// backup goes over all blocks again: before its manifest is published, and once more after it.
final class RenewingRepository: Sendable {
  private let base: DirectoryRepository
  /// With the time of modification that a block had when it was condemned.
  private let condemned: [Digest: Int64]
  private let begun = DispatchTime.now()
  private let limiter: RateLimiter?

  init(_ base: DirectoryRepository, limiter: RateLimiter? = nil) throws {
    self.base = base
    self.limiter = limiter
    condemned = Dictionary(
      try base.condemnedBlocks().map { ($0.hash, $0.modifiedMilliseconds) },
      uniquingKeysWith: { first, _ in first })
  }

  func needsAnotherLook() throws -> Bool {
    let seconds = (DispatchTime.now().uptimeNanoseconds - begun.uptimeNanoseconds) / 1_000_000_000
    if !condemned.isEmpty || seconds > UInt64(PruneRun.shortestGraceSeconds / 4) { return true }
    return try !base.condemnedBlocks().isEmpty
  }

  private func isCondemned(_ hash: Digest) throws -> Bool {
    guard let time = condemned[hash] else { return false }
    return try base.blockInfo(hash)?.modifiedMilliseconds == time
  }
}

extension RenewingRepository: Repository {
  var databaseID: UInt128 { base.databaseID }
  var location: String { base.location }

  func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool {
    guard try !isCondemned(hash) else { return false }
    return try base.hasBlock(hash, lengthBytes: lengthBytes)
  }

  func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    if try isCondemned(hash) {
      limiter?.wait(forBytes: bytes.count)
      try base.renewBlock(hash, bytes)
      return true
    }
    guard let limiter else { return try base.putBlock(hash, bytes) }
    guard try !base.hasBlock(hash, lengthBytes: bytes.count) else { return false }
    limiter.wait(forBytes: bytes.count)
    return try base.putBlock(hash, bytes)
  }

  func getBlock(_ hash: Digest) throws -> [UInt8] { try base.getBlock(hash) }
  func blocks() throws -> [Digest] { try base.blocks() }
  func deleteBlock(_ hash: Digest) throws { try base.deleteBlock(hash) }
  func synchronize() throws { try base.synchronize() }
  func putManifest(_ manifest: Manifest) throws { try base.putManifest(manifest) }
  func manifests() throws -> [ManifestEntry] { try base.manifests() }
  func getManifest(_ entry: ManifestEntry) throws -> Manifest { try base.getManifest(entry) }
  func deleteManifest(_ entry: ManifestEntry) throws { try base.deleteManifest(entry) }
  func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws { try base.putLog(piece, bytes) }
  func logPieces() throws -> [LogPiece] { try base.logPieces() }
  func getLog(_ piece: LogPiece) throws -> [UInt8] { try base.getLog(piece) }
  func deleteLog(_ piece: LogPiece) throws { try base.deleteLog(piece) }
  func claimEpoch(counter: UInt64, id: UInt128) throws {
    try base.claimEpoch(counter: counter, id: id)
  }
  func claimedEpochs() throws -> [(counter: UInt64, id: UInt128)] { try base.claimedEpochs() }
}

/// Lets so many bytes a second pass, over all threads together.
final class RateLimiter: Sendable {
  private let bytesPerSecond: Double
  /// When the bytes that were let pass so far are paid for.
  private let free = Guarded(DispatchTime.now().uptimeNanoseconds)

  init(bytesPerSecond: Int) { self.bytesPerSecond = Double(max(1, bytesPerSecond)) }

  /// Blocks until it is these bytes' turn.
  func wait(forBytes count: Int) {
    let nanoseconds = UInt64(Double(count) / bytesPerSecond * 1e9)
    let now = DispatchTime.now().uptimeNanoseconds
    let turn = free.withLock { free -> UInt64 in
      let turn = max(free, now)
      free = turn + nanoseconds
      return turn
    }
    if turn > now { Thread.sleep(forTimeInterval: Double(turn - now) / 1e9) }
  }
}
