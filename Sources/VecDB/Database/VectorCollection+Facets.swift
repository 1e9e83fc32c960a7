import VecDBIndex
import VecDBLogStore

extension VectorCollection {
  /// Counts the values of a metadata field.
  ///
  /// ```swift
  /// for facet in try notes.facets("language", where: Field("year") >= 2020).values {
  ///   print(facet.value, facet.count)
  /// }
  /// ```
  ///
  /// Values that a ``Filter`` takes for equal are one value, such as 1 and 1.0. An array counts once for
  /// each of its different elements, so the counts of a field of tags can add up to more than
  /// `matching`. Null is a value.
  ///
  /// Cost: a look at each record that matches; vecdb reads only those records from SQLite whose value the
  /// index does not hold, see <doc:Filters>.
  /// - Parameters:
  ///   - field: the name of the field. If no record has it, the answer has no values.
  ///   - filter: counts only records that match; nil counts all.
  ///   - limit: how many values the answer has at most, 1 to 65,536.
  /// - Throws: `invalidArgument` for a limit out of range or a filter that cannot be; `overloaded` if
  ///   writes replace the records faster than they can be read.
  public func facets(
    _ field: String, where filter: Filter? = nil, limit: Int = 100
  ) throws -> FacetResult {
    try VecDBError.translating {
      guard (1...65_536).contains(limit) else {
        throw VecDBError(
          .invalidArgument, "limit is \(limit)", at: name, remedy: "Use 1 to 65536.")
      }
      try (Field(field).exists).validate()
      return try reading { index, view in
        let slots = try filter.map {
          try runtime.matchingSlots($0, records: database.records, in: index, at: view).slots
        }
        let histogram = index.columnHistogram(field: Array(field.utf8), in: slots, at: view)
        var counter = FacetCounter()
        for (bytes, count) in histogram.values {
          try counter.add(bytes.withUnsafeBytes { CanonicalValue($0) }, count)
        }
        counter.missing = histogram.missing
        counter.matching += histogram.missing
        try count(histogram.undecided, of: Array(field.utf8), at: view, into: &counter)
        return counter.result(field, limit: limit)
      }
    }
  }

  private static let rowsAtOnce = 512

  /// Counts the values of records whose value the index does not hold.
  private func count(
    _ slots: [UInt32], of field: [UInt8], at view: ReadView, into counter: inout FacetCounter
  ) throws {
    var rest = slots[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(Self.rowsAtOnce))
      rest = rest.dropFirst(part.count)
      for (slot, row) in zip(part, try database.records.rows(collection: runtime.id, slots: part)) {
        guard let row else { throw try replaced(slot, at: view) }
        try field.withUnsafeBytes { name in
          try row.metadata.withUnsafeBytes { metadata in
            guard let value = try CanonicalMetadata.value(ofField: name, in: metadata) else {
              counter.missing += 1
              counter.matching += 1
              return
            }
            try counter.add(CanonicalValue(value), 1)
          }
        }
      }
    }
  }

  private func replaced(_ slot: UInt32, at view: ReadView) throws -> any Error {
    let isLost = try database.records.isMissing(
      collection: runtime.id, slot: slot, at: view.lsn)
    return isLost ? RecordReplaced.missing(Int(slot)) : RecordReplaced()
  }
}

/// Sums of values, those that a filter takes for equal together.
private struct FacetCounter {
  var matching = 0
  var missing = 0
  private var counts: [[UInt8]: Int] = [:]

  mutating func add(_ value: CanonicalValue?, _ count: Int) throws {
    matching += count
    guard let value, let owned = MetadataValue(value) else {
      throw CanonicalMetadata.corrupt("field value")
    }
    guard case .array(let elements) = owned else {
      counts[owned.unified.canonicalBytes, default: 0] += count
      return
    }
    for element in Set(elements.map { $0.unified.canonicalBytes }) {
      counts[element, default: 0] += count
    }
  }

  func result(_ field: String, limit: Int) -> FacetResult {
    let sorted = counts.sorted { left, right in
      left.value != right.value
        ? left.value > right.value : left.key.lexicographicallyPrecedes(right.key)
    }
    let values = sorted.prefix(limit).compactMap { bytes, count in
      bytes.withUnsafeBytes { CanonicalValue($0).flatMap { MetadataValue($0) } }.map {
        Facet(value: $0, count: count)
      }
    }
    return FacetResult(
      field: field, values: values, distinct: counts.count, matching: matching, missing: missing)
  }
}
