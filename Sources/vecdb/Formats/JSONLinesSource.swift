import VecDB

/// JSON lines: one `{"key":"17","vector":[…],"metadata":{…}}` a line; key and metadata may be
/// missing. Empty lines are skipped.
final class JSONLinesSource: VectorSource {
  let bytes: ByteSource
  private(set) var dimensions: Int?
  var count: Int? { nil }

  private var row = 0
  private var lineNumber = 0
  private var line: [UInt8] = []

  /// The first row, read when the file was opened so that its dimension is known.
  private var pending: VectorRow?

  init(_ bytes: ByteSource) throws {
    self.bytes = bytes
    pending = try read()
  }

  func next() throws -> VectorRow? {
    if let first = pending {
      pending = nil
      return first
    }
    return try read()
  }

  private func read() throws -> VectorRow? {
    repeat {
      guard try bytes.readLine(into: &line) else { return nil }
      lineNumber += 1
    } while line.isEmpty
    let place = "\(bytes.path), line \(lineNumber)"
    let found: JSONRecord
    do {
      found = try line.withUnsafeBytes { try JSONRecord(line: $0, dimensions: dimensions ?? 0) }
    } catch let failure as JSONFailure { throw located(failure, place) }
    guard let vector = found.vector else {
      throw VecDBError(
        .invalidArgument, "the line has no vector", at: place,
        remedy: "Write lines like {\"key\":\"17\",\"vector\":[0.5,1],\"metadata\":{}}.")
    }
    if let dimensions, vector.count != dimensions {
      throw VecDBError(
        .invalidArgument,
        "the vector has \(vector.count) components, the rows before it \(dimensions)", at: place,
        remedy: "All vectors of a file must have the same dimension.")
    }
    dimensions = vector.count
    try requireFinite(vector, bytes, row: row)
    row += 1
    return VectorRow(vector: vector, key: found.key, metadata: found.metadata)
  }
}

/// A file with one JSON object of metadata a line.
final class MetadataLines {
  let bytes: ByteSource
  private var lineNumber = 0
  private var line: [UInt8] = []

  init(_ bytes: ByteSource) { self.bytes = bytes }

  /// The next line's object, or nil at the end of the file.
  func next() throws -> Metadata? {
    guard try bytes.readLine(into: &line) else { return nil }
    lineNumber += 1
    do {
      return try line.withUnsafeBytes { text in
        var scanner = JSONScanner(text)
        let metadata = try scanner.metadata()
        try scanner.expectEnd()
        return metadata
      }
    } catch let failure as JSONFailure {
      throw located(failure, "\(bytes.path), line \(lineNumber)")
    }
  }
}

/// The failure with the file and the line (counted from 1, as editors do) that it is in.
private func located(_ failure: JSONFailure, _ place: String) -> VecDBError {
  var error = failure.error(in: place)
  if error.remedy.isEmpty { error.remedy = "Repair the line, then run the command again." }
  return error
}
