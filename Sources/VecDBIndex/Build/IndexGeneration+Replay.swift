import VecDBBytes

extension IndexGeneration {
  /// Builds the generation anew: from each slot's vector, key, hash and values, and the batches in
  /// which it was born and died.
  ///
  /// The graph and the codes are a function of these, so that the result has the same bytes, even
  /// where this generation's own are damaged. It has not where slots were used again or the
  /// generation was not built batch by batch; whoever asks compares hashes.
  ///
  /// - Parameter record: key, hash and values of a slot as another place knows them; where it gives
  ///   nil, what is here counts.
  package func replayed(
    options: IndexOptions, record: (Int) throws -> (key: [UInt8], hash: Digest, [ColumnValue])?
  ) throws -> IndexGeneration {
    let result = try IndexGeneration(parameters: parameters, options: options)
    var births: [UInt64: [Int]] = [:]
    var deaths: [UInt64: [UInt32]] = [:]
    for slot in 0..<assignedSlotCount {
      births[bornLSN(slot), default: []].append(slot)
      if diedLSN(slot) != .max { deaths[diedLSN(slot), default: []].append(UInt32(slot)) }
    }
    for lsn in Set(births.keys).union(deaths.keys).sorted() {
      let born = try (births[lsn] ?? []).map { slot in
        guard let vector = vector(slot), vector.allSatisfy(\.isFinite) else {
          throw IndexError.corruptState("slot \(slot) has no vector")
        }
        let (key, hash, values) =
          try record(slot)
          ?? (
            withKey(slot) { Array($0) } ?? [], recordHash(slot) ?? .zero, columnValues(of: slot)
          )
        return Birth(key: key, vector: vector, hash: hash, columns: values)
      }
      try result.apply(lsn: lsn, deaths: deaths[lsn] ?? [], births: born)
    }
    return result
  }

  /// The values of a slot's fields. Those that are too long for a column are not there: others of
  /// that kind stand for them.
  private func columnValues(of slot: Int) -> [ColumnValue] {
    (0..<columnCount.load(ordering: .acquiring)).compactMap { number in
      guard let column = columns[number], slot < column.ids.count else { return nil }
      let id = column.ids.row(slot).load(as: UInt32.self)
      switch id {
      case Column.missingID: return nil
      case Column.overflowID:
        let long = [UInt8](repeating: 0, count: Column.valueLimitBytes + 1)
        return ColumnValue(field: column.field, value: long)
      default:
        let entry = Int(id - Column.firstEntryID)
        guard entry < column.entries.count, let value = column.value(entry: entry) else {
          return nil
        }
        return ColumnValue(field: column.field, value: Array(value))
      }
    }.sorted { $0.field.lexicographicallyPrecedes($1.field) }
  }

  /// The bytes of every block of every array. For a generation that nobody writes.
  package func forEachBlock(
    _ body: (_ array: String, _ lengthBytes: Int, _ block: Int, _ bytes: UnsafeRawBufferPointer)
      throws -> Void
  ) rethrows {
    for array in checkpointArrays {
      for block in 0..<array.blockCount {
        let start = block * RowArray.blockSizeBytes
        let length = min(RowArray.blockSizeBytes, array.lengthBytes - start)
        let bytes = UnsafeRawBufferPointer(start: array.base + start, count: length)
        try body(array.name, array.lengthBytes, block, bytes)
      }
    }
  }
}
