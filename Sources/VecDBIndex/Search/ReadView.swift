import Synchronization

/// A moment of an index that one search, or several steps of one, look at.
package struct ReadView: Sendable, Hashable {
  /// Slots are visible when they were born at or before this batch and died after it.
  package let lsn: UInt64
  /// Every visible slot is below this.
  package let slotCount: Int
  /// Slots below this are visible unless they died.
  let settledSlots: Int
  /// Whether any slot has ever died.
  let hasDeaths: Bool
  /// Slots that no live record has, free ones included.
  let deadCount: Int
  let freeCount: Int
  /// Slots that got another record before this moment, each time counted: at least as many as are
  /// visible.
  package let reuseSequence: UInt64
}

extension IndexGeneration {
  /// The present moment: everything published so far. Costs a few loads.
  package func view() -> ReadView {
    // The order of loads matters: what is loaded later may be newer, never older.
    let settled = publishedSlots.load(ordering: .acquiring)
    let lsn = publishedLSN.load(ordering: .acquiring)
    let slots = slotCount.load(ordering: .acquiring)
    let reused = reuseSequence.load(ordering: .acquiring)
    let dead = deadCount.load(ordering: .acquiring)
    let free = min(dead, freeCount.load(ordering: .acquiring))
    return ReadView(
      lsn: lsn, slotCount: slots, settledSlots: settled, hasDeaths: dead > 0 || reused > 0,
      deadCount: dead, freeCount: free, reuseSequence: reused)
  }

  /// Makes every batch up to `lsn`, applied before, visible to searches that begin from now on.
  package func publish(lsn: UInt64) {
    let slots = slotCount.load(ordering: .relaxed)
    publishedLSN.store(lsn, ordering: .releasing)
    publishedSlots.store(slots, ordering: .releasing)
  }

  /// Makes visible what another generation of the same records shows: for one that takes over from
  /// it and has applied at least as much.
  package func publish(like other: IndexGeneration) {
    publishedLSN.store(other.publishedLSN.load(ordering: .acquiring), ordering: .releasing)
    publishedSlots.store(other.publishedSlots.load(ordering: .acquiring), ordering: .releasing)
  }
}
