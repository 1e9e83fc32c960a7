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
  /// Slots below it are not asked about: an earlier evaluation decided them.
  var firstSlot = 0

  /// Slots that certainly match, and slots that only their records can decide.
  struct Known {
    var matching: SlotBitset
    var undecided: SlotBitset
  }

  /// The slots that match. Slots of dead records may be among them.
  func matchingSlots() throws -> SlotBitset { try decide(evaluate()) }

  /// What columns know about the slots from `firstSlot` on.
  ///
  /// Cost: the distinct values of each field asked for, and a pass over its column.
  func evaluate() throws -> Known { try evaluate(plan) }

  /// The slots that match: those known to, and those undecided whose records do. Slots of dead
  /// records may be among them.
  func decide(_ known: Known) throws -> SlotBitset {
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
      let selection = collection.index.columnSelection(
        field: leaf.fieldBytes, from: firstSlot, at: view
      ) { leaf.matches($0) }
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

extension CollectionRuntime {
  /// The slots that match a filter at `view`; slots of dead records may be among them. Says too
  /// whether they came from the cache.
  ///
  /// What columns know of a slot never changes, so an older answer is completed by a pass over the
  /// slots born since. Only where records had to be asked, which are those of one moment, nothing is
  /// kept.
  func matchingSlots(
    _ filter: Filter, records: RecordStore, at view: ReadView
  ) throws -> (slots: SlotBitset, isCached: Bool) {
    let key = FilterCache.Key(filter)
    let known = filters.slots(for: key)
    if let known, known.count >= view.slotCount { return (known.prefix(view.slotCount), true) }
    var evaluation = FilterEvaluation(
      plan: try filter.plan(), collection: self, records: records, view: view)
    evaluation.firstSlot = known?.count ?? 0
    var answer = try evaluation.evaluate()
    if let known {
      var slots = known
      slots.extend(from: known.count, with: answer.matching)
      answer.matching = slots
      // Before that slot nothing was undecided, or the answer would not have been kept.
      var decided = SlotBitset(count: known.count)
      decided.extend(from: known.count, with: answer.undecided)
      answer.undecided = decided
    }
    if answer.undecided.isEmpty {
      answer.matching.countMembers()
      filters.keep(answer.matching, for: key)
      return (answer.matching, false)
    }
    return (try evaluation.decide(answer), false)
  }
}
