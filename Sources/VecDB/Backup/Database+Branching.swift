import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// A repository that is this database's, with what tells it from others, and how its history and
/// this one fit together.
struct OwnRepository: Sendable {
  let store: StoredRepository
  let path: String
  let id: UInt128
  var history: ArchivePath
  /// The epoch that this database writes in, as it was when the history was compared.
  var epoch: Epoch
  /// Set if this database opened an epoch for itself, and why.
  var branch: BranchReport?

  /// Throws if the repository has gone from its path: its file system is not mounted any more.
  func requireThere() throws {
    guard try store.storedIdentity() == id else {
      throw StoreError(
        .notFound, "the repository disappeared while vecdb wrote to it", at: path,
        remedy: "Check whether its file system is still mounted. vecdb counts nothing as archived.")
    }
  }
}

extension Database {
  /// The repository of this database at a path; made if it is missing, unless it was there before.
  ///
  /// What it has must be this database's history: a repository that has another one of the same epoch
  /// was written to by another copy of this database, or by this one before it was set back. Then
  /// the database opens an epoch of its own. So does one that stands where the copy was that opened
  /// the newest epoch, and does not know it: it was set back once more.
  ///
  /// - Throws: `invalidArgument` if a copy elsewhere has gone on already.
  func openRepository(_ path: String, key: (any RepositoryKey)?) throws -> OwnRepository {
    try VecDBError.translating {
      let absolute = Self.absolute(path)
      let place = try RepositoryPlace(path, fileSystem: engine.fileSystem)
      if !place.isRemote { try requireApart(absolute) }
      try requireKnownIsThere(absolute, place)
      let store = try StoredRepository.openOrCreate(
        place, databaseID: engine.log.identity.databaseID.number,
        encryption: RepositoryEncryption(key ?? engine.configuration.repositoryKey))
      let id = try store.identity()
      var branch: BranchReport?
      while true {
        let identity = engine.log.identity
        if let history = try settle(store, id, identity, &branch) {
          engine.newestEpochs.withLock { $0[id] = max($0[id] ?? 0, identity.currentEpoch.counter) }
          return OwnRepository(
            store: store, path: absolute, id: id, history: history, epoch: identity.currentEpoch,
            branch: branch)
        }
      }
    }
  }

  /// A repository within the database would be lost with it.
  private func requireApart(_ path: String) throws {
    guard let place = DatabasePlace.nearestThere(path),
      let own = DatabasePlace.realPath(engine.directory.path), DatabasePlace.isWithin(place, own)
    else { return }
    throw VecDBError(
      .invalidArgument, "the repository would be within the database that it backs up", at: path,
      remedy: "Choose a place outside of \(engine.directory.path), best on another disk.")
  }

  /// An empty place where a repository was is more likely a mount that is missing than a wish for a
  /// new one.
  private func requireKnownIsThere(_ path: String, _ place: RepositoryPlace) throws {
    guard let hold = engine.holds.all.first(where: { $0.repository == path }),
      try !place.hasRepository()
    else { return }
    throw VecDBError(
      .notFound,
      "the repository that has this database up to LSN \(hold.lsn) is not there any more", at: path,
      remedy: (place.isRemote ? "Check the address. " : "Mount its file system. ")
        + "If you removed the repository on purpose, run "
        + "`vecdb archive DB REPO --forget`; the next backup then creates a new one.")
  }

  /// Compares histories and claims the epoch. Nil if an epoch was opened, and all must be looked at
  /// again.
  private func settle(
    _ store: StoredRepository, _ id: UInt128, _ identity: LogIdentity, _ branch: inout BranchReport?
  ) throws -> ArchivePath? {
    let current = identity.currentEpoch
    let claims = try store.claimedEpochs()
    let place = engine.configuration.copyPlace ?? CopyPlace.here(engine.directory.path)
    let path = ArchivePath(identity.epochs, claims: claims)
    let comparison = try HistoryComparison(
      engine.log, store, known: engine.holds.positions(of: id))
    if let newer = claims.last, newer.counter > current.counter {
      // The copy that opened it stood here and is gone: this one has taken its place.
      guard newer.branch?.place == place else {
        throw Self.supersededError(by: newer, current, store.location)
      }
      if let seen = engine.newestEpochs.withLock({ $0[id] }), newer.counter > seen {
        throw Self.twinError(by: newer, current, store.location)
      }
      let common = try path.extent(of: current.counter).map {
        try comparison.agreement(in: current.counter, $0)
      }
      branch = try openOwnEpoch(
        current, above: newer.counter, common ?? current.beganAtLSN,
        comparison.end(of: newer.counter) ?? newer.branch?.lsn ?? 0, store.location)
      return nil
    }
    guard claims.contains(where: { $0.counter == current.counter }) else {
      let common = try Self.branchPoint(identity, claims, path, comparison)
      try store.claimEpoch(
        EpochClaim(
          counter: current.counter, id: current.id.number,
          branch: common.map { .init(lsn: $0, epochs: identity.encoded(), place: place) }))
      return ArchivePath(identity.epochs, claims: try store.claimedEpochs())
    }
    // Throws if another epoch has the number.
    try store.claimEpoch(counter: current.counter, id: current.id.number)
    guard let extent = path.extent(of: current.counter),
      let end = comparison.end(of: current.counter),
      end > extent.after
    else { return path }
    let common = try comparison.agreement(in: current.counter, extent)
    if common >= end { return path }
    // A follower is behind its primary, which may have sent more already.
    let isFollower = engine.shared.refusesWrites.load(ordering: .acquiring)
    if isFollower, common >= engine.log.end.lsn { return path }
    branch = try openOwnEpoch(current, above: current.counter, common, end, store.location)
    return nil
  }

  static func supersededError(
    by newer: EpochClaim, _ current: Epoch, _ location: String
  ) -> StoreError {
    let isBranch = newer.branch != nil
    return StoreError(
      .invalidArgument,
      "the repository knows epoch \(newer.counter), and this copy is of epoch "
        + "\(current.counter): another copy has become the primary"
        + (isBranch ? ", or this one was set back to a state before that epoch" : ""),
      at: location,
      remedy: "Let this copy follow the new primary with `vecdb rejoin`"
        + (isBranch
          ? ". To go on with this copy instead, back it up to a repository of its own." : "."))
  }

  private static func twinError(
    by newer: EpochClaim, _ current: Epoch, _ location: String
  ) -> StoreError {
    StoreError(
      .invalidArgument,
      "the repository knows epoch \(newer.counter), which another copy has opened while this one of "
        + "epoch \(current.counter) was open: applications write to two copies, at one path of "
        + "machines or containers of one name", at: location,
      remedy:
        "Give one of them a repository of its own. If there is only one copy, because the whole "
        + "machine was set back to a snapshot, open the database again.")
  }

  /// Where the newest epoch before the current one that the repository has something of leaves this
  /// history; nil if all of it belongs to it, and the repository knows of no other branch.
  private static func branchPoint(
    _ identity: LogIdentity, _ claims: [EpochClaim], _ path: ArchivePath,
    _ comparison: HistoryComparison
  ) throws -> UInt64? {
    // Beside a younger epoch of another branch the claim must say where this one leads from.
    let newest = claims.last { claim in identity.epochs.contains { $0.id.number == claim.id } }
    let hasOthers = claims.contains { $0.counter > newest?.counter ?? 0 }
    for epoch in identity.epochs.dropLast().reversed() {
      guard let extent = path.extent(of: epoch.counter),
        let end = comparison.end(of: epoch.counter), end > extent.after
      else { continue }
      let isOwn = claims.contains { $0.counter == epoch.counter && $0.id == epoch.id.number }
      let common = isOwn ? try comparison.agreement(in: epoch.counter, extent) : extent.after
      return common < end || hasOthers ? common : nil
    }
    return hasOthers ? identity.currentEpoch.beganAtLSN : nil
  }

  /// Opens an epoch for this copy alone, above all that the repository knows, and says so.
  private func openOwnEpoch(
    _ current: Epoch, above counter: UInt64, _ common: UInt64, _ end: UInt64, _ location: String
  ) throws -> BranchReport {
    let opened = try openOwnEpoch(current, above: counter)
    engine.configuration.logger.warning(
      "the repository has another history of this epoch; the database continues in a new epoch",
      metadata: [
        "repository": "\(location)", "epoch": "\(current.counter)", "commonLSN": "\(common)",
        "otherLSN": "\(end)", "newEpoch": "\(opened)",
      ])
    return BranchReport(commonLSN: common, otherLSN: end, epoch: opened)
  }

  private func openOwnEpoch(_ current: Epoch, above counter: UInt64) throws -> UInt64 {
    try writer.exclusivelyAlsoClosing { engine in
      let record = try NodeRecord.read(in: engine.directory.path, engine.fileSystem)
      if let refusal = engine.writeRefusal { throw refusal }
      guard engine.replication == nil, record == NodeRecord() else {
        throw VecDBError(
          .invalidArgument,
          "the repository has another history of epoch \(current.counter), and this copy has replicas",
          at: engine.directory.path,
          remedy: "Find out which copy is the primary, and promote it with `vecdb promote`.")
      }
      guard engine.log.identity.currentEpoch == current else {
        return engine.log.identity.currentEpoch.counter
      }
      try engine.requireHealthy()
      var identity = engine.log.identity
      identity.epochs.append(
        Epoch(
          counter: counter + 1, id: .random(), parentID: current.id,
          beganAtLSN: engine.state.position.lsn, beganAtChain: engine.state.position.chain))
      try engine.log.adopt(identity)
      return counter + 1
    }
  }
}
