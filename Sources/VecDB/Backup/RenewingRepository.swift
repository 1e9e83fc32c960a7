import Dispatch
import FoundationEssentials
import Glibc
import Synchronization
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// A repository as a backup writes to it, safe beside a prune: a condemned block counts as absent
/// and is written again, which saves it. When repairing, so does a damaged one.
///
/// The rule that makes it safe: a block is deleted only if it was condemned for at least
/// `PruneRun.shortestGrace`, was not written again since, and no manifest names it. A backup reads
/// the list when it begins. What it relies on can therefore go only if it was on that list, or if
/// the backup has been running for as long as the grace. In both cases `needsAnotherLook`, and the
/// backup goes over all blocks again: before its manifest is published, and once more after it.
///
/// In a bucket, what is written in place of a condemned block has another name, which no prune that saw
/// the old one deletes. There only the time makes another look necessary.
package final class RenewingRepository: Sendable {
  private let base: StoredRepository
  /// By stored name, with the time of modification that a block had when it was condemned.
  private let condemned: [Digest: Int64]
  private let begun = DispatchTime.now()
  private let limiter: BackupLimiter?
  private let isRepairing: Bool
  private let repaired = Atomic(0)

  package convenience init(_ base: StoredRepository) throws {
    try self.init(base, limiter: nil, isRepairing: false)
  }

  init(
    _ base: StoredRepository, limiter: BackupLimiter? = nil, isRepairing: Bool = false
  ) throws {
    self.base = base
    self.limiter = limiter
    self.isRepairing = isRepairing
    condemned = Dictionary(
      try base.condemnedBlocks().map { ($0.hash, $0.modifiedMilliseconds) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Whether the backup must go over all blocks again before it publishes its manifest, and after.
  package func needsAnotherLook() throws -> Bool {
    let age = max(Int64(clamping: begun.elapsedNanoseconds / 1_000_000), base.listAgeMilliseconds)
    if age > Int64(PruneRun.shortestGraceSeconds) * 1_000 / 4 { return true }
    if base.isRemote { return false }
    if !condemned.isEmpty { return true }
    return try !base.condemnedBlocks().isEmpty
  }

  /// Blocks that were there and damaged, and were written again.
  var repairedBlocks: Int { repaired.load(ordering: .relaxed) }

  /// Whether the block, or one that it is kept as a difference to, may be deleted soon.
  private func isCondemned(_ hash: Digest) throws -> Bool {
    if condemned.isEmpty { return false }
    let stored = base.storedName(of: hash)
    guard try base.blockInfo(stored) != nil else { return false }
    for hash in [hash] + (try base.bases(of: hash)) {
      let stored = base.storedName(of: hash)
      guard let time = condemned[stored] else { continue }
      if try base.blockInfo(stored)?.modifiedMilliseconds == time { return true }
    }
    return false
  }

  /// Whether the block is there but cannot be read.
  private func isDamaged(_ hash: Digest) throws -> Bool {
    guard isRepairing, try base.blockInfo(base.storedName(of: hash)) != nil else { return false }
    do {
      _ = try base.getBlock(hash)
      try base.checkSpareForm(of: hash)
      return false
    } catch let error as StoreError
      where [.corrupt, .notFound, .limitExceeded, .unknownVersion].contains(error.kind)
    {
      return true
    }
  }

  /// Whether what is there of a block does not count.
  private func mustRenew(_ hash: Digest) throws -> Bool {
    do { if try isCondemned(hash) { return true } } catch let error as StoreError
      where error.kind == .corrupt || error.kind == .notFound
    {
      return true
    }
    return try isDamaged(hash)
  }
}

extension RenewingRepository: Repository {
  package var databaseID: UInt128 { base.databaseID }
  package var location: String { base.location }
  package var requestsAtOnce: Int { base.requestsAtOnce }

  package func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool {
    guard try base.hasBlock(hash, lengthBytes: lengthBytes) else { return false }
    return try !mustRenew(hash)
  }

  package func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    try putBlock(hash, bytes, basedOn: nil) > 0
  }

  package func putBlock(
    _ hash: Digest, _ bytes: UnsafeRawBufferPointer, basedOn other: Digest?
  ) throws -> Int {
    guard try !base.hasBlock(hash, lengthBytes: bytes.count) else {
      guard try mustRenew(hash) else { return 0 }
      if try isDamaged(hash) { repaired.add(1, ordering: .relaxed) }
      try base.renewBlock(hash, bytes)
      limiter?.wait(forBytes: bytes.count)
      return bytes.count
    }
    var other = other
    if let wanted = other, try mustRenew(wanted) { other = nil }
    let sent = try base.putBlock(hash, bytes, basedOn: other)
    limiter?.wait(forBytes: sent)
    return sent
  }

  package func bases(of hash: Digest) throws -> [Digest] { try base.bases(of: hash) }
  package func storedName(of hash: Digest) -> Digest { base.storedName(of: hash) }
  package func checkSpareForm(of hash: Digest) throws { try base.checkSpareForm(of: hash) }

  package func getBlock(_ hash: Digest) throws -> [UInt8] { try base.getBlock(hash) }
  package func blocks() throws -> [Digest] { try base.blocks() }
  @discardableResult
  package func deleteBlock(_ stored: Digest) throws -> Bool { try base.deleteBlock(stored) }
  package func synchronize() throws { try base.synchronize() }
  package func putManifest(_ manifest: Manifest) throws { try base.putManifest(manifest) }
  package func manifests() throws -> [ManifestEntry] { try base.manifests() }
  package func getManifest(_ entry: ManifestEntry) throws -> Manifest {
    try base.getManifest(entry)
  }
  @discardableResult
  package func deleteManifest(_ entry: ManifestEntry) throws -> Bool {
    try base.deleteManifest(entry)
  }
  package func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws { try base.putLog(piece, bytes) }
  package func replaceLog(_ piece: LogPiece, _ bytes: [UInt8]) throws {
    try base.replaceLog(piece, bytes)
  }
  package func logPieces() throws -> [LogPiece] { try base.logPieces() }
  package func getLog(_ piece: LogPiece) throws -> [UInt8] { try base.getLog(piece) }
  @discardableResult
  package func deleteLog(_ piece: LogPiece) throws -> Bool { try base.deleteLog(piece) }
  package func claimEpoch(_ claim: EpochClaim) throws {
    try base.claimEpoch(claim)
  }
  package func claimedEpochs() throws -> [EpochClaim] { try base.claimedEpochs() }
}
