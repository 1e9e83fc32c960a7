/// Whether a database rebuilds an index by itself when that is worth it.
public enum RebuildPolicy: String, Sendable, Hashable, Codable, CaseIterable {
  case off
  /// Says so, with the reason: in the log, as the metric `vecdb_rebuild_proposed`, and in
  /// `rebuildStatus`.
  case suggest
  /// Begins it, with the parameters that the index has and the default gate and budget.
  case on
}
