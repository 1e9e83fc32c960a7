import BlockStore
import LogStore

/// What a repository can be replayed from: its restore points, its log, and which epochs follow each
/// other.
struct RepositoryHistory {
  let entries: [ManifestEntry]
  let pieces: [LogPiece]
  /// The path of epochs that leads to the newest one, oldest first.
  let epochs: [Epoch]

  init(entries: [ManifestEntry], pieces: [LogPiece], epochs: [Epoch] = []) {
    self.entries = entries
    self.pieces = pieces
    self.epochs = epochs
  }

  /// Reads names, and one manifest or piece of log.
  init(_ repository: any Repository) throws {
    entries = try repository.manifests()
    pieces = try repository.logPieces()
    let manifest = entries.last
    if let piece = pieces.last, piece.epochCounter > manifest?.epochCounter ?? 0 {
      epochs = try ArchivedLog.read(piece, in: repository).identity.epochs
    } else if let manifest, Set(entries.map(\.epochCounter)).count > 1 {
      let epochs = try repository.getManifest(manifest).epochs
      self.epochs = try LogIdentity(decoding: epochs, at: repository.location).epochs
    } else {
      // One epoch throughout: there is no path to find.
      epochs = []
    }
  }

  /// Log that follows something without a gap: of the last piece perhaps only a part.
  struct Stretch: Hashable {
    var piece: LogPiece
    var lastLSN: UInt64
  }

  /// The last LSN of an epoch that belongs to the newest history.
  private func end(of counter: UInt64) -> UInt64? {
    guard let index = epochs.firstIndex(where: { $0.counter == counter }) else { return nil }
    return index + 1 < epochs.count ? epochs[index + 1].beganAtLSN : .max
  }

  /// Whether a restore point belongs to the newest history, and not to a line that ended when a
  /// replica was promoted from an earlier point.
  func isCurrent(_ entry: ManifestEntry) -> Bool {
    epochs.isEmpty || end(of: entry.epochCounter).map { entry.lsn <= $0 } ?? false
  }

  /// The restore point that an LSN is replayed from: of the newest history if that has one.
  func base(of lsn: UInt64) -> ManifestEntry? {
    entries.last { $0.lsn <= lsn && isCurrent($0) } ?? entries.last { $0.lsn <= lsn }
  }

  /// The log after a restore point, as far as it has no gap; the first piece may begin before it. It
  /// goes on into later epochs where these build on it.
  func log(after entry: ManifestEntry) -> [Stretch] {
    let isOnPath = !epochs.isEmpty && isCurrent(entry)
    var end = entry.lsn
    var stretches: [Stretch] = []
    for piece in pieces.sorted(by: { ($0.firstLSN, $0.lastLSN) < ($1.firstLSN, $1.lastLSN) }) {
      var last = piece.lastLSN
      if isOnPath, piece.epochCounter >= entry.epochCounter {
        guard let limit = self.end(of: piece.epochCounter) else { continue }
        last = min(last, limit)
      } else if piece.epochCounter != entry.epochCounter {
        continue
      }
      guard last > end else { continue }
      guard piece.firstLSN <= end + 1 else { break }
      stretches.append(Stretch(piece: piece, lastLSN: last))
      end = last
    }
    return stretches
  }

  /// The last LSN that can be restored from a restore point.
  func reach(of entry: ManifestEntry) -> UInt64 { log(after: entry).last?.lastLSN ?? entry.lsn }

  /// The log between the end of what can be restored from a restore point and the next one that is
  /// not there; nil if there is no gap, or nothing after it.
  func gap(after entry: ManifestEntry) -> ClosedRange<UInt64>? {
    let reach = reach(of: entry)
    let next = entries.filter { $0 > entry && $0.lsn > reach }.map(\.lsn).min()
    let nextPiece = pieces.filter { $0.firstLSN > reach + 1 }.map { $0.firstLSN - 1 }.min()
    guard let until = [next, nextPiece].compactMap({ $0 }).min(), until > reach else { return nil }
    return reach + 1...until
  }
}
