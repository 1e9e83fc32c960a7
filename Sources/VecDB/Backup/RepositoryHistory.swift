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
  ///
  /// - Parameter epoch: leaves out what later epochs wrote: the history that led to this one then is
  ///   the newest, also if a later epoch began before its end.
  init(_ repository: any Repository, through epoch: UInt64 = .max) throws {
    entries = try repository.manifests().filter { $0.epochCounter <= epoch }
    pieces = try repository.logPieces().filter { $0.epochCounter <= epoch }
    let claims = try Self.readableClaims(repository).filter { $0.counter <= epoch }
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
    stretches(after: entry, along: isCurrent(entry) ? path : nil)
  }

  /// Along a path of epochs, or within the restore point's own epoch.
  private func stretches(after entry: ManifestEntry, along path: ArchivePath?) -> [Stretch] {
    var end = entry.lsn
    var stretches: [Stretch] = []
    for piece in pieces.sorted(by: { ($0.firstLSN, $0.lastLSN) < ($1.firstLSN, $1.lastLSN) }) {
      guard let last = lastLSN(of: piece, after: entry, along: path), last > end else { continue }
      guard piece.firstLSN <= end + 1 else { break }
      stretches.append(Stretch(piece: piece, lastLSN: last))
      end = last
    }
    return stretches
  }

  /// The last LSN of a piece that belongs to a restore point's history; nil if none does.
  private func lastLSN(
    of piece: LogPiece, after entry: ManifestEntry, along path: ArchivePath?
  ) -> UInt64? {
    if let path, piece.epochCounter >= entry.epochCounter {
      return path.extent(of: piece.epochCounter).map { min(piece.lastLSN, $0.through) }
    }
    return piece.epochCounter == entry.epochCounter ? piece.lastLSN : nil
  }

  /// The last LSN that can be restored from a restore point.
  func reach(of entry: ManifestEntry) -> UInt64 { log(after: entry).last?.lastLSN ?? entry.lsn }

  /// What cannot be restored between a restore point and the next one of the same history, or, after
  /// the last one, up to the end of the log that is there; nil if nothing is missing.
  func gap(after entry: ManifestEntry) -> ClosedRange<UInt64>? {
    // A later restore point of its own epoch follows it, also where a newer history left before.
    let ownNext = entries.filter { $0.epochCounter == entry.epochCounter && $0.lsn > entry.lsn }
    let path = ownNext.isEmpty && isCurrent(entry) ? path : nil
    let reach = stretches(after: entry, along: path).last?.lastLSN ?? entry.lsn
    let next =
      ownNext.map(\.lsn).min()
      ?? entries.filter { path != nil && $0 > entry && $0.lsn > entry.lsn && isCurrent($0) }
      .map(\.lsn).min()
    let end =
      next.map { $0 - 1 }
      ?? pieces.compactMap { lastLSN(of: $0, after: entry, along: path) }.max()
    guard let end, end > reach else { return nil }
    return reach + 1...end
  }
}
