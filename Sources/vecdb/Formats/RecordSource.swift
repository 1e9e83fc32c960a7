import VecDB

/// The records that a file of vectors, and a file of metadata beside it, describe.
///
/// A record's key is the one in its JSON line; else the value of `keyField` in its metadata; else
/// the row number from 0.
final class RecordSource {
  let vectors: any VectorSource
  /// Rows read so far.
  private(set) var row = 0
  private let metadata: MetadataLines?
  private let keyField: String?

  init(
    vectors path: String, format: VectorFormat? = nil, metadata: String? = nil,
    keyField: String? = nil
  ) throws {
    vectors = try openVectors(path, format: format)
    self.metadata = try metadata.map { try MetadataLines(ByteSource(path: $0)) }
    self.keyField = keyField
  }

  /// Rows in the file, where it tells.
  var count: Int? { vectors.count }

  /// The next record, or nil at the end of both files.
  func next() throws -> Record? {
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
    return Record(
      key: try key(found.key, fields), vector: found.vector, metadata: fields)
  }

  private func key(_ given: String?, _ fields: Metadata) throws -> String {
    guard let keyField else { return given ?? String(row) }
    switch fields.fields[keyField] {
    case .string(let text): return text
    case .integer(let number): return String(number)
    case nil:
      throw inputError(
        "the metadata has no field \"\(keyField)\" to take the key from", vectors.bytes, row: row,
        remedy: "Every row needs it, as a string or an integer.")
    default:
      throw inputError(
        "the field \"\(keyField)\" is neither a string nor an integer", vectors.bytes, row: row,
        remedy: "Keys are made of strings and integers.")
    }
  }
}
