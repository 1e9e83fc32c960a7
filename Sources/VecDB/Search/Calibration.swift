import VecDBBytes
import VecDBIndex

/// How a search is to be done so that it reaches what was asked for.
struct SearchEffort: Sendable, Hashable {
  /// The width of a walk where the filter, if there is one, matches near the query.
  var near: Int
  /// And where it matches only away from it.
  var far = 0
  /// No walk reaches it: every record is compared.
  var isExact = false

  static let exact = SearchEffort(near: 0, isExact: true)
}

/// The effort that a collection needs for a recall target, measured with fresh queries of several
/// kinds, and again after a fifth of the collection has changed.
///
/// The kind that needs most decides. What was measured must reach the target with confidence: chance
/// alone lifts a measurement above a target that the next queries miss. Where no walk reaches it,
/// searches compare every record.
///
/// One thread measures; others who want the same wait for it.
final class Calibration: Sendable {
  /// Measured so far of one k.
  private struct Table: Sendable {
    var k: Int
    var moment: Moment
    var samples: [FreshQueries]
    /// What is certain at each effort of the ladder so far, ascending.
    var steps: [(efSearch: Int, recall: Double)] = []
  }

  /// What a collection was when it was measured.
  private struct Moment: Sendable {
    var count: Int
    /// Records written since the beginning.
    var written: Int
    var usesRows: Bool

    init(_ index: IndexGeneration) {
      count = index.liveCount
      written = index.writtenCount
      usesRows = index.usesRows
    }

    /// Whether what was measured then still holds: a fifth of other records may be other data.
    func holds(for now: Moment) -> Bool {
      usesRows == now.usesRows && now.written - written <= max(64, count / 5)
        && now.count * 5 >= count * 4
    }
  }

  static let ladder = [
    10, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1_024, 1_536, 2_048,
    3_072, 4_096,
  ]
  /// Queries of a kind at most and at least; fewer where exact answers take long.
  private static let queryCounts = 64...256
  /// Components of vectors that the exact answers of a kind compare at most: about a second of one
  /// core.
  private static let exactComponents = 4_000_000_000
  /// Queries that were asked, from which on they count.
  private static let leastAsked = 48
  /// Nobody notices a thousandth.
  private static let leeway = 0.001

  private let tables = Guarded<[Table]>([])
  private let turn = Guarded(())
  private let measuredWithFilters = Guarded<[FilterCalibration]>([])

  /// The least effort of the ladder that certainly reaches `recall`; nil where it was not measured,
  /// or the collection is another now.
  func known(forRecall recall: Double, k: Int, on index: IndexGeneration) -> SearchEffort? {
    let now = Moment(index)
    return tables.withLock { all in
      all.first { $0.k == k && $0.moment.holds(for: now) }
        .flatMap { Self.effort(forRecall: recall, in: $0) }
    }
  }

  /// Measures until that is known. Not inside of a reading: writers would wait for all of it.
  func measure(
    forRecall recall: Double, k: Int, on index: IndexGeneration, asked: QueryReservoir
  ) throws -> SearchEffort {
    try turn.withLock { _ in
      if let known = known(forRecall: recall, k: k, on: index) { return known }
      return try climb(to: recall, k: k, index, asked)
    }
  }

  /// Nil where it was not measured so far.
  private static func effort(forRecall recall: Double, in table: Table) -> SearchEffort? {
    if let step = table.steps.first(where: { $0.recall >= recall - leeway }) {
      return SearchEffort(near: step.efSearch)
    }
    return table.steps.last?.efSearch == ladder.last ? .exact : nil
  }

  private func climb(
    to recall: Double, k: Int, _ index: IndexGeneration, _ reservoir: QueryReservoir
  ) throws -> SearchEffort {
    let now = Moment(index)
    let known = tables.withLock { all in
      all.first { $0.k == k && $0.moment.holds(for: now) }
    }
    var table = try known ?? Self.begin(reservoir, index, k: k, now)
    let asked = table.samples.filter { !$0.isEmpty }
    let done = table.steps.last?.efSearch ?? 0
    for efSearch in Self.ladder where efSearch > done {
      guard efSearch >= k || efSearch == Self.ladder.last else { continue }
      // With this width a walk looks at more records than there are.
      guard efSearch < now.count || table.steps.isEmpty else {
        table.steps.append((Self.ladder.last ?? efSearch, 0))
        break
      }
      var least = 1.0
      // All kinds, also where one has missed this target: a lower one may be asked of the same step.
      for sample in asked {
        let measured = try sample.recall(index, k: k, efSearch: efSearch)
        least = min(least, measured.mean - measured.standardError)
      }
      table.steps.append((efSearch, least))
      if least >= recall - Self.leeway { break }
    }
    let result = table
    tables.withLock { all in
      all.removeAll { $0.k == k }
      // Few k are in use at a time; whoever tries them all must not fill the memory.
      if all.count >= 16 { all.removeFirst() }
      all.append(result)
    }
    return Self.effort(forRecall: recall, in: result) ?? .exact
  }

  private static func begin(
    _ reservoir: QueryReservoir, _ index: IndexGeneration, k: Int, _ now: Moment
  ) throws -> Table {
    let components = max(1, now.count * index.parameters.dimensions)
    let queries = min(
      queryCounts.upperBound, max(queryCounts.lowerBound, exactComponents / components))
    var samples = [
      FreshQueries.leftOut(index, count: queries),
      FreshQueries.recent(index, count: queries / 2),
      try FreshQueries.perturbed(index, count: queries / 2),
    ]
    let asked = reservoir.vectors
    if asked.count >= leastAsked { samples.append(FreshQueries.asked(asked)) }
    for number in samples.indices { try samples[number].answer(index, k: k) }
    return Table(k: k, moment: now, samples: samples)
  }

  /// The same for a filter that `matching` slots are in.
  func known(
    forRecall recall: Double, k: Int, matching: Int, on index: IndexGeneration, at view: ReadView
  ) -> SearchEffort? {
    guard !index.scansAlways(matching: matching, k: k, at: view) else {
      return SearchEffort(near: k, far: k)
    }
    let bucket = FilterCalibration.bucket(matching: matching, slots: view.slotCount)
    let count = index.liveCount
    return measuredWithFilters.withLock { all in
      all.first { $0.k == k && $0.bucket == bucket && $0.holds(forCount: count) }?
        .effort(forRecall: recall)
    }
  }

  func measure(
    forRecall recall: Double, k: Int, matching: Int, on index: IndexGeneration
  ) throws -> SearchEffort {
    try turn.withLock { _ in
      let view = index.view()
      if let known = known(forRecall: recall, k: k, matching: matching, on: index, at: view) {
        return known
      }
      let bucket = FilterCalibration.bucket(matching: matching, slots: view.slotCount)
      let table = try FilterCalibration(index, k: k, bucket: bucket, count: index.liveCount)
      measuredWithFilters.withLock { all in
        all.removeAll { $0.k == k && $0.bucket == bucket }
        if all.count >= 256 { all.removeFirst() }
        all.append(table)
      }
      return table.effort(forRecall: recall)
    }
  }
}
