import FoundationEssentials

/// The rows of a `.fvecs` file (a little-endian int32 count, then as many float32).
func readFvecs(_ path: String, limit: Int) throws -> [[Float]] {
  try readRows(path, limit: limit) { Float(bitPattern: $0) }
}

/// The rows of a `.fvecs` file, or of a NumPy array of uint8.
func readVectors(_ path: String, limit: Int) throws -> [[Float]] {
  guard path.hasSuffix(".npy") else { return try readFvecs(path, limit: limit) }
  let data = try Data(contentsOf: URL(filePath: path), options: .mappedIfSafe)
  return data.withUnsafeBytes { bytes in
    guard bytes.count > 10 else { return [] }
    let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
    let header = String(decoding: bytes[10..<min(start, bytes.count)], as: UTF8.self)
    let shape = header.split(separator: "(").last?.split(separator: ")").first ?? ""
    let sizes = shape.split(separator: ",").compactMap { Int($0.filter { $0 != " " }) }
    guard header.contains("'|u1'"), sizes.count == 2 else { return [] }
    let columns = sizes[1]
    return (0..<min(limit, sizes[0], (bytes.count - start) / max(1, columns))).map { row in
      bytes[start + row * columns..<start + (row + 1) * columns].map(Float.init)
    }
  }
}

/// The rows of an `.ivecs` file (a little-endian int32 count, then as many int32).
func readIvecs(_ path: String, limit: Int) throws -> [[Int32]] {
  try readRows(path, limit: limit) { Int32(bitPattern: $0) }
}

private func readRows<Element>(
  _ path: String, limit: Int, _ element: (UInt32) -> Element
) throws -> [[Element]] {
  let data = try Data(contentsOf: URL(filePath: path), options: .mappedIfSafe)
  return data.withUnsafeBytes { bytes in
    var rows: [[Element]] = []
    var offset = 0
    while rows.count < limit, offset + 4 <= bytes.count {
      let dimensions = Int(bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
      guard dimensions > 0, offset + 4 + 4 * dimensions <= bytes.count else { break }
      rows.append(
        (0..<dimensions).map {
          element(bytes.loadUnaligned(fromByteOffset: offset + 4 + 4 * $0, as: UInt32.self))
        })
      offset += 4 + 4 * dimensions
    }
    return rows
  }
}

/// Writes `count` rows as `.fvecs`, making the directory.
func writeFvecs(_ path: String, _ count: Int, _ next: () -> [Float]) throws {
  let url = URL(filePath: path)
  try FileManager.default.createDirectory(
    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
  var data = Data()
  for _ in 0..<count {
    let row = next()
    withUnsafeBytes(of: Int32(row.count).littleEndian) { data.append(contentsOf: $0) }
    row.withUnsafeBytes { data.append(contentsOf: $0) }
  }
  try data.write(to: url)
}
