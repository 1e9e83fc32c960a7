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
    let source = try collection(name).runtime
    let hidden = Self.migrationName(of: name)
    guard catalog.find(hidden) == nil else {
      throw VecDBError(
        .alreadyExists, "'\(name)' is being moved, or the old space of its last move is kept",
        at: name, remedy: "Take it up with `migration(of:)`, cancel it, or retire the old space.")
    }
    let target = try await createCollection(
      named: hidden, dimensions: dimensions, metric: metric, index: index)
    return Migration(source: source, target: target, database: self)
  }

  /// The migration that is under way; nil if there is none.
  public func migration(of name: String) throws -> Migration? {
    let source = try collection(name).runtime
    guard let other = catalog.find(Self.migrationName(of: name)), other.id > source.id else {
      return nil
    }
    return Migration(source: source, target: other, database: self)
  }

  /// Makes the old space serve again after a migration.
  ///
  /// - Throws: `notFound` if none is kept; `invalidArgument` if something was written since: that
  ///   has no vectors of the old space.
  @discardableResult
  public func rollBackMigration(of name: String) async throws -> Receipt {
    let (new, old) = try keptSpace(of: name)
    return try await writer.exclusively { engine in
      try new.requireLive()
      try old.requireLive()
      // The exchange itself is in the log behind the last write of the new space.
      guard new.index.appliedLSN <= old.exchangedLSN else {
        throw VecDBError(
          .invalidArgument, "'\(name)' was written to after the migration", at: name,
          remedy: "Migrate back, with vectors of the old space for what is new.")
      }
      _ = try engine.exchange(new, old)
      return engine.receipt
    }
  }

  /// Gives the old space of a migration up.
  @discardableResult
  public func retireMigration(of name: String) async throws -> Receipt {
    let (_, old) = try keptSpace(of: name)
    return try await dropCollection(old.definition.name)
  }

  private func keptSpace(
    of name: String
  ) throws -> (new: CollectionRuntime, old: CollectionRuntime) {
    let new = try collection(name).runtime
    guard let old = catalog.find(Self.migrationName(of: name)), old.id < new.id else {
      throw VecDBError(
        .notFound, "no old space of '\(name)' is kept", at: name,
        remedy: "It may have been retired already.")
    }
    return (new, old)
  }
}
