import Synchronization

extension IndexGeneration {
  /// Throws `.capacityExceeded` or `.outOfMemory` unless the index can grow to `slots` slots in all
  /// with `births` new records, whatever their keys and vectors are, and sets the address space for
  /// them aside. To be asked by the writer before a batch is made durable, since it could not be
  /// applied afterwards.
  ///
  /// - Parameters:
  ///   - reused: the slots that the first births take.
  ///   - newFields: metadata fields of theirs that have no column yet.
  package func requireRoom(
    slots: Int, births: Int, reusing reused: [UInt32] = [], newFields: Int = 0
  ) throws(IndexError) {
    guard slots <= IndexArrays.slotLimit else {
      throw .capacityExceeded(array: "slots", limitBytes: IndexArrays.slotLimit)
    }
    for array in slotArrays { try Self.require(slots, in: array) }
    try Self.require(arrays.exact.count + births, in: arrays.exact)
    try Self.require(arrays.keyBytes.count + births * Birth.maximumKeyBytes, in: arrays.keyBytes)
    var upperRows = arrays.upperLinks.count
    for slot in min(slots, graphCount.load(ordering: .relaxed))..<slots { upperRows += level(slot) }
    for slot in reused { upperRows += level(Int(slot)) }
    try Self.require(upperRows, in: arrays.upperLinks)
    for number in 0..<columnCount.load(ordering: .relaxed) {
      guard let column = columns[number] else { continue }
      try Self.require(slots, in: column.ids)
      try Self.require(column.entries.count + births, in: column.entries)
      try Self.require(
        column.values.count + births * Column.valueLimitBytes, in: column.values)
    }
    let known = columnCount.load(ordering: .relaxed)
    for number in known..<min(Column.limit, known + newFields) {
      if spareColumns[number] == nil {
        spareColumns[number] = try Column(number: number, field: [], slotLimit: slotLimit)
      }
      try spareColumns[number]?.reserve(slots: slots, births: births)
    }
  }

  /// Whether a metadata field has a column, or is one too many to get one. For the writer.
  package func knows(field: UnsafeRawBufferPointer) -> Bool {
    columnCount.load(ordering: .relaxed) >= Column.limit || columnNumbers[Array(field)] != nil
  }

  /// Bytes that the arrays may use before they ask the system for more.
  package var reservedBytes: Int {
    let spare = spareColumns.values.flatMap(\.arrays)
    return (checkpointArrays + spare).reduce(0) { $0 + $1.readableLengthBytes }
  }

  private static func require(_ rows: Int, in array: RowArray) throws(IndexError) {
    try array.reserve(rows)
  }
}
