import Files

/// Reads a raw SQLite WAL before SQLite does.
enum WALScanner {
  struct Result: Equatable {
    /// Up to the end of the last committed transaction; 0 if there is none.
    var committedBytes: Int
  }
  static func scan(_ path: String, pageSizeBytes: Int, fileSystem: any FileSystem) throws -> Result
  {
    Result(committedBytes: try fileSystem.info(path)?.sizeBytes ?? 0)
  }
}
