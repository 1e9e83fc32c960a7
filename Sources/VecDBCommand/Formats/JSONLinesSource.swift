import VecDB

/// JSON lines: one `{"key":"17","vector":[…],"metadata":{…}}` a line; key and metadata may be
/// missing. Blank lines, and a byte order mark before the first, are skipped.
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
    guard try bytes.readText(into: &line, number: &lineNumber) else { return nil }
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
    return VectorRow(
      vector: vector, key: found.key, metadata: found.metadata,
      expiryMilliseconds: found.expiryMilliseconds, line: lineNumber)
  }
}

/// A file with one JSON object of metadata a line, or null for a row that has none. Blank lines, and
/// a byte order mark before the first, are skipped.
final class MetadataLines {
  let bytes: ByteSource
  private var lineNumber = 0
  private var line: [UInt8] = []

  init(_ bytes: ByteSource) { self.bytes = bytes }

  /// The next line's object, or nil at the end of the file.
  func next() throws -> Metadata? {
    guard try bytes.readText(into: &line, number: &lineNumber) else { return nil }
    do {
      return try line.withUnsafeBytes { text in
        var scanner = JSONScanner(text)
        let isNull = scanner.peek() == UInt8(ascii: "n")
        if isNull { _ = try scanner.scalar() }
        let metadata = isNull ? Metadata() : try scanner.metadata()
        try scanner.expectEnd()
        return metadata
      }
    } catch let failure as JSONFailure {
      throw located(failure, "\(bytes.path), line \(lineNumber)")
    }
  }
}

extension ByteSource {
  /// Reads the next line that has something in it; false at the end of the file. `number` counts
  /// all lines.
  fileprivate func readText(into line: inout [UInt8], number: inout Int) throws -> Bool {
    while try readLine(into: &line) {
      number += 1
      if number == 1, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
      if !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return true }
    }
    return false
  }
}

/// The failure with the file and the line (counted from 1, as editors do) that it is in.
private func located(_ failure: JSONFailure, _ place: String) -> VecDBError {
  var error = failure.error(in: place)
  if error.remedy.isEmpty { error.remedy = "Repair the line, then run the command again." }
  return error
}
