import LogStore
import VectorIndex

/// Turns a filter into the set of slots that match, with the columns of an index; what columns
/// cannot decide (long values, fields beyond the column limit) is looked up in records.
struct FilterEvaluation {
  let plan: FilterPlan
  let collection: CollectionRuntime
  let records: RecordStore
  /// The moment of the index that is asked about.
  let view: ReadView

  /// Slots that certainly match, and slots that only their records can decide.
  private struct Known {
    var matching: SlotBitset
    var undecided: SlotBitset
  }

  /// The slots that match. Slots of dead records may be among them.
  ///
  /// Cost: the distinct values of each field asked for, and a pass over its column.
  func matchingSlots() throws -> SlotBitset {
    let known = try evaluate(plan)
    var matching = known.matching
    try known.undecided.visit { slot in
      guard collection.index.isVisible(slot, in: view),
        let row = try records.row(collection: collection.id, slot: UInt32(slot))
      else { return }
      let matches = try row.metadata.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) }
      if matches { matching[slot] = true }
    }
    return matching
  }

  private func evaluate(_ plan: FilterPlan) throws -> Known {
    switch plan {
    case .leaf(let leaf):
      let selection = collection.index.columnSelection(field: leaf.fieldBytes, at: view) {
        leaf.matches($0)
      }
      return Known(matching: selection.matching, undecided: selection.undecided)
    case .all(let plans):
      var result = Known(
        matching: SlotBitset(count: view.slotCount, filled: true),
        undecided: SlotBitset(count: view.slotCount))
      for plan in plans {
        let next = try evaluate(plan)
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
        matching: SlotBitset(count: view.slotCount), undecided: SlotBitset(count: view.slotCount))
      for plan in plans {
        let next = try evaluate(plan)
        result.matching.formUnion(next.matching)
        result.undecided.formUnion(next.undecided)
        result.undecided.subtract(result.matching)
      }
      return result
    }
  }
}
