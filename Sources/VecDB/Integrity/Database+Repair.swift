import VecDBBlockStore
import VecDBFiles
import VecDBThreads

/// What a repair did.
public struct RepairReport: Sendable, Hashable, Codable {
  /// What was damaged and is whole again.
  public var repairs: [String]
  /// What could not be had, and where it could be had from; empty if the database is whole. If a
  /// block is among it, nothing was changed.
  public var missing: [String]
  /// What was fetched from the repository.
  public var fetchedBlocks: Int
  public var fetchedBytes: Int
  /// The check at the end; nil if the database could not be opened.
  public var check: CheckReport?
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
}

extension Database {
  /// Repairs a database that no process has open, and checks it.
  ///
  /// Blocks of the index that are damaged are taken from other copies on the disk or, by their
  /// hashes, from a repository, and written into a new checkpoint. The file of the records is written
  /// anew from its rows; records damaged otherwise are taken from a restore point and brought up to
  /// date from the log. The log itself cannot be repaired; what could not be had is in the report,
  /// and a restore is the way then.
  ///
  /// - Parameters:
  ///   - repository: a repository of this database; nil to use only what is here.
  ///   - configuration: its ``DatabaseConfiguration/repositoryKey`` opens an encrypted repository.
  /// - Throws: `notFound`, `locked`, `invalidArgument` if the repository is another database's,
  ///   `corrupt` if no manifest can be read, `diskFull`, `inputOutput`.
  public static func repair(
    at path: String, from repository: String? = nil,
    configuration: DatabaseConfiguration = DatabaseConfiguration()
  ) async throws -> RepairReport {
    try await VecDBError.translating {
      try await repair(
        at: path, from: repository, fileSystem: PosixFileSystem(), configuration: configuration)
    }
  }

  package static func repair(
    at path: String, from repository: String?, fileSystem: any FileSystem,
    configuration: DatabaseConfiguration
  ) async throws -> RepairReport {
    try await onBackground {
      try VecDBError.translating {
        let source = try repository.map {
          try openSource($0, key: configuration.repositoryKey, fileSystem: fileSystem)
        }
        var run = RepairRun(
          path: path, files: fileSystem, configuration: configuration, source: source)
        return try run.run()
      }
    }
  }
}
