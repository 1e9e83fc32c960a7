import BlockStore
import Bytes
import Files
import LogStore

/// What a restore will use: a manifest, and the archived log from there to the target.
struct RestorePlan {
  var entry: ManifestEntry
  var manifest: Manifest
  /// Pieces of the log that follow the manifest without a gap, as many as the target needs.
  var pieces: [LogPiece]
  var target: RestoreTarget
  /// How far the log after the manifest reaches without a gap.
  var reachableLSN: UInt64

  /// Chooses the newest manifest at or before the target.
  ///
  /// - Throws: `.notFound` if there is none, or if the log has a gap before the target; the message
  ///   says what can be restored instead.
  init(_ target: RestoreTarget, in repository: any Repository) throws {
    let entries = try repository.manifests()
    guard !entries.isEmpty else {
      throw StoreError(
        .notFound, "the repository holds no backup", at: repository.location,
        remedy: "Make one with `vecdb backup`.")
    }
    var target = target
    if case .mark(let name) = target { target = .lsn(try repository.mark(named: name).lsn) }
    guard let entry = try Self.newest(target, entries, repository) else {
      throw StoreError(
        .notFound, "no restore point is at or before \(target.text)", at: repository.location,
        remedy: "The earliest is LSN \(entries[0].lsn). List them with `vecdb backups`.")
    }
    self.entry = entry
    self.target = target
    manifest = try repository.getManifest(entry)
    pieces = Self.contiguous(after: entry, try repository.logPieces())
    reachableLSN = pieces.last?.lastLSN ?? entry.lsn
    if case .lsn(let wanted) = target {
      guard wanted <= reachableLSN else {
        throw StoreError(
          .notFound, "LSN \(wanted) is not archived", at: repository.location,
          remedy: "After LSN \(entry.lsn) the log reaches to LSN \(reachableLSN); restore that.")
      }
      pieces.removeAll { $0.firstLSN > wanted }
    }
  }

  private static func newest(
    _ target: RestoreTarget, _ entries: [ManifestEntry], _ repository: any Repository
  ) throws -> ManifestEntry? {
    switch target {
    case .latest, .mark: return entries.last
    case .lsn(let lsn): return entries.last { $0.lsn <= lsn }
    case .time(let time):
      return try entries.last { try repository.getManifest($0).timeMilliseconds <= time }
    }
  }

  /// Pieces of the manifest's epoch that follow it without a gap; the first may begin before it.
  static func contiguous(after entry: ManifestEntry, _ ranges: [LogPiece]) -> [LogPiece] {
    var end = entry.lsn
    var pieces: [LogPiece] = []
    for range in ranges.sorted() where range.epochCounter == entry.epochCounter {
      guard range.lastLSN > end else { continue }
      guard range.firstLSN <= end + 1 else { break }
      pieces.append(range)
      end = range.lastLSN
    }
    return pieces
  }

  /// Whether a frame still belongs to the state that is to be restored.
  func includes(_ frame: LogFrame) -> Bool {
    switch target {
    case .latest, .mark: true
    case .lsn(let lsn): frame.lsn <= lsn
    case .time(let time): frame.timeMilliseconds <= time
    }
  }
}

extension RestoreTarget {
  var text: String {
    switch self {
    case .latest: "the latest state"
    case .mark(let name): "mark '\(name)'"
    case .lsn(let lsn): "LSN \(lsn)"
    case .time(let time): "\(time) ms after 1970"
    }
  }
}
