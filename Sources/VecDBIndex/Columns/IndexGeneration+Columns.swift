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

  /// Whether no record has ever had the field; false too where there are more fields than columns, so
  /// that nobody knows.
  package func isUnknown(field: [UInt8]) -> Bool {
    let count = columnCount.load(ordering: .acquiring)
    guard count < Column.limit else { return false }
    return !(0..<count).contains { columns[$0]?.field == field }
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
    let ids = UnsafePointer(column.ids.base.assumingMemoryBound(to: UInt32.self))
    let entries = column.entryCount.load(ordering: .acquiring)
    let verdicts = try verdicts(of: column, entries: entries, ids, from: first, at: view, predicate)
    let limit = UInt32(Int(Column.firstEntryID) + entries)
    matching.fill(
      from: first, ids: ids, table: verdicts.matching, limit: limit, kernel: kernels.selectIDs)
    if column.mayHaveUndecided {
      undecided.fill(
        from: first, ids: ids, table: verdicts.undecided, limit: limit, kernel: kernels.selectIDs)
      if first == 0, undecided.isEmpty { column.noteAllDecided() }
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

  /// Frees the dictionary entries that no slot with a record has. For maintenance.
  func collectColumnEntries() {
    let slots = slotCount.load(ordering: .relaxed)
    for number in 0..<columnCount.load(ordering: .relaxed) {
      guard let column = columns[number] else { continue }
      var used = [Bool](repeating: false, count: column.entries.count)
      for slot in 0..<slots where !isFree(slot) {
        let entry =
          Int(column.idWord(slot).pointee.load(ordering: .relaxed)) - Int(Column.firstEntryID)
        if used.indices.contains(entry) { used[entry] = true }
      }
      column.keepEntries(used)
    }
  }

  /// Sets of ids, a bit each: those that the predicate holds for, and those that the dictionary does
  /// not tell: the one that stands for long values, and what lies beyond the entries, which only
  /// damage or a write under way could cause.
  private func verdicts(
    of column: Column, entries: Int, _ ids: UnsafePointer<UInt32>, from first: Int,
    at view: ReadView, _ predicate: (UnsafeRawBufferPointer?) throws -> Bool
  ) rethrows -> (matching: [UInt32], undecided: [UInt32]) {
    let idCount = Int(Column.firstEntryID) + entries
    var matching = [UInt32](repeating: 0, count: idCount / 32 + 1)
    var undecided = matching
    func include(_ id: Int, in table: inout [UInt32]) { table[id >> 5] |= 1 << UInt32(id & 31) }
    include(Int(Column.overflowID), in: &undecided)
    include(idCount, in: &undecided)
    if try predicate(nil) { include(Int(Column.missingID), in: &matching) }
    func decide(_ id: Int) throws {
      let entry = id - Int(Column.firstEntryID)
      guard let value = column.value(entry: entry) else {
        // No visible slot has an entry that is free.
        if !column.isFree(entry) { include(id, in: &undecided) }
        return
      }
      if try predicate(value) { include(id, in: &matching) }
    }
    if view.slotCount - first < entries {
      // Fewer slots than values: only the values that they have.
      for slot in first..<max(first, view.slotCount) {
        let id = Int(column.idWord(slot).pointee.load(ordering: .relaxed))
        if id >= Column.firstEntryID, id < idCount { try decide(id) }
      }
    } else {
      for entry in 0..<entries { try decide(Int(Column.firstEntryID) + entry) }
    }
    return (matching, undecided)
  }
}
