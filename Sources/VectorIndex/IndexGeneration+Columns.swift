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

  /// Evaluates `predicate` once for every value that the field takes, and once with nil for slots
  /// without the field; combines that with each slot of `view`. Dead slots are not left out.
  ///
  /// Undecided are slots with a value too long for the dictionary, and all of them where the field
  /// has no column although the collection has as many as it may.
  package func columnSelection(
    field: [UInt8], at view: ReadView, predicate: (UnsafeRawBufferPointer?) throws -> Bool
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
    // Per id: 0 no, 1 yes, 2 undecided. Ids beyond the entries, which only damage could cause, are
    // left to the record.
    let entries = column.entryCount.load(ordering: .acquiring)
    var verdicts = [UInt8](repeating: 2, count: Int(Column.firstEntryID) + entries)
    verdicts[Int(Column.missingID)] = try predicate(nil) ? 1 : 0
    for entry in 0..<entries {
      guard let value = column.value(entry: entry) else { continue }
      verdicts[Int(Column.firstEntryID) + entry] = try predicate(value) ? 1 : 0
    }
    let ids = column.ids.base.assumingMemoryBound(to: UInt32.self)
    verdicts.withUnsafeBufferPointer { verdicts in
      matching.fill { slot in
        let id = Int(ids[slot])
        return id < verdicts.count && verdicts[id] == 1
      }
      undecided.fill { slot in
        let id = Int(ids[slot])
        return id >= verdicts.count || verdicts[id] == 2
      }
    }
    return ColumnSelection(matching: matching, undecided: undecided)
  }
}
