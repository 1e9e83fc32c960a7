import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// Compares what a repository holds of an epoch with this database's history: names and numbers
/// prove nothing, since a copy of the database may have written others of the same. What proves
/// it is the chain.
struct HistoryComparison {
  let log: WriteAheadLog
  let repository: any Repository
  /// Positions of this history that are known besides those in the log.
  let known: [LogPosition]

  private let pieces: [LogPiece]
  private let manifests: [ManifestEntry]

  init(_ log: WriteAheadLog, _ repository: any Repository, known: [LogPosition]) throws {
    self.log = log
    self.repository = repository
    let epochs = log.identity.epochs
    self.known = known + epochs.map { LogPosition(lsn: $0.beganAtLSN, chain: $0.beganAtChain) }
    pieces = try repository.logPieces()
    manifests = try repository.manifests()
  }

  /// The last LSN that the repository has in an epoch's folder; nil if it has nothing there.
  func end(of counter: UInt64) -> UInt64? {
    let logs = pieces.filter { $0.epochCounter == counter }.map(\.lastLSN)
    let points = manifests.filter { $0.epochCounter == counter }.map(\.lsn)
    return (logs + points).max()
  }

  /// The last LSN up to which what is in an epoch's folder is known to be this history. Two that
  /// agree at one LSN agree at all before it.
  ///
  /// - Parameter extent: what of the folder can be of this history.
  func agreement(in counter: UInt64, _ extent: (after: UInt64, through: UInt64)) throws -> UInt64 {
    let limit = min(extent.through, log.end.lsn)
    let inFolder = manifests.filter { $0.epochCounter == counter && $0.lsn > extent.after }
    var agreed = extent.after
    // The newest point of either kind settles it in nearly all cases.
    for entry in inFolder.reversed() where entry.lsn <= limit && entry.lsn > agreed {
      guard let own = try chain(at: entry.lsn) else { continue }
      if try repository.getManifest(entry).chain == own {
        agreed = entry.lsn
        break
      }
    }
    let logs = pieces.filter { $0.epochCounter == counter && $0.lastLSN > extent.after }
      .sorted { ($0.lastLSN, $0.firstLSN) > ($1.lastLSN, $1.firstLSN) }
    for piece in logs where piece.firstLSN <= limit && piece.lastLSN > agreed {
      let found = try agreement(in: piece, limit)
      if let found {
        agreed = max(agreed, found)
        break
      }
    }
    return agreed
  }

  /// The last LSN at which a piece agrees; nil if it agrees nowhere, or nothing is known of it here.
  private func agreement(in piece: LogPiece, _ limit: UInt64) throws -> UInt64? {
    let archived: ArchivedLog
    do { archived = try ArchivedLog.read(piece, in: repository) } catch let error as StoreError
      where error.kind == .notFound
    {
      return nil
    }
    let usable = archived.frames.prefix { $0.lsn <= limit }
    if let last = usable.last, try chain(at: last.lsn) == last.chain { return last.lsn }
    var low = 0
    var high = usable.count
    // The frames that are known here are those behind some LSN, and a few more before it.
    while low < high {
      let middle = (low + high) / 2
      let frame = usable[middle]
      if let own = try chain(at: frame.lsn) {
        if own == frame.chain { low = middle + 1 } else { high = middle }
      } else {
        low = middle + 1
      }
    }
    if low > 0, try chain(at: usable[low - 1].lsn) == usable[low - 1].chain {
      return usable[low - 1].lsn
    }
    let elsewhere = usable.filter { frame in
      known.contains { $0 == frame.position }
    }
    if let last = elsewhere.last { return last.lsn }
    return try chain(at: archived.start.lsn) == archived.start.chain ? archived.start.lsn : nil
  }

  /// The chain of this history at an LSN; nil if it is not known any more.
  private func chain(at lsn: UInt64) throws -> Digest? {
    do { return try log.position(at: lsn).chain } catch let error as StoreError
      where error.kind == .notFound
    {
      // Trimmed, or not written yet. A log that cannot be read proves nothing and is an error.
    }
    return known.first { $0.lsn == lsn }?.chain
  }
}
