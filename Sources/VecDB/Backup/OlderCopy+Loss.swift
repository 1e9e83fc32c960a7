import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What is lost when a restore takes the place of a database.
///
/// A restore may take back what the repository has: that can be restored again. What nobody else has
/// goes only where that was said.
extension OlderCopy {
  /// Throws unless the repository has everything that this copy has, or the options give it up. What
  /// is given up is logged before anything is done.
  func requireExpendable(
    for repository: any Repository, _ options: RestoreOptions,
    _ configuration: DatabaseConfiguration
  ) throws {
    func warn(_ loss: String) {
      configuration.logger.warning(
        "a restore replaces a database", metadata: ["path": "\(directory.path)", "loss": "\(loss)"])
    }
    let log: WriteAheadLog
    do { log = try openLog() } catch {
      let what = "what is there cannot be read, so nobody can tell what would be lost"
      guard options.discardsUnsaved else {
        throw refusal(
          "\(what): \(VecDBError(wrapping: error).message)",
          "Move it away, or give it up with --discard-unsaved (RestoreOptions.discardsUnsaved).")
      }
      return warn(what)
    }
    // Nothing was written to it.
    defer { try? log.close() }
    let history = try RepositoryHistory(repository)
    let end = log.end
    guard try isRelated(log.identity, to: repository, history) else {
      let what = "the database there is another one, with \(end.lsn) batches"
      guard options.replacesUnrelated || end.lsn == 0 else {
        throw refusal(
          "\(what), and no older copy of the one in the repository",
          "Choose another path, or give it up with --replace-unrelated "
            + "(RestoreOptions.replacesUnrelated).")
      }
      return warn(what)
    }
    guard !history.holds(end, in: repository) else { return }
    let saved = savedLSN(log, history, repository)
    let what =
      "the database there has \(end.lsn - saved) batches that the repository does not have, "
      + "LSN \(saved + 1) to \(end.lsn)"
    guard options.discardsUnsaved else {
      throw refusal(
        what,
        "Back it up first, or give them up with --discard-unsaved "
          + "(RestoreOptions.discardsUnsaved).")
    }
    warn(what)
  }

  private func refusal(_ message: String, _ remedy: String) -> VecDBError {
    VecDBError(.alreadyExists, message, at: directory.path, remedy: remedy)
  }

  /// The log as opening the database would open it.
  private func openLog() throws -> WriteAheadLog {
    var options = WriteAheadLog.Options()
    options.keepsHouseInBackground = false
    let newest = try blocks.newestManifest()?.manifest.lsn ?? 0
    return try WriteAheadLog.open(
      directory: directory.log, fileSystem: fileSystem, options: options, expectedAtLeast: newest,
      coveredThrough: newest)
  }

  /// Whether both are the same database, or one has come from the other.
  private func isRelated(
    _ identity: LogIdentity, to repository: any Repository, _ history: RepositoryHistory
  ) throws -> Bool {
    if identity.databaseID.number == repository.databaseID { return true }
    var known: Set<UniqueID> = []
    if let piece = history.pieces.last {
      known.formUnion(try ArchivedLog.read(piece, in: repository).identity.epochs.map(\.id))
    }
    if let newest = history.entries.last {
      let manifest = try repository.getManifest(newest)
      known.formUnion(
        try LogIdentity(decoding: manifest.epochs, at: repository.location).epochs.map(\.id))
    }
    return identity.epochs.contains { known.contains($0.id) }
  }

  /// The last LSN up to which the repository is known to have this history. What cannot be read is not
  /// known, so that rather too much is called lost.
  private func savedLSN(
    _ log: WriteAheadLog, _ history: RepositoryHistory, _ repository: any Repository
  ) -> UInt64 {
    let ends = Set(history.entries.map(\.lsn) + history.pieces.map(\.lastLSN))
      .filter { $0 < log.end.lsn && $0 + 1 >= log.firstLSN }.sorted(by: >)
    return ends.prefix(64).first { lsn in
      (try? log.position(at: lsn)).map { history.holds($0, in: repository) } ?? false
    } ?? 0
  }
}

extension RepositoryHistory {
  /// Whether the repository has the history that ends in this position: the same chain at its LSN. Not
  /// if that cannot be read.
  func holds(_ position: LogPosition, in repository: any Repository) -> Bool {
    if position.lsn == 0 { return true }
    for entry in entries where entry.lsn == position.lsn {
      if let manifest = try? repository.getManifest(entry), manifest.chain == position.chain {
        return true
      }
    }
    for piece in pieces where piece.firstLSN <= position.lsn && position.lsn <= piece.lastLSN {
      guard let log = try? ArchivedLog.read(piece, in: repository) else { continue }
      if log.frames.contains(where: { $0.position == position }) { return true }
    }
    return false
  }
}
