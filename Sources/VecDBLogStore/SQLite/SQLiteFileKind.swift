import VecDBFiles

/// How a SQLite file of ours says what it is, so that foreign and newer files are refused before
/// anything is written to them.
struct SQLiteFileKind {
  /// For errors, such as "log segment".
  var name: String
  var applicationID: Int32
  var formatVersion: Int32
  /// Of new files first; those with one of the others are read and written, too.
  var pageSizesBytes: [Int]

  /// What the first 100 bytes of a main file say its pages' size is, if it is one of ours.
  func pageSizeBytes(of path: String, _ fileSystem: any FileSystem) throws -> Int? {
    try header(of: path, fileSystem).flatMap(pageSizeBytes(ofHeader:))
  }

  /// The first 100 bytes; nil if there are fewer.
  private func header(of path: String, _ fileSystem: any FileSystem) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 100)
    let count = try bytes.withUnsafeMutableBytes {
      try fileSystem.open(path, .read).read(at: 0, into: $0)
    }
    return count == bytes.count ? bytes : nil
  }

  private func pageSizeBytes(ofHeader bytes: [UInt8]) -> Int? {
    let stored = Int(bytes[16]) << 8 | Int(bytes[17])
    let size = stored == 1 ? 65536 : stored
    return pageSizesBytes.contains(size) ? size : nil
  }

  /// Reads the first 100 bytes of a main file without SQLite ("The Database Header" in SQLite's
  /// file format document) and returns whether it is in WAL mode. Throws `.corrupt` or
  /// `.unknownVersion`. Not for a file with a WAL: a checkpoint that a power failure cut short may
  /// have left anything there, which SQLite replaces from the WAL.
  func checkFileHeader(_ path: String, _ fileSystem: any FileSystem) throws -> Bool {
    guard let bytes = try header(of: path, fileSystem) else { throw foreign(path) }
    func bigEndian(_ offset: Int) -> Int32 {
      bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int32($1) }
    }
    guard bytes.starts(with: "SQLite format 3\0".utf8), pageSizeBytes(ofHeader: bytes) != nil
    else { throw foreign(path) }
    try check(applicationID: bigEndian(68), formatVersion: bigEndian(60), path)
    return bytes[18] == 2
  }

  /// Asks an open database what it is.
  func check(_ database: SQLiteConnection) throws {
    try check(
      applicationID: Int32(truncatingIfNeeded: try database.integer("PRAGMA application_id") ?? 0),
      formatVersion: Int32(truncatingIfNeeded: try database.integer("PRAGMA user_version") ?? 0),
      database.path)
  }

  private func check(applicationID: Int32, formatVersion: Int32, _ path: String) throws {
    guard applicationID == self.applicationID else { throw foreign(path) }
    guard formatVersion == self.formatVersion else {
      throw StoreError(
        .unknownVersion,
        "\(name) of format version \(formatVersion); this program knows \(self.formatVersion)",
        at: path, remedy: "Use a newer vecdb.")
    }
  }

  private func foreign(_ path: String) -> StoreError {
    corrupt("this is not a \(name), or its first bytes are damaged", at: path)
  }

  /// The pragmas that mark a new file, to be run in the transaction that makes its tables.
  var markingSQL: String {
    "PRAGMA application_id = \(applicationID); PRAGMA user_version = \(formatVersion);"
  }
}
