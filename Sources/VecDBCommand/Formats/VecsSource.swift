import VecDB

/// The TEXMEX formats `.fvecs` and `.bvecs` (http://corpus-texmex.irisa.fr): each vector is its
/// dimension as a little-endian int32, then that many float32 or unsigned bytes.
final class VecsSource: VectorSource {
  let bytes: ByteSource
  private(set) var dimensions: Int?
  private(set) var count: Int?

  private let component: ComponentType
  private var row = 0
  private var buffer: [UInt8] = []
  /// The first row's dimension, read when the file was opened.
  private var pendingHeader: Int?

  init(_ bytes: ByteSource, component: ComponentType) throws {
    self.bytes = bytes
    self.component = component
    pendingHeader = try readHeader()
    dimensions = pendingHeader
    guard let dimensions, let size = bytes.sizeBytes else { return }
    let rowBytes = 4 + dimensions * component.sizeBytes
    guard size % rowBytes == 0 else {
      throw inputError(
        "the file's \(size) bytes are no multiple of the \(rowBytes) that a row of "
          + "\(dimensions) components takes: it is cut short or not of this format",
        bytes, row: size / rowBytes, remedy: "Fetch or write the file again.")
    }
    count = size / rowBytes
  }

  func next() throws -> VectorRow? {
    var header = pendingHeader
    pendingHeader = nil
    if header == nil { header = try readHeader() }
    guard let header else { return nil }
    let expected = dimensions ?? header
    guard header == expected else {
      throw inputError(
        "the row has \(header) components, the rows before it \(expected)", bytes, row: row,
        remedy: "All vectors of a file must have the same dimension.")
    }
    let sizeBytes = header * component.sizeBytes
    if buffer.count != sizeBytes { buffer = [UInt8](repeating: 0, count: sizeBytes) }
    let found = try buffer.withUnsafeMutableBytes { try bytes.read(into: $0) }
    guard found == sizeBytes else {
      throw inputError(
        "the file ends inside the row: \(found) of \(sizeBytes) bytes are there", bytes, row: row,
        remedy: "The file is cut short; fetch or write it again.")
    }
    let vector = buffer.withUnsafeBytes { component.decode($0, count: header) }
    try requireFinite(vector, bytes, row: row)
    row += 1
    return VectorRow(vector: vector)
  }

  /// The dimension in front of the next row; nil at the end of the file.
  private func readHeader() throws -> Int? {
    var word: UInt32 = 0
    let found = try withUnsafeMutableBytes(of: &word) { try bytes.read(into: $0) }
    if found == 0 { return nil }
    let value = Int(Int32(bitPattern: UInt32(littleEndian: word)))
    guard found == 4, (1...65_536).contains(value) else {
      throw inputError(
        found < 4
          ? "the file ends inside the row's dimension"
          : "the row's dimension reads \(value), which is not between 1 and 65,536",
        bytes, row: row, remedy: "The file is damaged, cut short or not of this format.")
    }
    return value
  }
}
