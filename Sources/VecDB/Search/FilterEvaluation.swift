import VecDBIndex
import VecDBLogStore

/// Turns a filter into the set of slots that match, with the columns of an index; what columns
/// cannot decide (long values, fields beyond the column limit) is looked up in records.
struct FilterEvaluation {
  let plan: FilterPlan
  let index: IndexGeneration
  let collection: UInt32
  let records: RecordStore
  /// The moment of the index that is asked about.
  let view: ReadView
  /// What is known of values that columns do not hold.
  let values: LongValues
  /// Slots below it are not asked about: an earlier evaluation decided them.
  var firstSlot = 0

  /// Slots that certainly match, and slots that only their records can decide.
  struct Known {
    var matching: SlotBitset
    var undecided: SlotBitset
  }

  /// What columns know about the slots from `firstSlot` on.
  ///
  /// Cost: the distinct values of each field asked for, and a pass over its column.
  func evaluate() -> Known { evaluate(plan) }

  /// The slots that match: those known to, and those undecided whose records do. Slots of dead
  /// records may be among them.
  ///
  /// The second result tells whether that stays true as long as the slots keep their records: a slot
  /// whose record is yet to come may match then.
  ///
  /// - Throws: ``RecordReplaced`` if a record of this moment is gone from records: its fate is that
  ///   of a later moment, and the filter has to be asked there.
  func decide(_ known: Known) throws -> (slots: SlotBitset, isLasting: Bool) {
    var matching = known.matching
    var isLasting = true
    try known.undecided.visit { slot in
      guard index.isVisible(slot, in: view) else {
        if index.birthLSN(of: slot) > view.lsn { isLasting = false }
        return
      }
      guard let row = try records.row(collection: collection, slot: UInt32(slot)) else {
        guard try !records.isMissing(collection: collection, slot: UInt32(slot), at: view.lsn)
        else { throw RecordReplaced.missing(slot) }
        throw RecordReplaced()
      }
      let matches = try row.metadata.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) }
      if matches { matching[slot] = true }
    }
    return (matching, isLasting)
  }

  /// Decides what hashes tell about. Where they cannot be had, records are asked.
  private func narrow(_ known: inout Known, _ leaf: FilterLeaf) {
    guard !known.undecided.isEmpty, let strings = leaf.strings,
      let table = try? values.table(
        leaf.fieldBytes, undecided: known.undecided, from: firstSlot, at: view, of: index,
        collection: collection, records)
    else { return }
    var (matching, undecided) = (known.matching, known.undecided)
    known.undecided.visit { slot in
      guard let verdict = leaf.matches(known: table[slot], strings) else { return }
      undecided[slot] = false
      if verdict { matching[slot] = true }
    }
    known = Known(matching: matching, undecided: undecided)
  }

  private func evaluate(_ plan: FilterPlan) -> Known {
    switch plan {
    case .leaf(let leaf):
      let selection = index.columnSelection(
        field: leaf.fieldBytes, from: firstSlot, at: view
      ) { leaf.matches($0) }
      var known = Known(matching: selection.matching, undecided: selection.undecided)
      narrow(&known, leaf)
      return known
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

/// A record that a filter had to look at was replaced or deleted meanwhile.
struct RecordReplaced: Error {
  /// How long a reader looks again, since the writer may lose its core between the commit that
  /// replaces a record and its publication.
  static let patience = Duration.seconds(30)

  static func tooFast(_ collection: String) -> VecDBError {
    VecDBError(
      .overloaded, "writes replace records faster than the search can read them", at: collection,
      remedy: "Search again, or without metadata.")
  }

  static func missing(_ slot: Int) -> VecDBError {
    VecDBError(
      .corrupt, "the record in slot \(slot) has no row",
      remedy: "Run `vecdb check`; restore from a backup, or write it again.")
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

extension FilterEvaluation {
  /// An older answer brought to the present, and whether it stays true; see `decide`.
  mutating func completed(
    _ known: FilterCache.Answer, _ reused: [UInt32]
  ) throws -> (answer: FilterCache.Answer, isLasting: Bool) {
    var slots = known.slots
    var isLasting = true
    if slots.count < view.slotCount {
      firstSlot = slots.count
      let (more, isSettled) = try decide(evaluate())
      isLasting = isSettled
      slots.extend(from: firstSlot, with: more)
    }
    var undecided = SlotBitset(count: slots.count)
    for slot in reused where Int(slot) < slots.count {
      let verdict = verdict(Int(slot))
      if verdict == nil { undecided[Int(slot)] = true }
      if slots[Int(slot)] != (verdict ?? false) { slots[Int(slot)] = verdict ?? false }
    }
    if !undecided.isEmpty {
      let (all, isSettled) = try decide(Known(matching: slots, undecided: undecided))
      slots = all
      isLasting = isLasting && isSettled
    }
    slots.countMembers()
    return (
      .init(slots: slots, sequence: max(known.sequence, view.reuseSequence)), isLasting
    )
  }
}
