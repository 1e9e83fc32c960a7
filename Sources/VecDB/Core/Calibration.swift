import Bytes
import VectorIndex

/// The effort that a collection needs for a recall target, measured once with canary queries and
/// again after it has grown by half.
final class Calibration: Sendable {
  private struct Measured {
    var k: Int
    var count: Int
    /// Recall at each effort of the ladder, ascending.
    var recall: [(efSearch: Int, recall: Double)]
  }

  private static let queryCount = 128
  static let ladder = [
    10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024, 2_048, 4_096,
  ]

  private let measured = Guarded<[Measured]>([])
  private let measuredWithFilters = Guarded<[FilterCalibration]>([])

  /// The least effort on the ladder that reached `recall`, or its largest.
  func efSearch(
    forRecall recall: Double, k: Int, on collection: CollectionRuntime
  ) throws -> Int {
    let count = collection.count
    let known = measured.withLock { all in
      all.first { $0.k == k && count <= $0.count + $0.count / 2 && count * 2 >= $0.count }
    }
    let table = try known ?? measure(collection, k: k, count: count)
    return table.recall.first { $0.recall >= recall }?.efSearch ?? Self.ladder.last ?? k
  }

  /// The same for a filter that `matching` slots are in.
  func effort(
    forRecall recall: Double, k: Int, matching: Int, on collection: CollectionRuntime,
    _ index: IndexGeneration, at view: ReadView
  ) throws -> (near: Int, far: Int) {
    guard !index.scansAlways(matching: matching, k: k, at: view) else { return (k, k) }
    let bucket = FilterCalibration.bucket(matching: matching, slots: view.slotCount)
    let count = collection.count
    let known = measuredWithFilters.withLock { all in
      all.first { $0.k == k && $0.bucket == bucket && $0.holds(forCount: count) }
    }
    if let known { return known.effort(forRecall: recall) }
    let table = try FilterCalibration(index, k: k, bucket: bucket, count: count, at: view)
    measuredWithFilters.withLock { all in
      all.removeAll { $0.k == k && $0.bucket == bucket }
      // Few k are in use at a time; whoever tries them all must not fill the memory.
      if all.count >= 256 { all.removeFirst() }
      all.append(table)
    }
    return table.effort(forRecall: recall)
  }

  private func measure(
    _ collection: CollectionRuntime, k: Int, count: Int
  ) throws -> Measured {
    let index = collection.index
    let sample = Canaries.queryVectors(index, count: Self.queryCount)
    let truth = try Canaries.worstTrueDistances(index, sample, k: k)
    var table: [(efSearch: Int, recall: Double)] = []
    for efSearch in Self.ladder where efSearch >= k || efSearch == Self.ladder.last {
      let recall = try Canaries.recall(index, sample, truth, k: k, efSearch: efSearch)
      table.append((efSearch, recall))
      if recall >= 0.9999 { break }
    }
    let result = Measured(k: k, count: count, recall: table)
    measured.withLock { all in
      all.removeAll { $0.k == k }
      all.append(result)
    }
    return result
  }
}

extension VectorCollection {
  /// How wide a walk must be, where the filter matches near the query and where only away from it:
  /// as the options tell, or as reached their recall target on canary queries.
  func effort(
    _ options: SearchOptions, k: Int, matching: Int?, in index: IndexGeneration, at view: ReadView
  ) throws -> (near: Int, far: Int) {
    guard let recall = options.recall, !options.exact else { return (options.efSearch, 0) }
    guard let matching else {
      return (try runtime.calibration.efSearch(forRecall: recall, k: k, on: runtime), 0)
    }
    return try runtime.calibration.effort(
      forRecall: recall, k: k, matching: matching, on: runtime, index, at: view)
  }
}
