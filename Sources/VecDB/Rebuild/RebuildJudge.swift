import Dispatch
import VecDBIndex

/// The gate: holds a candidate against the generation that serves, at one batch that both show.
///
/// What it compares: every live record bit for bit, the rules of the graph (which prove that each
/// record can be reached), recall of canary queries against exact answers, and the time of a
/// search. Runs on the thread that builds, beside searches and writes.
struct RebuildJudge {
  let gate: RebuildGate
  let old: IndexGeneration
  let new: IndexGeneration
  let isCancelled: @Sendable () -> Bool

  /// Both views must be of the same batch. Throws `cancelled`.
  func judge(oldView: ReadView, newView: ReadView) throws -> RebuildGateReport {
    var report = RebuildGateReport(
      lsn: oldView.lsn, records: 0, queries: 0, k: gate.k, efSearch: gate.efSearch, oldRecall: 0,
      newRecall: 0, requiredRecall: 0, oldMicroseconds: 0, newMicroseconds: 0, refusals: [])
    let difference = old.difference(from: new, at: oldView, newView)
    report.records = difference.count
    report.refusals += Self.refusals(of: difference)
    let violations = new.checkInvariants()
    if let first = violations.first {
      report.refusals.append(
        "the graph breaks its rules, \(violations.count) times or more: \(first)")
    }
    // Searching a graph that is not sound could take for ever, and would prove nothing.
    guard report.refusals.isEmpty else { return report }
    try measure(&report, oldView, newView)
    if report.newRecall < report.requiredRecall {
      report.refusals.append(
        "recall@\(gate.k) at efSearch \(gate.efSearch) is \(Self.text(report.newRecall)), "
          + "\(Self.text(report.requiredRecall - report.newRecall)) below the required "
          + "\(Self.text(report.requiredRecall)) (the old generation has "
          + "\(Self.text(report.oldRecall)))")
    }
    if Self.isStandard(report), report.newMicroseconds > report.oldMicroseconds * gate.latencyFactor
    {
      let factor = report.newMicroseconds / max(0.001, report.oldMicroseconds)
      report.refusals.append(
        "a search takes \(Int(report.newMicroseconds)) µs, \(Self.text(factor)) times the old "
          + "generation's \(Int(report.oldMicroseconds)) µs; the limit is "
          + "\(Self.text(gate.latencyFactor)) times")
    }
    return report
  }

  /// Whether the old generation's time is a standard: one that finds far less is fast for nothing.
  static func isStandard(_ report: RebuildGateReport) -> Bool {
    report.oldRecall >= min(CollectionHealth.floor, report.newRecall)
      && report.oldRecall > report.newRecall - gainThatMayCost
  }

  /// A candidate that finds so much more may take longer.
  private static let gainThatMayCost = 0.05

  /// The recall to reach: what is asked for, or that of the old generation less the tolerance and
  /// what chance makes of so few queries.
  static func requiredRecall(_ gate: RebuildGate, old: FreshQueries.Recall) -> Double {
    if let minimum = gate.minimumRecall { return minimum }
    // The same queries are asked of both, so that only part of the error counts twice.
    return max(0, old.mean - gate.recallTolerance - 1.5 * old.standardError)
  }

  static func refusals(of difference: IndexGeneration.Difference) -> [String] {
    var refusals: [String] = []
    if difference.missing > 0 {
      refusals.append(
        "\(difference.missing) of \(difference.count) live records are missing from it")
    }
    if difference.surplus > 0 {
      refusals.append("it has \(difference.surplus) records that are not live")
    }
    if difference.altered > 0 {
      refusals.append(
        "\(difference.altered) of \(difference.count) live records have another vector, key or "
          + "hash in it")
    }
    return refusals
  }

  private func measure(
    _ report: inout RebuildGateReport, _ oldView: ReadView, _ newView: ReadView
  ) throws {
    let sample = try old.reading { () throws -> FreshQueries in
      var sample = FreshQueries.leftOut(old, count: gate.queries, at: oldView)
      try sample.answer(old, k: gate.k, at: oldView)
      return sample
    }
    report.queries = sample.queries.count
    func recall(_ index: IndexGeneration, _ view: ReadView) throws -> FreshQueries.Recall {
      if isCancelled() { throw VecDBError(.cancelled, "the rebuild was interrupted") }
      return try index.reading {
        try sample.recall(
          index, k: gate.k, efSearch: gate.efSearch, at: view,
          compensation: IndexGeneration.Compensation.none)
      }
    }
    let (oldRecall, newRecall) = (try recall(old, oldView), try recall(new, newView))
    report.oldRecall = oldRecall.mean
    report.newRecall = newRecall.mean
    report.requiredRecall = Self.requiredRecall(gate, old: oldRecall)
    var (oldTimes, newTimes): ([UInt64], [UInt64]) = ([], [])
    for query in sample.queries {
      if isCancelled() { throw VecDBError(.cancelled, "the rebuild was interrupted") }
      // Alternately, each warmed up by its own first search, so that both see the same noise.
      for round in 0..<3 {
        let oldTime = try timed(old, query.vector, oldView)
        let newTime = try timed(new, query.vector, newView)
        guard round > 0 else { continue }
        oldTimes.append(oldTime)
        newTimes.append(newTime)
      }
    }
    report.oldMicroseconds = Self.median(oldTimes) / 1_000
    report.newMicroseconds = Self.median(newTimes) / 1_000
  }

  private func timed(
    _ index: IndexGeneration, _ query: [Float], _ view: ReadView
  ) throws -> UInt64 {
    let started = DispatchTime.now().uptimeNanoseconds
    _ = try index.search(
      query, k: gate.k, ef: gate.efSearch, at: view,
      compensation: IndexGeneration.Compensation.none)
    return DispatchTime.now().uptimeNanoseconds - started
  }

  private static func median(_ values: [UInt64]) -> Double {
    values.isEmpty ? 0 : Double(values.sorted()[values.count / 2])
  }

  /// Four digits behind the point at most.
  static func text(_ value: Double) -> String {
    "\((value * 10_000).rounded() / 10_000)"
  }
}
