import VecDBFiles

/// What can be read of one segment of a log.
package struct SegmentSurvey: Sendable {
  package var path: String
  /// By its name.
  package var firstLSN: UInt64
  /// Nil if that cannot be told.
  package var lastLSN: UInt64?
  /// What is wrong; nil if every frame can be read and continues the one before.
  package var problem: StoreError?
}

extension WriteAheadLog {
  /// Reads each segment by itself, for a log that cannot be opened. Changes nothing that SQLite does
  /// not change when it recovers a file.
  package static func survey(
    directory: String, fileSystem: any FileSystem
  ) throws -> [SegmentSurvey] {
    guard try fileSystem.exists(directory) else { return [] }
    return try fileSystem.list(directory).compactMap { name in
      guard let first = LogSegment.firstLSN(ofName: name) else { return nil }
      var result = SegmentSurvey(path: directory + "/" + name, firstLSN: first)
      do {
        let scan = try LogSegment.scanWAL(of: result.path, fileSystem: fileSystem)
        let segment = try LogSegment.open(
          result.path, walBytes: scan.committedBytes, fileSystem: fileSystem)
        defer { segment.close() }
        result.lastLSN = segment.end.lsn
        try segment.verify()
      } catch let error as StoreError {
        result.problem = error
      }
      return result
    }
  }

  /// Puts segments aside, under names that nobody reads, with what belongs to them. Durable on
  /// return.
  package static func setAside(_ paths: [String], fileSystem: any FileSystem) throws {
    for path in paths {
      for suffix in ["", "-wal", "-journal"] where try fileSystem.exists(path + suffix) {
        try fileSystem.rename(path + suffix, to: path + ".damaged" + suffix)
      }
      try fileSystem.syncDirectory(directoryName(path))
    }
  }
}
