import VecDBBlockStore
import VecDBFiles
import VecDBLogStore

/// What a repository can be replayed from: its restore points, its log, and which epochs follow each
/// other.
struct RepositoryHistory {
  let entries: [ManifestEntry]
  let pieces: [LogPiece]
  /// The path of epochs that leads to the newest one; nil where there is one epoch throughout.
  let path: ArchivePath?

  init(entries: [ManifestEntry], pieces: [LogPiece], path: ArchivePath? = nil) {
    self.entries = entries
    self.pieces = pieces
    self.path = path
  }

  /// Reads names, the claims of epochs, and one manifest or piece of log.
  init(_ repository: any Repository) throws {
    entries = try repository.manifests()
    pieces = try repository.logPieces()
    let claims = try Self.readableClaims(repository)
    guard let epochs = try Self.newestPath(entries, pieces, claims, repository) else {
      path = nil
      return
    }
    path = ArchivePath(epochs, claims: claims)
  }

  /// None where one is damaged: `verify` tells of it, and the chain keeps a restore from mixing lines.
  private static func readableClaims(_ repository: any Repository) throws -> [EpochClaim] {
    do { return try repository.claimedEpochs() } catch let error as StoreError
      where error.kind == .corrupt || error.kind == .notFound
    { return [] }
  }

  /// The path that leads to the newest epoch; nil where there is one epoch throughout.
  private static func newestPath(
    _ entries: [ManifestEntry], _ pieces: [LogPiece], _ claims: [EpochClaim],
    _ repository: any Repository
  ) throws -> [Epoch]? {
    let (manifest, piece) = (entries.last, pieces.last)
    let newest = max(manifest?.epochCounter ?? 0, piece?.epochCounter ?? 0)
    if let claim = claims.last, claim.counter > newest, let branch = claim.branch {
      return try LogIdentity(decoding: branch.epochs, at: repository.location).epochs
    }
    if let piece, piece.epochCounter > manifest?.epochCounter ?? 0 {
      return try ArchivedLog.read(piece, in: repository).identity.epochs
    }
    guard let manifest, Set(entries.map(\.epochCounter)).count > 1 else { return nil }
    let encoded = try repository.getManifest(manifest).epochs
    return try LogIdentity(decoding: encoded, at: repository.location).epochs
  }

  /// Log that follows something without a gap: of the last piece perhaps only a part.
  struct Stretch: Hashable {
    var piece: LogPiece
    var lastLSN: UInt64
  }

  /// Whether a restore point belongs to the newest history, and not to a line that ended when a
  /// replica was promoted from an earlier point, or when the database was set back to one.
  func isCurrent(_ entry: ManifestEntry) -> Bool {
    guard let path else { return true }
    return path.extent(of: entry.epochCounter).map { entry.lsn <= $0.through } ?? false
  }

  /// The restore point that an LSN is replayed from: of the newest history if that has one.
  func base(of lsn: UInt64) -> ManifestEntry? {
    entries.last { $0.lsn <= lsn && isCurrent($0) } ?? entries.last { $0.lsn <= lsn }
  }

  /// The log after a restore point, as far as it has no gap; the first piece may begin before it. It
  /// goes on into later epochs where these build on it.
  func log(after entry: ManifestEntry) -> [Stretch] {
    let path = isCurrent(entry) ? path : nil
    var end = entry.lsn
    var stretches: [Stretch] = []
    for piece in pieces.sorted(by: { ($0.firstLSN, $0.lastLSN) < ($1.firstLSN, $1.lastLSN) }) {
      var last = piece.lastLSN
      if let path, piece.epochCounter >= entry.epochCounter {
        guard let extent = path.extent(of: piece.epochCounter) else { continue }
        last = min(last, extent.through)
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
