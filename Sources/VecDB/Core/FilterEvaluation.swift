import LogStore
import VectorIndex

/// Turns a filter into the set of slots that match, with the columns of an index; what columns
/// cannot decide (long values, fields beyond the column limit) is looked up in records.
struct FilterEvaluation {
  let plan: FilterPlan
  let index: IndexGeneration
  let collection: UInt32
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
  func evaluate() -> Known { evaluate(plan) }

  /// The slots that match: those known to, and those undecided whose records do. Slots of dead
  /// records may be among them.
  func decide(_ known: Known) throws -> SlotBitset {
    var matching = known.matching
    try known.undecided.visit { slot in
      guard index.isVisible(slot, in: view),
        let row = try records.row(collection: collection, slot: UInt32(slot))
      else { return }
      let matches = try row.metadata.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) }
      if matches { matching[slot] = true }
    }
    return matching
  }

  private func evaluate(_ plan: FilterPlan) -> Known {
    switch plan {
    case .leaf(let leaf):
      let selection = index.columnSelection(
        field: leaf.fieldBytes, from: firstSlot, at: view
      ) { leaf.matches($0) }
      return Known(matching: selection.matching, undecided: selection.undecided)
    case .all(let plans):
      var result = Known(
        matching: SlotBitset(count: view.slotCount, filled: true),
        undecided: SlotBitset(count: view.slotCount))
      for plan in plans {
        let next = evaluate(plan)
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
        let next = evaluate(plan)
        result.matching.formUnion(next.matching)
        result.undecided.formUnion(next.undecided)
        result.undecided.subtract(result.matching)
      }
      return result
    }
  }
}

extension FilterEvaluation {
  /// Whether a slot matches, as far as columns know.
  func verdict(_ slot: Int) -> Bool? { verdict(plan, slot) }

  private func verdict(_ plan: FilterPlan, _ slot: Int) -> Bool? {
    switch plan {
    case .leaf(let leaf):
      return index.columnVerdict(field: leaf.fieldBytes, slot: slot) { leaf.matches($0) }
    case .all(let plans):
      var isDecided = true
      for plan in plans {
        guard let verdict = verdict(plan, slot) else {
          isDecided = false
          continue
        }
        if !verdict { return false }
      }
      return isDecided ? true : nil
    case .any(let plans):
      var isDecided = true
      for plan in plans {
        guard let verdict = verdict(plan, slot) else {
          isDecided = false
          continue
        }
        if verdict { return true }
      }
      return isDecided ? false : nil
    }
  }
}

extension CollectionRuntime {
  /// The slots that match a filter at `view`; slots of dead records may be among them. Says too
  /// whether they came from the cache.
  ///
  /// What columns know of a slot changes only when another record gets it, so an older answer is
  /// completed by a pass over the slots born since and a look at those reused since. Only where
  /// records had to be asked, which are those of one moment, nothing is kept.
  func matchingSlots(
    _ filter: Filter, records: RecordStore, in index: IndexGeneration, at view: ReadView
  ) throws -> (slots: SlotBitset, isCached: Bool) {
    let key = FilterCache.Key(filter)
    var known = filters.answer(for: key)
    var reused: [UInt32] = []
    if let answer = known {
      if let slots = index.slotsReused(from: answer.sequence, to: view.reuseSequence) {
        reused = slots
      } else {
        known = nil
      }
    }
    if let known, reused.isEmpty, known.slots.count >= view.slotCount {
      return (known.slots.prefix(view.slotCount), true)
    }
    var evaluation = FilterEvaluation(
      plan: try filter.plan(), index: index, collection: id, records: records, view: view)
    if let known, let answer = evaluation.completed(known, reused) {
      filters.keep(answer, for: key)
      return (answer.slots.prefix(view.slotCount), false)
    }
    evaluation.firstSlot = 0
    var answer = evaluation.evaluate()
    if answer.undecided.isEmpty {
      answer.matching.countMembers()
      filters.keep(.init(slots: answer.matching, sequence: view.reuseSequence), for: key)
      return (answer.matching, false)
    }
    return (try evaluation.decide(answer), false)
  }
}

extension FilterEvaluation {
  /// An older answer brought to the present; nil where columns cannot decide some of the slots.
  fileprivate mutating func completed(
    _ known: FilterCache.Answer, _ reused: [UInt32]
  ) -> FilterCache.Answer? {
    var slots = known.slots
    if slots.count < view.slotCount {
      firstSlot = slots.count
      let more = evaluate()
      guard more.undecided.isEmpty else { return nil }
      slots.extend(from: firstSlot, with: more.matching)
    }
    for slot in reused where Int(slot) < slots.count {
      guard let verdict = verdict(Int(slot)) else { return nil }
      if slots[Int(slot)] != verdict { slots[Int(slot)] = verdict }
    }
    slots.countMembers()
    return .init(slots: slots, sequence: max(known.sequence, view.reuseSequence))
  }
}
