/// How near two vectors are. Smaller distances are nearer in every metric.
public enum Metric: String, Sendable, Codable, CaseIterable {
  /// Squared Euclidean distance, Σ(q−x)².
  case l2
  /// Cosine distance, 1 − q·x/(|q||x|). Zero vectors are refused.
  case cosine
  /// Negative inner product, −q·x (maximum inner product search), also where norms differ widely:
  /// the graph is built by inner products.
  case dot
  /// Hamming distance: the number of components that differ, of vectors whose components are 0 and
  /// 1. The index keeps a bit for each.
  case hamming
}
