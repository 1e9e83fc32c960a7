extension IndexGeneration {
  /// How often the values of a metadata field occur in some slots.
  package struct ColumnHistogram: Sendable {
    /// Stored forms of the values that occur, each with how many of the slots have it.
    package var values: [(bytes: [UInt8], count: Int)] = []
    /// Slots without the field.
    package var missing = 0
    /// Slots whose value the index does not hold: the caller must look at the record.
    package var undecided: [UInt32] = []
  }

  /// Counts the values of `field` over the slots that are visible in `view`, of those in `slots`
  /// where that is given.
  ///
  /// Cost: a look at each of these slots, and at each distinct value.
  package func columnHistogram(
    field: [UInt8], in slots: SlotBitset?, at view: ReadView
  ) -> ColumnHistogram {
    var histogram = ColumnHistogram()
    func visit(_ body: (Int) -> Void) {
      guard let slots else {
        for slot in 0..<view.slotCount where isVisible(slot, in: view) { body(slot) }
        return
      }
      slots.visit { if isVisible($0, in: view) { body($0) } }
    }
    let columnCount = columnCount.load(ordering: .acquiring)
    guard
      let column = (0..<columnCount).lazy.compactMap({ self.columns[$0] }).first(where: {
        $0.field == field
      })
    else {
      let isUnknown = columnCount == Column.limit
      visit { slot in
        if isUnknown { histogram.undecided.append(UInt32(slot)) } else { histogram.missing += 1 }
      }
      return histogram
    }
    let entries = column.entryCount.load(ordering: .acquiring)
    var counts = [Int](repeating: 0, count: entries)
    visit { slot in
      let id = column.idWord(slot).pointee.load(ordering: .relaxed)
      let entry = Int(id) - Int(Column.firstEntryID)
      if id == Column.missingID {
        histogram.missing += 1
      } else if entry >= 0, entry < entries {
        counts[entry] += 1
      } else {
        histogram.undecided.append(UInt32(slot))
      }
    }
    for (entry, count) in counts.enumerated() where count > 0 {
      guard let value = column.value(entry: entry) else { continue }
      histogram.values.append((Array(value), count))
    }
    return histogram
  }
}
