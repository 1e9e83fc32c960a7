import VecDB

/// A two-dimensional NumPy array in a `.npy` file, versions 1 to 3: uint8, int8, float16, float32
/// or float64, little-endian, rows one after the other (C order).
final class NumPySource: VectorSource {
  let bytes: ByteSource
  let dimensions: Int?
  let count: Int?

  private let rows: Int
  private let columns: Int
  private let component: ComponentType
  private var row = 0
  private var buffer: [UInt8]

  init(_ bytes: ByteSource) throws {
    self.bytes = bytes
    let header = try NumPyHeader(bytes)
    (rows, columns, component) = (header.rows, header.columns, header.component)
    dimensions = columns
    count = rows
    let rowBytes = columns * component.sizeBytes
    buffer = [UInt8](repeating: 0, count: rowBytes)
    if let size = bytes.sizeBytes {
      let body = size - bytes.offset
      guard body == rows * rowBytes else {
        throw inputError(
          "the header promises \(rows) rows of \(rowBytes) bytes, but \(body) bytes follow it",
          bytes, row: body / rowBytes, remedy: "The file is cut short or damaged; write it again.")
      }
    }
  }

  func next() throws -> VectorRow? {
    guard row < rows else {
      // Reading to the very end also hears what gzip has to say about its checksum.
      var extra: UInt8 = 0
      guard try withUnsafeMutableBytes(of: &extra, { try bytes.read(into: $0) }) == 0 else {
        throw inputError(
          "there are bytes behind the \(rows) rows that the header promises", bytes, row: rows,
          remedy: "The file is damaged; write it again.")
      }
      return nil
    }
    let found = try buffer.withUnsafeMutableBytes { try bytes.read(into: $0) }
    guard found == buffer.count else {
      throw inputError(
        "the file ends here, but its header promises \(rows) rows", bytes, row: row,
        remedy: "The file is cut short; fetch or write it again.")
    }
    let vector = buffer.withUnsafeBytes { component.decode($0, count: columns) }
    try requireFinite(vector, bytes, row: row)
    row += 1
    return VectorRow(vector: vector)
  }
}

/// What stands in front of a NumPy array.
private struct NumPyHeader {
  var rows: Int
  var columns: Int
  var component: ComponentType

  init(_ bytes: ByteSource) throws {
    func refuse(_ message: String) -> VecDBError {
      VecDBError(
        .invalidArgument, message, at: bytes.path,
        remedy: "Write a two-dimensional array of float32, float64, float16, int8 or uint8: "
          + "numpy.save(file, numpy.ascontiguousarray(array, 'float32')).")
    }
    func take(_ count: Int) throws -> [UInt8] {
      var part = [UInt8](repeating: 0, count: count)
      guard try part.withUnsafeMutableBytes({ try bytes.read(into: $0) }) == count else {
        throw refuse("the file ends inside the NumPy header")
      }
      return part
    }
    guard try take(6) == [0x93] + Array("NUMPY".utf8) else {
      throw refuse("this is not a NumPy file: the magic bytes are missing")
    }
    let version = try take(2)
    guard (1...3).contains(version[0]) else {
      throw refuse("version \(version[0]) of the NumPy format is not known")
    }
    let size = try take(version[0] == 1 ? 2 : 4).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard size <= 65_536 else { throw refuse("the NumPy header is damaged") }
    let text = String(decoding: try take(size), as: UTF8.self)

    guard let description = Self.quoted(after: "'descr':", in: text) else {
      throw refuse("the NumPy header does not name one element type; records have several")
    }
    switch description {
    case "|u1", "<u1", "u1": component = .uint8
    case "|i1", "<i1", "i1": component = .int8
    case "<f2": component = .float16
    case "<f4": component = .float32
    case "<f8": component = .float64
    default: throw refuse("the element type \(description) is not supported")
    }
    guard text.contains("'fortran_order': False") else {
      throw refuse("the array is stored column by column (Fortran order)")
    }
    let shape = Self.parenthesised(after: "'shape':", in: text)
    guard shape.count == 2 else {
      throw refuse("the array has \(Format.count(shape.count, "dimension", "dimensions")), not two")
    }
    (rows, columns) = (shape[0], shape[1])
    guard rows >= 0, rows < 1 << 40, (1...65_536).contains(columns) else {
      throw refuse("the array's shape (\(rows), \(columns)) is out of range")
    }
  }

  /// The quoted word that comes right after a name; nil where something else does, such as the list
  /// of a record's fields.
  private static func quoted(after name: String, in text: String) -> String? {
    guard let start = end(of: name, in: text) else { return nil }
    let rest = text[start...].drop { $0 == " " }
    guard rest.first == "'" else { return nil }
    let parts = rest.dropFirst().split(
      separator: "'", maxSplits: 1, omittingEmptySubsequences: false)
    return parts.count == 2 ? String(parts[0]) : nil
  }

  private static func parenthesised(after name: String, in text: String) -> [Int] {
    guard let start = end(of: name, in: text), let open = text[start...].firstIndex(of: "("),
      let close = text[open...].firstIndex(of: ")")
    else { return [] }
    return text[text.index(after: open)..<close].split(separator: ",").compactMap { part in
      let digits = part.filter { $0 != " " }
      return digits.isEmpty ? nil : Int(digits) ?? -1
    }
  }

  private static func end(of name: String, in text: String) -> String.Index? {
    text.firstRange(of: name)?.upperBound
  }
}
