import VecDBIndex
import VecDBLogStore

extension CollectionRuntime {
  /// The slots of the records that match. For the writer.
  func liveSlots(where filter: Filter, _ records: RecordStore) throws -> [UInt32] {
    let view = index.view()
    var slots: [UInt32] = []
    try matchingSlots(filter, records: records, in: index, at: view).slots.visit { slot in
      if index.isVisible(slot, in: view) { slots.append(UInt32(slot)) }
    }
    return slots
  }

  /// The slots that match a filter at `view`; slots of dead records may be among them. Says too
  /// whether they came from the cache.
  ///
  /// What columns know of a slot changes only when another record gets it, so an older answer is
  /// completed by a pass over the slots born since and a look at those reused since; so is what
  /// records told of a slot, but for one whose record is yet to come.
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
      plan: try filter.plan(), index: index, collection: id, records: records, view: view,
      values: longValues)
    if let known {
      let (answer, isLasting) = try evaluation.completed(known, reused)
      if isLasting { filters.keep(answer, for: key) }
      return (answer.slots.prefix(view.slotCount), false)
    }
    var (matching, isLasting) = try evaluation.decide(evaluation.evaluate())
    matching.countMembers()
    if isLasting {
      filters.keep(.init(slots: matching, sequence: view.reuseSequence), for: key)
    }
    return (matching, false)
  }
}
