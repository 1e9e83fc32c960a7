import VecDBBytes
import VecDBIndex
import VecDBLogStore

extension Database {
  /// The name of the hidden collection; no other can begin with this character.
  static func migrationName(of name: String) -> String { "\u{1}\(name)" }

  static func isHidden(_ name: String) -> Bool { name.utf8.first == 1 }

  /// Begins to move a collection to another vector space; see ``Migration``.
  ///
  /// - Throws: `notFound`; `alreadyExists` if it is being moved, or the old space of the last move
  ///   is still kept; `invalidArgument`.
  public func beginMigration(
    of name: String, dimensions: Int, metric: Metric, index: IndexOptions = IndexOptions()
  ) async throws -> Migration {
    try await VecDBError.translating {
      let source = try collection(name).runtime
      let hidden = Self.migrationName(of: name)
      guard catalog.find(hidden) == nil else {
        throw VecDBError(
          .alreadyExists, "'\(name)' is in a migration, or still has the old space of the last one",
          at: name, remedy: "Continue it with `migration(of:)`, cancel it, or retire the old space."
        )
      }
      let target = try await createCollection(
        named: hidden, dimensions: dimensions, metric: metric, index: index)
      return Migration(source: source, target: target, database: self)
    }
  }

  /// The migration that is under way; nil if there is none.
  public func migration(of name: String) throws -> Migration? {
    try VecDBError.translating {
      let source = try collection(name).runtime
      guard let other = catalog.find(Self.migrationName(of: name)), other.id > source.id else {
        return nil
      }
      return Migration(source: source, target: other, database: self)
    }
  }

  /// Makes the old space serve again after a migration.
  ///
  /// - Throws: `notFound` if none is kept; `invalidArgument` if something was written since: that
  ///   has no vectors of the old space.
  @discardableResult
  public func rollBackMigration(of name: String) async throws -> Receipt {
    try await VecDBError.translating {
      let (new, old) = try keptSpace(of: name)
      return try await writer.exclusively { engine in
        try new.requireLive()
        try old.requireLive()
        // The exchange itself is in the log behind the last write of the new space.
        guard new.index.appliedLSN <= old.exchangedLSN else {
          throw VecDBError(
            .invalidArgument, "'\(name)' has writes after the migration", at: name,
            remedy: "Migrate back, and supply vectors of the old space for the new records.")
        }
        _ = try engine.exchange(new, old)
        return engine.receipt
      }
    }
  }

  /// Gives the old space of a migration up.
  @discardableResult
  public func retireMigration(of name: String) async throws -> Receipt {
    try await VecDBError.translating {
      let (_, old) = try keptSpace(of: name)
      return try await dropCollection(old.definition.name)
    }
  }

  private func keptSpace(
    of name: String
  ) throws -> (new: CollectionRuntime, old: CollectionRuntime) {
    let new = try collection(name).runtime
    guard let old = catalog.find(Self.migrationName(of: name)), old.id < new.id else {
      throw VecDBError(
        .notFound, "'\(name)' has no old space", at: name,
        remedy: "It may be retired already.")
    }
    return (new, old)
  }
}
