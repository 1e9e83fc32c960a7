/// One record found.
package struct SearchHit: Sendable, Hashable {
  package let slot: UInt32
  /// Squared L2, 1 - cosine, or the negated inner product: smaller is nearer under every metric.
  package let distance: Float

  package init(slot: UInt32, distance: Float) {
    self.slot = slot
    self.distance = distance
  }
}

/// What a search found, and what it cost.
package struct SearchOutcome: Sendable, Hashable {
  /// How the search went about it.
  package enum Plan: String, Sendable {
    /// Every matching record was compared, by its codes where there are many.
    case scan
    /// The graph was walked, dead records aside.
    case graph
    /// The graph was walked, keeping what matches.
    case filteredGraph
    /// The graph was walked from one matching record to the next, through at most one that does not
    /// match.
    case twoHop
  }

  /// Nearest first; equal distances by slot.
  package var hits: [SearchHit] = []
  /// Distances computed, integer and float.
  package var distanceCount = 0
  /// Nodes of the graph expanded.
  package var hopCount = 0
  /// Whether a walk went over the float32 rows.
  package var walksRows = false
  /// Candidates that a walk kept in a filtered search; 0 where none was begun.
  package var ef = 0
  /// How the hits were found; where a walk was given up for another plan, its distances and hops
  /// count too.
  package var plan = Plan.scan
}
