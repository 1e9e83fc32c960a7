import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// The chain of one epoch as a repository has it. Two histories that agree at one LSN agree at all
/// before it.
struct ChainReader {
  private let epoch: UInt64
  private let repository: StoredRepository

  init(of epoch: UInt64, in repository: StoredRepository) {
    self.epoch = epoch
    self.repository = repository
  }

  /// The last LSN whose chain both repositories know; nil if there is none.
  func lastLSN(sharedWith other: ChainReader) throws -> UInt64? {
    var shared = try known()
    shared.formIntersection(try other.known())
    return shared.ranges.last.map { $0.upperBound - 1 }
  }

  /// What restore points and frames tell, and the LSN before each piece of log, whose chain it holds.
  private func known() throws -> RangeSet<UInt64> {
    var known = RangeSet<UInt64>()
    for entry in try repository.manifests() where entry.epochCounter == epoch && entry.lsn < .max {
      known.insert(contentsOf: entry.lsn..<entry.lsn + 1)
    }
    for piece in try pieces() {
      known.insert(contentsOf: (piece.firstLSN > 0 ? piece.firstLSN - 1 : 0)..<piece.lastLSN + 1)
    }
    return known
  }

  private func pieces() throws -> [LogPiece] {
    try repository.logPieces().filter { $0.epochCounter == epoch && $0.lastLSN < .max }
  }

  /// Nil if it has gone meanwhile. Cost: reads a manifest, or a piece of log. Throws `.corrupt`.
  func chain(at lsn: UInt64) throws -> Digest? {
    do {
      let entry = ManifestEntry(epochCounter: epoch, lsn: lsn)
      if try repository.manifests().contains(entry) {
        return try repository.getManifest(entry).chain
      }
      for piece in try pieces() where piece.firstLSN <= lsn &+ 1 && lsn <= piece.lastLSN {
        let log = try ArchivedLog.read(piece, in: repository)
        if log.start.lsn == lsn { return log.start.chain }
        if let frame = log.frames.first(where: { $0.lsn == lsn }) { return frame.chain }
      }
      return nil
    } catch let error as StoreError where error.kind == .notFound { return nil }
  }
}
