import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What a restore will use: a manifest, and the archived log from there to the target.
struct RestorePlan {
  var entry: ManifestEntry
  var manifest: Manifest
  /// The log that follows the manifest without a gap, as much as the target needs.
  var log: [RepositoryHistory.Stretch]
  var target: RestoreTarget
  /// The last epoch whose writes count; nil for all.
  var epoch: UInt64?
  /// How far the log after the manifest reaches without a gap.
  var reachableLSN: UInt64

  /// Chooses the newest manifest at or before the target, or the one of LSN `base`. Those of lines
  /// that have ended are used only where the newest history has none.
  ///
  /// - Parameters:
  ///   - epoch: the last epoch whose writes count; nil for all.
  ///   - nowMilliseconds: a time after it has no state yet, unless the repository has batches of such a
  ///     time, written by a clock that was ahead.
  /// - Throws: `.notFound` if there is none, if the log has a gap before the target, or if the target
  ///   is in the future; the message says what can be restored instead.
  init(
    _ target: RestoreTarget, base: UInt64? = nil, epoch: UInt64? = nil,
    in repository: any Repository, nowMilliseconds: Int64
  ) throws {
    let history = try RepositoryHistory(repository, through: epoch ?? .max)
    if let epoch { try Self.requireKnown(epoch, history, repository) }
    guard let first = history.entries.first else {
      throw StoreError(
        .notFound, "the repository holds no backup", at: repository.location,
        remedy: "Make one with `vecdb backup`.")
    }
    var target = target
    if case .mark(let name) = target {
      target = .lsn(try repository.mark(named: name, through: epoch ?? .max).lsn)
    }
    let usable = base.map { lsn in history.entries.filter { $0.lsn == lsn } } ?? history.entries
    let chosen =
      try Self.choose(target, usable.filter(history.isCurrent), repository)
      ?? Self.choose(target, usable, repository)
    guard let entry = chosen else {
      let what =
        base.map { "restore point LSN \($0) does not exist, or is not" }
        ?? "there is no restore point"
      throw StoreError(
        .notFound, "\(what) at or before \(target.text)", at: repository.location,
        remedy: "The earliest is LSN \(first.lsn). List them with `vecdb backups`.")
    }
    self.entry = entry
    self.target = target
    self.epoch = epoch
    manifest = try repository.getManifest(entry)
    log = history.log(after: entry)
    reachableLSN = log.last?.lastLSN ?? entry.lsn
    if case .lsn(let wanted) = target {
      guard wanted <= reachableLSN else {
        throw StoreError(
          .notFound, "LSN \(wanted) is not archived", at: repository.location,
          remedy: try Self.remedy(for: wanted, history, repository)
            ?? "After LSN \(entry.lsn) the log reaches to LSN \(reachableLSN); restore that.")
      }
      log.removeAll { $0.piece.firstLSN > wanted }
    }
    if case .time(let time) = target, case let wanted = time.milliseconds,
      wanted > nowMilliseconds
    {
      let newest = try newestMilliseconds(in: repository)
      guard wanted <= newest else {
        throw StoreError(
          .notFound, "\(target.text) is in the future", at: repository.location,
          remedy:
            "The newest moment in the repository is \(UTCTime.text(newest)); restore that, or "
            + "leave the time out for the latest state.")
      }
    }
  }

  private static func requireKnown(
    _ epoch: UInt64, _ history: RepositoryHistory, _ repository: any Repository
  ) throws {
    let known = Set(history.entries.map(\.epochCounter) + history.pieces.map(\.epochCounter))
    guard !known.contains(epoch) else { return }
    throw StoreError(
      .notFound, "the repository has nothing of epoch \(epoch)", at: repository.location,
      remedy: "List the epochs with `vecdb backups`.")
  }

  /// An LSN that the newest history lacks may be one of a history that it left behind.
  private static func remedy(
    for lsn: UInt64, _ history: RepositoryHistory, _ repository: any Repository
  ) throws -> String? {
    let ended = try history.ended(in: repository).last { $0.afterLSN < lsn && lsn <= $0.lastLSN }
    return ended.map {
      "It is of the history of epoch \($0.epoch), which a newer one left behind after LSN "
        + "\($0.afterLSN): restore it with --epoch \($0.epoch) (RestoreOptions.epoch)."
    }
  }

  /// The last moment that the repository knows of: that of the restore point or of the last batch
  /// after it.
  private func newestMilliseconds(in repository: any Repository) throws -> Int64 {
    guard let last = log.last else { return manifest.timeMilliseconds }
    let frames = try ArchivedLog.read(last.piece, in: repository).frames
    let frame = frames.last { $0.lsn <= last.lastLSN }
    return max(manifest.timeMilliseconds, frame?.timeMilliseconds ?? .min)
  }

  private static func choose(
    _ target: RestoreTarget, _ usable: [ManifestEntry], _ repository: any Repository
  ) throws -> ManifestEntry? {
    switch target {
    case .latest, .mark: return usable.last
    case .lsn(let lsn): return usable.last { $0.lsn <= lsn }
    case .time(let time):
      return try usable.last { try wasThere($0, by: time.milliseconds, repository) }
    }
  }

  /// Whether a restore point's state was there at a time. It is older than the restore point: as old
  /// as a mark that names it, at least.
  private static func wasThere(
    _ entry: ManifestEntry, by time: Int64, _ repository: any Repository
  ) throws -> Bool {
    let manifest = try repository.getManifest(entry)
    if manifest.timeMilliseconds <= time { return true }
    return try Marks(in: manifest).infos.contains {
      $0.lsn == entry.lsn && $0.timeMilliseconds <= time
    }
  }

  /// Whether a frame still belongs to the state that is to be restored.
  func includes(_ frame: LogFrame) -> Bool {
    switch target {
    case .latest, .mark: true
    case .lsn(let lsn): frame.lsn <= lsn
    case .time(let time): frame.timeMilliseconds <= time.milliseconds
    }
  }
}

extension RestoreTarget {
  var text: String {
    switch self {
    case .latest: "the latest state"
    case .mark(let name): "mark '\(name)'"
    case .lsn(let lsn): "LSN \(lsn)"
    case .time(let time): UTCTime.text(time.milliseconds)
    }
  }
}

/// Moments as messages name them.
enum UTCTime {
  /// As RFC 3339, where the year has four digits.
  static func text(_ milliseconds: Int64) -> String {
    let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
    var time = time_t(seconds)
    var parts = tm()
    guard milliseconds >= 0, gmtime_r(&time, &parts) != nil, parts.tm_year < 8_100 else {
      return "\(milliseconds) ms after 1970"
    }
    var buffer = [CChar](repeating: 0, count: 32)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let text = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let digits = String(rest)
    return text + "." + String(repeating: "0", count: 3 - digits.utf8.count) + digits + "Z"
  }
}
