/// The measured recall of searches in a collection, with fresh queries and against exact answers.
public struct CollectionHealth: Sendable, Hashable, Codable {
  /// How searches compensate for an index below the floor, until a rebuild replaces it.
  public enum Compensation: String, Sendable, Hashable, Codable {
    case none
    /// Searches walk the graph on the float32 vectors instead of codes.
    case vectors
    /// Searches compare every record.
    case scan
  }

  /// The collection's name.
  public var collection: String
  /// Recall@10 of a search with default options, including the compensation.
  public var recall: Double
  /// Recall@10 at ``SearchOptions/defaultEfSearch`` of the index alone, without compensation.
  public var indexRecall: Double
  /// Number of queries in the measurement.
  public var queries: Int
  /// The efSearch of searches that name none: more than ``SearchOptions/defaultEfSearch`` if that
  /// does not reach the floor.
  public var efSearch: Int
  public var compensation: Compensation
  /// Whether a rebuild may raise recall: the index has 8-bit codes that vecdb did not measure while
  /// the index grew.
  public var mayGain: Bool
  /// Live records at the time of the measurement, and its LSN.
  public var records: Int
  public var lsn: UInt64

  /// The recall@10 that an index must reach with default options. If an index is below it, vecdb
  /// reports the index, compensates for it, and proposes a rebuild.
  public static let floor = 0.9

  /// Whether searches with default options reach the floor without compensation.
  public var isGood: Bool { finding == nil }

  /// What is wrong, in one sentence; nil if nothing is.
  public var finding: String? {
    let text = "recall@10 of '\(collection)' is \(Self.text(indexRecall))"
    guard recall >= Self.floor else {
      return "\(text) at efSearch \(SearchOptions.defaultEfSearch), and \(Self.text(recall)) as "
        + "searches are done now: below \(Self.text(Self.floor))"
    }
    switch compensation {
    case .none:
      guard indexRecall < Self.floor, mayGain else { return nil }
      return
        "\(text) at efSearch \(SearchOptions.defaultEfSearch), below \(Self.text(Self.floor)); "
        + "until the index is built anew, searches that name no effort use efSearch \(efSearch)"
    case .vectors:
      return "\(text), below \(Self.text(Self.floor)); until the index is built anew, searches "
        + "walk the float32 vectors and reach \(Self.text(recall))"
    case .scan:
      return "\(text), below \(Self.text(Self.floor)); until the index is built anew, searches "
        + "compare every record"
    }
  }

  static func text(_ value: Double) -> String { "\((value * 1_000).rounded() / 1_000)" }
}

extension CanaryReport.Entry {
  /// Whether recall is so low that you must not trust the index.
  public var isBelowFloor: Bool { queries > 0 && recall < CollectionHealth.floor }

  /// What is wrong, in one sentence; nil if nothing is.
  public var finding: String? {
    guard isBelowFloor else { return nil }
    return "recall@\(k) of '\(collection)' is \(CollectionHealth.text(recall)) at efSearch "
      + "\(efSearch), below \(CollectionHealth.text(CollectionHealth.floor))"
  }
}

extension CanaryReport {
  /// What is wrong with the collections, one sentence for each.
  public var findings: [String] { collections.compactMap(\.finding) }
}
