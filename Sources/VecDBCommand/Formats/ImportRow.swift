import VecDB

/// A record as a row of a file describes it.
struct ImportRow: Sendable {
  var record: VectorRecord
  /// Counted from 0, as keys are.
  var number: Int
  /// Whether its number is its key.
  var isNumbered: Bool
  /// The file that it is in, and its line there, where the format has lines.
  var path: String
  var line: Int?

  /// The file and the line or row, for errors.
  var place: String { "\(path), " + (line.map { "line \($0)" } ?? "row \(number)") }
}

/// Sees to it that within one import a row without a key and one that has a key do not take each
/// other's place. What the collection had before is compared when the rows are written.
struct NumberedRows {
  /// Runs of rows that had their numbers for keys, ascending. One run, or none, in most files.
  private var runs: [ClosedRange<Int>] = []

  /// Throws if a row has the key that an earlier one got as its number.
  mutating func check(_ rows: [ImportRow], mayReplace: Bool) throws {
    guard !mayReplace else { return }
    for row in rows {
      guard let key = Int(row.record.key), String(key) == row.record.key else { continue }
      if row.isNumbered {
        note(key)
      } else if has(key) {
        throw Self.conflict(row, "of an earlier row, which had none and got its number")
      }
    }
  }

  private mutating func note(_ key: Int) {
    if let last = runs.last, last.upperBound < .max, last.upperBound + 1 == key {
      runs[runs.count - 1] = last.lowerBound...key
    } else {
      runs.append(key...key)
    }
  }

  private func has(_ key: Int) -> Bool {
    var (low, high) = (0, runs.count)
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].contains(key) { return true }
      if runs[middle].upperBound < key { low = middle + 1 } else { high = middle }
    }
    return false
  }

  static func conflict(_ row: ImportRow, _ whose: String) -> VecDBError {
    VecDBError(
      .alreadyExists,
      row.isNumbered
        ? "the row has no key, and its number is the key of another record \(whose)"
        : "the row has the key \(whose)",
      at: "\(row.place): key '\(row.record.key)'",
      remedy:
        "Give every row a key (--key-field), number the rows from elsewhere (--key-offset), or "
        + "let them replace what is there (--replace).")
  }
}
