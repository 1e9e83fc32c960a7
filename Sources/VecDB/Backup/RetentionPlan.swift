import FoundationEssentials
import Glibc
import VecDBBlockStore

/// What a policy makes of a repository: a pure function of what is in it.
struct RetentionPlan {
  struct Point: Hashable {
    var entry: ManifestEntry
    var timeMilliseconds: Int64
  }

  /// Why each restore point is kept; those without a reason go. Ascending.
  var points: [(point: Point, reasons: [String])]
  var removedPieces: [LogPiece]
  var keptMarks: [MarkInfo]
  /// Marks that could be restored and cannot any more: only with `force`.
  var droppedMarks: [MarkInfo]

  /// `points` ascending, all readable; `marks` those that can be restored now. With `force`, marks
  /// are no reason to keep anything.
  init(
    _ policy: RetentionPolicy, points: [Point], history: RepositoryHistory, marks: [MarkInfo],
    force: Bool
  ) {
    let pieces = history.pieces
    var reasons: [ManifestEntry: [String]] = [:]
    func keep(_ point: Point, _ reason: String) { reasons[point.entry, default: []].append(reason) }
    if let newest = points.last { keep(newest, "newest") }
    for point in points.suffix(max(0, policy.keepLast)) { keep(point, "last") }
    for (count, period, reason) in [
      (policy.keepDaily, Calendar.day, "daily"), (policy.keepWeekly, Calendar.week, "weekly"),
      (policy.keepMonthly, Calendar.month, "monthly"),
    ] {
      var seen = Set<String>()
      for point in points.reversed() where seen.count < count {
        if seen.insert(period(point.timeMilliseconds)).inserted { keep(point, reason) }
      }
    }
    // Every moment between the oldest point of the window and now can be restored.
    var windowStart = points.last
    if policy.keepLast > 0 { windowStart = points.suffix(policy.keepLast).first ?? windowStart }
    if policy.keepWithinMilliseconds > 0, let newest = points.last {
      let (limit, isAll) = newest.timeMilliseconds.subtractingReportingOverflow(
        policy.keepWithinMilliseconds)
      let base = points.lastIndex { !isAll && $0.timeMilliseconds <= limit } ?? 0
      for point in points[base...] { keep(point, "within") }
      if let start = windowStart, points[base].entry < start.entry { windowStart = points[base] }
    }
    var needed: [(epoch: UInt64, after: UInt64, through: UInt64)] = []
    if !force {
      for mark in marks {
        // The nearest one that is kept anyway serves where the log reaches from it to the mark.
        let before = points.filter { $0.entry.lsn <= mark.lsn }
        let serving = before.last {
          reasons[$0.entry] != nil && history.reach(of: $0.entry) >= mark.lsn
        }
        guard let base = serving ?? before.last else { continue }
        if serving == nil { keep(base, "mark \(mark.name)") }
        needed.append((base.entry.epochCounter, base.entry.lsn, mark.lsn))
      }
    }
    if let start = windowStart?.entry {
      needed.append((start.epochCounter, start.lsn, .max))
      for epoch in Set(pieces.map(\.epochCounter)) where epoch > start.epochCounter {
        needed.append((epoch, 0, .max))
      }
    }
    // The newest piece of an epoch tells the next backup how far the archive reaches.
    let newestPieces = Set(
      Dictionary(grouping: pieces, by: \.epochCounter).values.compactMap {
        $0.max { $0.lastLSN < $1.lastLSN }
      })
    removedPieces = pieces.filter { piece in
      !newestPieces.contains(piece)
        && !needed.contains {
          $0.epoch == piece.epochCounter && piece.lastLSN > $0.after && piece.firstLSN <= $0.through
        }
    }
    self.points = points.map { ($0, reasons[$0.entry] ?? []) }
    let kept = points.filter { reasons[$0.entry] != nil }
    let gone = Set(removedPieces)
    let left = RepositoryHistory(
      entries: kept.map(\.entry), pieces: pieces.filter { !gone.contains($0) },
      path: history.path)
    let restorable = Set(marks.filter { left.canRestore($0) })
    keptMarks = marks.filter { restorable.contains($0) }
    droppedMarks = marks.filter { !restorable.contains($0) }
  }
}

/// Names of periods of time, in UTC.
private enum Calendar {
  static func day(_ milliseconds: Int64) -> String { text(milliseconds, "%Y-%m-%d") }
  static func week(_ milliseconds: Int64) -> String { text(milliseconds, "%G-%V") }
  static func month(_ milliseconds: Int64) -> String { text(milliseconds, "%Y-%m") }

  private static func text(_ milliseconds: Int64, _ format: String) -> String {
    var time = time_t(Int((Double(milliseconds) / 1000).rounded(.down)))
    var parts = tm()
    gmtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    let count = strftime(&buffer, buffer.count, format, &parts)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
