import BlockStore
import Files

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
  public var seconds: Double
}

extension Database {
  /// Repairs a database that no process has open, and checks it.
  ///
  /// Blocks of the index that are damaged are taken from other copies on the disk or, by their
  /// hashes, from a repository, and written into a new checkpoint; graph and codes are built anew.
  /// The file of the records is written anew from its rows; records damaged otherwise are taken from
  /// a restore point and brought up to date from the log. The log itself cannot be repaired; what
  /// could not be had is in the report, and a restore is the way then.
  ///
  /// - Parameter repository: a repository of this database; nil to use only what is here.
  /// - Throws: `notFound`, `locked`, `invalidArgument` if the repository is another database's,
  ///   `corrupt` if no manifest can be read, `diskFull`, `inputOutput`.
  public static func repair(
    at path: String, from repository: String? = nil,
    configuration: Configuration = Configuration()
  ) async throws -> RepairReport {
    try await repair(
      at: path, from: repository, fileSystem: PosixFileSystem(), configuration: configuration)
  }

  package static func repair(
    at path: String, from repository: String?, fileSystem: any FileSystem,
    configuration: Configuration
  ) async throws -> RepairReport {
    let run: @Sendable () throws -> (RepairReport, [String]) = {
      try VecDBError.translating {
        let source = try repository.map {
          try StoredRepository.open($0, fileSystem: fileSystem)
        }
        var run = RepairRun(
          path: path, files: fileSystem, configuration: configuration, source: source)
        return (try run.run(), run.rebuildable)
      }
    }
    let (report, rebuildable) = try await onBackground(run)
    guard !rebuildable.isEmpty else { return report }
    do {
      try await rebuild(rebuildable, at: path, fileSystem, configuration)
    } catch {
      configuration.logger.error("the index could not be built anew: \(error)")
      return report
    }
    var (proof, _) = try await onBackground(run)
    proof.repairs.insert(
      contentsOf: rebuildable.map { "rebuilt: the index of '\($0)', from its vectors" }, at: 0)
    return proof
  }

  /// Where slots were used again or the index was rebuilt before, a graph cannot be had as it was;
  /// another one is built, as part of the log like every rebuild.
  private static func rebuild(
    _ names: [String], at path: String, _ fileSystem: any FileSystem,
    _ configuration: Configuration
  ) async throws {
    var configuration = configuration
    configuration.createIfMissing = false
    configuration.controlSocket = false
    configuration.rebuildsInBackground = true
    let database = try await onBackground { [configuration] in
      try Database.open(at: path, fileSystem: fileSystem, configuration: configuration)
    }
    // What serves is damaged: it is no measure of the new one.
    var options = RebuildOptions()
    options.gate.recallTolerance = 1
    options.gate.latencyFactor = .infinity
    do {
      for name in names {
        let collection = try database.collection(name)
        try await collection.rebuild(options)
        try await collection.retireRebuild()
      }
    } catch {
      try await database.close()
      throw error
    }
    try await database.close()
  }
}
