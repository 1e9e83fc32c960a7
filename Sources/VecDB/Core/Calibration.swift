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
  private static let ladder = [
    10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024, 2_048, 4_096,
  ]

  private let measured = Guarded<[Measured]>([])

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

  private func measure(
    _ collection: CollectionRuntime, k: Int, count: Int
  ) throws -> Measured {
    let index = collection.index
    let sample = Canaries.queryVectors(index, count: Self.queryCount)
    let truth = try sample.map { try Canaries.worstTrueDistance(index, $0, k: k) }
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
  /// The efSearch that reached this recall@k on canary queries.
  func efSearch(forRecall recall: Double, k: Int) throws -> Int {
    guard recall > 0, recall < 1 else {
      throw VecDBError(
        .invalidArgument, "the recall target is \(recall)", at: "query",
        remedy: "Use a number between 0 and 1, such as 0.95; for 1, ask for an exact search.")
    }
    return try runtime.calibration.efSearch(forRecall: recall, k: k, on: runtime)
  }
}
