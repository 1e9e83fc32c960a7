import VecDB

/// One row of a file of vectors.
struct VectorRow {
  var vector: [Float]
  /// Where the format carries one (JSON lines).
  var key: String?
  /// Where the format carries it (JSON lines).
  var metadata: Metadata?
  /// In milliseconds since 1970, where the format carries it (JSON lines).
  var expiryMilliseconds: Int64?
  /// Counted from 1, where the format has lines.
  var line: Int?
}

/// A file of vectors, read row by row in constant memory. Every row that `next` returns has finite
/// components and as many as the first.
protocol VectorSource: AnyObject {
  /// The bytes that the rows come from, to report progress by.
  var bytes: ByteSource { get }
  /// Components of each vector; nil for a file without rows.
  var dimensions: Int? { get }
  /// Rows in the file, where its header or size tells.
  var count: Int? { get }
  /// The next row, or nil at the end of the file.
  func next() throws -> VectorRow?
}

/// The formats that vectors are read from.
enum VectorFormat: String, CaseIterable {
  case fvecs, bvecs, npy, jsonl

  /// The format that a file name's ending says, with or without `.gz`.
  init?(path: String) {
    let name = path.hasSuffix(".gz") ? path.dropLast(3) : path[...]
    guard let format = Self.allCases.first(where: { name.hasSuffix(".\($0.rawValue)") }) else {
      return nil
    }
    self = format
  }
}

/// Opens a file of vectors; the format is told by the file's ending unless it is given.
func openVectors(_ path: String, format: VectorFormat? = nil) throws -> any VectorSource {
  guard let format = format ?? VectorFormat(path: path) else {
    throw VecDBError(
      .invalidArgument, "the file's extension does not tell its format", at: path,
      remedy: "Use .fvecs, .bvecs, .npy or .jsonl, with or without .gz, or give --format.")
  }
  let bytes = try ByteSource(path: path)
  switch format {
  case .fvecs: return try VecsSource(bytes, component: .float32)
  case .bvecs: return try VecsSource(bytes, component: .uint8)
  case .npy: return try NumPySource(bytes)
  case .jsonl: return try JSONLinesSource(bytes)
  }
}

/// An error in an input file, naming the file and the row (counted from 0, as keys are).
func inputError(_ message: String, _ bytes: ByteSource, row: Int, remedy: String) -> VecDBError {
  VecDBError(.invalidArgument, message, at: "\(bytes.path), row \(row)", remedy: remedy)
}

/// Throws unless every component is a finite number.
func requireFinite(_ vector: [Float], _ bytes: ByteSource, row: Int) throws {
  // x·0 is NaN exactly for NaN and the infinities, so that one sum tells about all components.
  var sum: Float = 0
  for value in vector { sum += value * 0 }
  guard sum != 0 else { return }
  let bad = vector.firstIndex { !$0.isFinite } ?? 0
  throw inputError(
    "component \(bad) is \(vector[bad]), not a finite number", bytes, row: row,
    remedy: "Remove or repair the row, then run the command again.")
}
