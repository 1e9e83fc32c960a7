/// How to measure the distance between two vectors. In every metric, a smaller distance is nearer.
public enum Metric: String, Sendable, Codable, CaseIterable {
  /// Squared Euclidean distance, Σ(q−x)².
  case l2
  /// Cosine distance, 1 − q·x/(|q||x|). vecdb refuses zero vectors.
  case cosine
  /// Negative inner product, −q·x (maximum inner product search). Norms may differ widely, because
  /// vecdb builds the graph by inner products.
  case dot
  /// Hamming distance: the number of components that differ between vectors of zeros and ones. The
  /// index keeps one bit for each component.
  case hamming
}
