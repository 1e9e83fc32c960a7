import Bytes
import VectorIndex

/// Whether a database rebuilds an index by itself when that is worth it.
public enum RebuildPolicy: String, Sendable, Hashable, Codable, CaseIterable {
  case off
  /// Says so, with the reason, in the log, in metrics and in `rebuildStatus`.
  case suggest
  /// Begins it, with the same parameters.
  case on
}

/// Tells when a rebuild is worth it.
final class RebuildAdvisor: Sendable {
  struct Proposal: Sendable, Hashable {
    var reason: String
  }

  let policy: RebuildPolicy
  init(policy: RebuildPolicy) { self.policy = policy }

  func proposal(for runtime: CollectionRuntime) -> Proposal? { nil }
}
