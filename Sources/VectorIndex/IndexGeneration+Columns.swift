import Synchronization

extension IndexGeneration {
  /// Which slots of a view a predicate on one metadata field holds for.
  package struct ColumnSelection: Sendable {
    /// Slots whose value satisfies the predicate.
    package var matching: SlotBitset
    /// Slots whose value the index does not hold: the caller must look at the record.
    package var undecided: SlotBitset
  }

  /// The metadata fields that have a column, in order of first appearance.
  package var columnFields: [[UInt8]] {
    (0..<columnCount.load(ordering: .acquiring)).compactMap { columns[$0]?.field }
  }

  /// Holds `predicate` against the values that the field takes, and against nil for slots without
  /// the field, once each, and says for which slots of `view` from `first` on it holds; those before
  /// are in no set. Dead slots are not left out.
  ///
  /// Undecided are slots with a value too long for the dictionary, and all of them where the field
  /// has no column although the collection has as many as it may.
  ///
  /// What is said of a slot stays true as long as the index lives, at any later view.
  package func columnSelection(
    field: [UInt8], from first: Int = 0, at view: ReadView,
    predicate: (UnsafeRawBufferPointer?) throws -> Bool
  ) rethrows -> ColumnSelection {
    var matching = SlotBitset(count: view.slotCount)
    var undecided = SlotBitset(count: view.slotCount)
    let count = columnCount.load(ordering: .acquiring)
    guard
      let column = (0..<count).lazy.compactMap({ self.columns[$0] }).first(where: {
        $0.field == field
      })
    else {
      if count == Column.limit {
        return ColumnSelection(
          matching: matching, undecided: SlotBitset(count: view.slotCount, filled: true))
      }
      let holds = try predicate(nil)
      return ColumnSelection(
        matching: SlotBitset(count: view.slotCount, filled: holds), undecided: undecided)
    }
    // Per id. Ids beyond the entries, which only damage could cause, are left to the record, as is
    // the one that stands for long values.
    let ids = column.ids.base.assumingMemoryBound(to: Atomic<UInt32>.self)
    let entries = column.entryCount.load(ordering: .acquiring)
    let idCount = Int(Column.firstEntryID) + entries
    var verdicts = [Verdict](repeating: .undecided, count: idCount + 1)
    verdicts[Int(Column.missingID)] = try predicate(nil) ? .yes : .no
    func decide(_ id: Int) throws {
      guard let value = column.value(entry: id - Int(Column.firstEntryID)) else { return }
      verdicts[id] = try predicate(value) ? .yes : .no
    }
    if view.slotCount - first < entries {
      // Fewer slots than values: only the values that they have.
      for slot in first..<max(first, view.slotCount) {
        let id = Int(ids[slot].load(ordering: .relaxed))
        if id >= Column.firstEntryID, id < idCount, verdicts[id] == .undecided { try decide(id) }
      }
    } else {
      for entry in 0..<entries { try decide(Int(Column.firstEntryID) + entry) }
    }
    verdicts.withUnsafeBufferPointer { verdicts in
      guard let verdicts = verdicts.baseAddress else { return }
      func verdict(_ slot: Int) -> UInt8 {
        verdicts[min(Int(ids[slot].load(ordering: .relaxed)), idCount)].rawValue
      }
      matching.fill(from: first) { verdict($0) & 1 }
      undecided.fill(from: first) { verdict($0) >> 1 }
    }
    return ColumnSelection(matching: matching, undecided: undecided)
  }

  /// Whether `predicate` holds for a slot's value of a field, nil for no value; nil where the index
  /// does not hold the value.
  package func columnVerdict(
    field: [UInt8], slot: Int, predicate: (UnsafeRawBufferPointer?) -> Bool
  ) -> Bool? {
    let count = columnCount.load(ordering: .acquiring)
    guard
      let column = (0..<count).lazy.compactMap({ self.columns[$0] }).first(where: {
        $0.field == field
      })
    else { return count == Column.limit ? nil : predicate(nil) }
    let id = column.idWord(slot).pointee.load(ordering: .relaxed)
    if id == Column.missingID { return predicate(nil) }
    let entry = Int(id) - Int(Column.firstEntryID)
    guard entry >= 0, entry < column.entryCount.load(ordering: .acquiring) else { return nil }
    return column.value(entry: entry).map { predicate($0) }
  }

  private enum Verdict: UInt8 {
    case no = 0
    case yes = 1
    case undecided = 2
  }
}
