import VecDB

/// The records that a file of vectors, and a file of metadata beside it, describe.
///
/// A record's key is the one in its JSON line; else the value of `keyField` in its metadata; else
/// the row number from 0, or from `keyOffset`.
final class RecordSource {
  let vectors: any VectorSource
  /// Rows read so far.
  private(set) var row = 0
  private let metadata: MetadataLines?
  private let keyField: String?
  private let keyOffset: Int

  init(
    vectors path: String, format: VectorFormat? = nil, metadata: String? = nil,
    keyField: String? = nil, keyOffset: Int = 0
  ) throws {
    vectors = try openVectors(path, format: format)
    self.metadata = try metadata.map { try MetadataLines(ByteSource(path: $0)) }
    self.keyField = keyField
    self.keyOffset = keyOffset
  }

  /// Rows in the file, where it tells.
  var count: Int? { vectors.count }

  /// The next record, or nil at the end of both files.
  func next() throws -> ImportRow? {
    do { return try read() } catch var error as VecDBError {
      // Whatever is wrong, the place where it is in the file is told.
      if !error.location.contains(", row "), !error.location.contains(", line ") {
        error.location += "\(error.location.isEmpty ? vectors.bytes.path : ""), row \(row)"
      }
      throw error
    }
  }

  private func read() throws -> ImportRow? {
    guard let found = try vectors.next() else {
      if let metadata, try metadata.next() != nil {
        throw inputError(
          "there are more lines of metadata than vectors", metadata.bytes, row: row,
          remedy: "Line n of the metadata belongs to row n of the vectors.")
      }
      return nil
    }
    defer { row += 1 }
    var fields = found.metadata ?? [:]
    if let metadata {
      guard let line = try metadata.next() else {
        throw inputError(
          "there are fewer lines of metadata than vectors", metadata.bytes, row: row,
          remedy: "Line n of the metadata belongs to row n of the vectors.")
      }
      fields.fields.merge(line.fields) { _, new in new }
    }
    let key = try key(found.key, fields)
    var record = VectorRecord(key: key ?? "", vector: found.vector, metadata: fields)
    record.expiryMilliseconds = found.expiryMilliseconds
    if key == nil {
      let (number, overflow) = row.addingReportingOverflow(keyOffset)
      guard !overflow else {
        throw inputError(
          "the row's key would be above \(Int.max)", vectors.bytes, row: row,
          remedy: "Use a smaller --key-offset.")
      }
      record.key = String(number)
    }
    return ImportRow(
      record: record, number: row, isNumbered: key == nil, path: vectors.bytes.path,
      line: found.line)
  }

  /// Nil if the row has none.
  private func key(_ given: String?, _ fields: Metadata) throws -> String? {
    guard let keyField else { return given }
    switch fields.fields[keyField] {
    case .string(let text): return text
    case .integer(let number): return String(number)
    case nil:
      throw inputError(
        "the metadata has no field \"\(keyField)\" to take the key from", vectors.bytes, row: row,
        remedy: "Every row needs this field, as a string or an integer.")
    default:
      throw inputError(
        "the field \"\(keyField)\" is neither a string nor an integer", vectors.bytes, row: row,
        remedy: "Use a field whose values are strings or integers.")
    }
  }
}
