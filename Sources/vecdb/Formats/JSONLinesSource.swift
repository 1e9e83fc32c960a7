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

  init(_ bytes: ByteSource) { self.bytes = bytes }

  func next() throws -> VectorRow? {
    repeat {
      guard try bytes.readLine(into: &line) else { return nil }
      lineNumber += 1
    } while line.isEmpty
    let found: VectorRow
    do { found = try JSONText.record(line) } catch let error as VecDBError {
      throw located(error)
    }
    if let dimensions, found.vector.count != dimensions {
      throw located(
        VecDBError(
          .invalidArgument,
          "the vector has \(found.vector.count) components, the rows before it \(dimensions)",
          remedy: "All vectors of a file must have the same dimension."))
    }
    dimensions = found.vector.count
    try requireFinite(found.vector, bytes, row: row)
    row += 1
    return found
  }

  private func located(_ error: VecDBError) -> VecDBError {
    lineError(error, bytes, line: lineNumber)
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
    do { return try JSONText.metadata(line) } catch let error as VecDBError {
      throw lineError(error, bytes, line: lineNumber)
    }
  }
}

/// The error with file and line (counted from 1, as editors do) in front of its own place.
private func lineError(_ error: VecDBError, _ bytes: ByteSource, line: Int) -> VecDBError {
  var located = error
  located.location = "\(bytes.path), line \(line)"
  if !error.location.isEmpty { located.location += ", \(error.location)" }
  if located.remedy.isEmpty { located.remedy = "Repair the line, then run the command again." }
  return located
}
