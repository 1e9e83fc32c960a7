/// Whether a database rebuilds an index by itself when that is worth it.
public enum RebuildPolicy: String, Sendable, Hashable, Codable, CaseIterable {
  case off
  /// Proposes it, with the reason: in the log, as the metric `vecdb_rebuild_proposed`, and in
  /// `rebuildStatus`.
  case suggest
  /// Also begins it, with the parameters of the present index and the default gate and budget.
  case on
}
