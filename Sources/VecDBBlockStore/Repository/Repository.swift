import VecDBBytes
import VecDBFiles

/// A published manifest: its epoch and LSN are its name.
package struct ManifestEntry: Sendable, Hashable, Comparable {
  package var epochCounter: UInt64
  package var lsn: UInt64

  package init(epochCounter: UInt64, lsn: UInt64) {
    self.epochCounter = epochCounter
    self.lsn = lsn
  }

  package static func < (left: ManifestEntry, right: ManifestEntry) -> Bool {
    (left.epochCounter, left.lsn) < (right.epochCounter, right.lsn)
  }
}

/// A published piece of the log: all frames of an epoch from `firstLSN` through `lastLSN`.
package struct LogPiece: Sendable, Hashable, Comparable {
  package var epochCounter: UInt64
  package var firstLSN: UInt64
  package var lastLSN: UInt64

  package init(epochCounter: UInt64, firstLSN: UInt64, lastLSN: UInt64) {
    self.epochCounter = epochCounter
    self.firstLSN = firstLSN
    self.lastLSN = lastLSN
  }

  package static func < (left: LogPiece, right: LogPiece) -> Bool {
    (left.epochCounter, left.firstLSN, left.lastLSN)
      < (right.epochCounter, right.firstLSN, right.lastLSN)
  }
}

/// Where backups of one database live: content-named blocks, manifests, and pieces of the log.
///
/// Everything is immutable once published, and what is there is never sent again, so a backup is
/// incremental by nature. The order of publication is blocks, log, manifest; `putManifest` makes
/// everything put before it durable first. Methods may be called from several threads at once and
/// throw `StoreError`.
package protocol Repository: BlockSource {
  /// Whether a block of this length is there; its bytes are not read.
  func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool
  /// Stores a block unless it is there; returns whether it was stored. The caller vouches that
  /// `hash` is the bytes' SHA-256. Durable after `synchronize`.
  @discardableResult
  func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool
  /// As above; may store the block as the difference to another block that is there. Returns how many
  /// bytes were stored, 0 if it was there.
  func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer, basedOn base: Digest?) throws
    -> Int
  /// The blocks that a block is kept as a difference to, nearest first; none if it is kept in full.
  func bases(of hash: Digest) throws -> [Digest]
  /// Checks what is kept of a block beside what `getBlock` reads. Throws `.corrupt`.
  func checkSpareForm(of hash: Digest) throws
  /// The name that a block is stored under: its hash, or in an encrypted repository a keyed one.
  func storedName(of hash: Digest) -> Digest
  /// The stored names of all blocks, ascending.
  func blocks() throws -> [Digest]
  /// Deletes a block by its stored name. False if the place keeps it under a lock.
  @discardableResult
  func deleteBlock(_ stored: Digest) throws -> Bool

  /// Returns when all blocks put so far are durable under their names.
  func synchronize() throws

  /// Publishes a manifest under its epoch and LSN, after `synchronize`; durable on return. Throws
  /// `.alreadyExists` if there is one of that name.
  func putManifest(_ manifest: Manifest) throws
  /// All manifests, ascending.
  func manifests() throws -> [ManifestEntry]
  func getManifest(_ entry: ManifestEntry) throws -> Manifest
  /// False if the place keeps it under a lock.
  @discardableResult
  func deleteManifest(_ entry: ManifestEntry) throws -> Bool

  /// Publishes a piece of the log; durable on return. No effect if the same bytes are there under
  /// the same name; `.alreadyExists` if others are.
  func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws
  /// Puts a piece in place of a damaged one of that name.
  func replaceLog(_ piece: LogPiece, _ bytes: [UInt8]) throws
  /// All pieces, ascending.
  func logPieces() throws -> [LogPiece]
  /// The bytes of a piece as they were put. They carry checks of their own, which the caller makes.
  func getLog(_ piece: LogPiece) throws -> [UInt8]
  /// False if the place keeps it under a lock.
  @discardableResult
  func deleteLog(_ piece: LogPiece) throws -> Bool

  /// Takes an epoch counter for an epoch, once and for all; no effect if its id has it already.
  /// Throws `.alreadyExists`, naming the holder, if another epoch has it.
  func claimEpoch(_ claim: EpochClaim) throws
  /// The epochs that were claimed, ascending by counter.
  func claimedEpochs() throws -> [EpochClaim]
}

extension Repository {
  package func claimEpoch(counter: UInt64, id: UInt128) throws {
    try claimEpoch(EpochClaim(counter: counter, id: id))
  }

  package func putBlock(
    _ hash: Digest, _ bytes: UnsafeRawBufferPointer, basedOn base: Digest?
  ) throws -> Int {
    try putBlock(hash, bytes) ? bytes.count : 0
  }

  package func bases(of hash: Digest) throws -> [Digest] { [] }

  package func checkSpareForm(of hash: Digest) throws {}

  package func storedName(of hash: Digest) -> Digest { hash }

  /// The newest manifest at or below an LSN and epoch, if there is one.
  package func newestManifest(
    epochCounter: UInt64 = .max, lsn: UInt64 = .max
  ) throws -> ManifestEntry? {
    try manifests().last { $0.epochCounter <= epochCounter && $0.lsn <= lsn }
  }
}
