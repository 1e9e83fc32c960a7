import Files

/// What the first 100 bytes of a SQLite main file say ("The Database Header" in SQLite's file
/// format document), read without SQLite, so that foreign and newer files are refused untouched.
struct SQLiteFileHeader: Equatable {
  var pageSizeBytes: Int
  var isInWALMode: Bool
  var userVersion: Int32

  /// Throws `.corrupt` for what is not `applicationID`'s file with pages of `pageSizeBytes`, and
  /// `.unknownVersion` for another version than `version`.
  init(
    _ path: String, _ structure: String, applicationID: Int32, version: Int32,
    pageSizeBytes expectedPageBytes: Int, fileSystem: any FileSystem
  ) throws {
    var bytes = [UInt8](repeating: 0, count: 100)
    let count = try bytes.withUnsafeMutableBytes {
      try fileSystem.open(path, .read).read(at: 0, into: $0)
    }
    func bigEndian(_ offset: Int) -> Int32 {
      bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int32($1) }
    }
    let pageSize = Int(bytes[16]) << 8 | Int(bytes[17])
    pageSizeBytes = pageSize == 1 ? 65536 : pageSize
    isInWALMode = bytes[18] == 2
    userVersion = bigEndian(60)
    guard count == 100, bytes.starts(with: "SQLite format 3\0".utf8),
      pageSizeBytes == expectedPageBytes, bigEndian(68) == applicationID
    else { throw corrupt("this is not a \(structure), or its first bytes are damaged", at: path) }
    guard userVersion == version else {
      throw StoreError(
        .unknownVersion,
        "\(structure) of format version \(userVersion); this program knows \(version)", at: path,
        remedy: "Use a newer vecdb.")
    }
  }
}
