import LogStore
import VectorIndex

/// Turns a filter into the set of slots that match, with the columns of an index; what columns
/// cannot decide (long values, fields beyond the column limit) is looked up in records.
struct FilterEvaluation {
  let plan: FilterPlan
  let collection: CollectionRuntime
  let records: RecordStore

  /// Slots that certainly match, and slots that only their records can decide.
  private struct Known {
    var matching: SlotBitset
    var undecided: SlotBitset
  }

  /// The slots that match, among those that are there now. Slots of dead records may be among them.
  ///
  /// Cost: the distinct values of each field asked for, and a pass over its column.
  func matchingSlots() throws -> SlotBitset {
    let slotCount = collection.index.publishedSlotCount
    var known = try evaluate(plan, slotCount)
    try known.undecided.forEach { slot in
      guard collection.index.isLive(slot: UInt32(slot)),
        let row = try records.row(collection: collection.id, slot: UInt32(slot))
      else { return }
      let matches = try row.metadata.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) }
      if matches { known.matching[slot] = true }
    }
    return known.matching
  }

  private func evaluate(_ plan: FilterPlan, _ slotCount: Int) throws -> Known {
    switch plan {
    case .leaf(let leaf):
      let (matching, undecided) = collection.index.columnBitset(
        field: leaf.fieldBytes, slotCount: slotCount) { leaf.matches($0) }
      return Known(matching: matching, undecided: undecided)
    case .all(let plans):
      var result = Known(
        matching: SlotBitset(count: slotCount, filled: true),
        undecided: SlotBitset(count: slotCount))
      for plan in plans {
        let next = try evaluate(plan, slotCount)
        // Possible so far, and possible in the next; certain only where both are.
        var possible = result.matching
        possible.formUnion(result.undecided)
        var nextPossible = next.matching
        nextPossible.formUnion(next.undecided)
        possible.formIntersection(nextPossible)
        result.matching.formIntersection(next.matching)
        possible.subtract(result.matching)
        result.undecided = possible
      }
      return result
    case .any(let plans):
      var result = Known(
        matching: SlotBitset(count: slotCount), undecided: SlotBitset(count: slotCount))
      for plan in plans {
        let next = try evaluate(plan, slotCount)
        result.matching.formUnion(next.matching)
        result.undecided.formUnion(next.undecided)
        result.undecided.subtract(result.matching)
      }
      return result
    }
  }
}
