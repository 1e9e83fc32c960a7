import Synchronization

extension IndexGeneration {
  /// Throws `.capacityExceeded` or `.outOfMemory` unless the index can grow to `slots` slots in all
  /// with `births` new records, whatever their keys and vectors are, and sets the address space for
  /// them aside. To be asked by the writer before a batch is made durable, since it could not be
  /// applied afterwards.
  package func requireRoom(slots: Int, births: Int) throws(IndexError) {
    guard slots <= IndexArrays.slotLimit else {
      throw .capacityExceeded(array: "slots", limitBytes: IndexArrays.slotLimit)
    }
    for array in slotArrays { try Self.require(slots, in: array) }
    try Self.require(arrays.exact.count + births, in: arrays.exact)
    try Self.require(arrays.keyBytes.count + births * Birth.maximumKeyBytes, in: arrays.keyBytes)
    for number in 0..<columnCount.load(ordering: .relaxed) {
      guard let column = columns[number] else { continue }
      try Self.require(slots, in: column.ids)
      try Self.require(column.entries.count + births, in: column.entries)
      try Self.require(
        column.values.count + births * Column.valueLimitBytes, in: column.values)
    }
  }

  private static func require(_ rows: Int, in array: RowArray) throws(IndexError) {
    try array.reserve(rows)
  }
}
