/// What was measured of searches in a collection: with fresh queries, against exact answers.
public struct CollectionHealth: Sendable, Hashable, Codable {
  /// How searches make up for an index that falls short, until it is built anew.
  public enum Compensation: String, Sendable, Hashable, Codable {
    case none
    /// The graph is walked on the float32 vectors instead of codes.
    case vectors
    /// Every record is compared.
    case scan
  }

  /// The collection's name.
  public var collection: String
  /// Recall@10 of a search with default options, as searches are done now.
  public var recall: Double
  /// Recall@10 at ``SearchOptions/defaultEfSearch`` of the index alone, without what makes up for
  /// it.
  public var indexRecall: Double
  /// Queries measured.
  public var queries: Int
  /// The efSearch of searches that name none: more than ``SearchOptions/defaultEfSearch`` where that
  /// falls short of the floor.
  public var efSearch: Int
  public var compensation: Compensation
  /// Whether another build may find more: the index has 8-bit codes that nothing measured while it
  /// grew.
  public var mayGain: Bool
  /// Live records when it was measured, and the LSN.
  public var records: Int
  public var lsn: UInt64

  /// The recall@10 that an index must reach with default options. Below it an index is reported, is
  /// made up for, and is proposed for a rebuild.
  public static let floor = 0.9

  /// Whether searches with default options reach the floor by the index itself.
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
  /// Whether so little was found that the index must not be trusted.
  public var isBelowFloor: Bool { queries > 0 && recall < CollectionHealth.floor }

  /// What is wrong, in one sentence; nil if nothing is.
  public var finding: String? {
    guard isBelowFloor else { return nil }
    return "recall@\(k) of '\(collection)' is \(CollectionHealth.text(recall)) at efSearch "
      + "\(efSearch), below \(CollectionHealth.text(CollectionHealth.floor))"
  }
}

extension CanaryReport {
  /// What is wrong with the collections, a sentence each.
  public var findings: [String] { collections.compactMap(\.finding) }
}
