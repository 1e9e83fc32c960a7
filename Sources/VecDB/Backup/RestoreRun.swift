import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore
import VecDBThreads

/// One restore: builds the database in a staging directory, replays the archived log through the
/// same apply path as a live write, proves the result, and renames it into place.
///
/// Whatever fails, nothing is live; the staging directory is removed.
final class RestoreRun {
  private let repository: any Repository
  private let files: any FileSystem
  private let directory: DatabaseDirectory
  private let staging: StagingDirectory
  private let options: RestoreOptions
  /// The collections to restore; all if there are none.
  private var wanted: Set<ByteString> { Set(options.collections.map(ByteString.init)) }
  private let configuration: DatabaseConfiguration
  private let progress: ProgressReporter
  private let cancellation: Cancellation
  private var older: OlderCopy?
  private var bytesCopied = 0
  private var bytesFetched = 0
  private var lastTime: Int64 = 0
  private var omitted: (from: Int64?, notLater: UInt64) = (nil, 0)

  init(
    repository: any Repository, path: String, files: any FileSystem,
    options: RestoreOptions = RestoreOptions(), configuration: DatabaseConfiguration,
    progress: ProgressHandler?, cancellation: Cancellation = Cancellation()
  ) throws {
    self.cancellation = cancellation
    self.repository = repository
    self.files = files
    let place = try DatabasePlace.target(path, files)
    try Self.requireApart(repository.location, place)
    directory = DatabaseDirectory(path: place)
    guard !options.continues || options.collections.isEmpty else {
      throw VecDBError(
        .invalidArgument, "a copy with only some collections cannot continue as the database",
        at: path, remedy: "Restore all collections, or leave --continue out.")
    }
    staging = try StagingDirectory(for: place, .restoring, files, configuration.logger)
    self.options = options
    self.configuration = configuration
    self.progress = ProgressReporter(progress)
  }

  /// With `keeping` false everything is done but the last rename.
  func run(_ target: RestoreTarget, keeping: Bool = true) throws -> RestoreReport {
    defer { older?.release() }
    let report: RestoreReport
    do {
      if keeping { try requirePlace() }
      let plan = try RestorePlan(
        target, base: options.base, epoch: options.epoch, in: repository,
        nowMilliseconds: configuration.clock?() ?? Engine.nowMilliseconds())
      report = try offeringOthers(plan) { try build(plan) }
    } catch {
      staging.discard()
      throw error
    }
    do { try cancellation.check() } catch {
      staging.discard()
      throw error
    }
    if keeping { try publish() } else { staging.discard() }
    return report
  }

  private func requirePlace() throws {
    guard let info = try files.info(directory.path) else { return }
    // An empty directory is replaced by the new one.
    if info.isDirectory, try files.list(directory.path).isEmpty { return }
    guard options.replacing else {
      throw StoreError(
        .alreadyExists, "the path exists already; a restore does not overwrite it",
        at: directory.path,
        remedy: "Choose a path that does not exist, or let the restore replace it (--replace).")
    }
    let older = try OlderCopy(directory, fileSystem: files)
    self.older = older
    try older.requireExpendable(for: repository, options, configuration)
  }

  /// A repository within the database that is replaced would go with it, and a database within a
  /// repository would be taken for a part of that.
  private static func requireApart(_ repository: String, _ place: String) throws {
    guard let source = DatabasePlace.realPath(repository),
      let target = DatabasePlace.nearestThere(place)
    else { return }
    guard !DatabasePlace.isWithin(target, source) else {
      throw StoreError(
        .invalidArgument, "the database would be within the repository", at: place,
        remedy: "Choose a path outside of \(repository).")
    }
    guard DatabasePlace.realPath(place) == nil || !DatabasePlace.isWithin(source, target) else {
      throw StoreError(
        .invalidArgument, "the repository is within the directory that would be replaced",
        at: repository, remedy: "Move the repository elsewhere, or choose another path.")
    }
  }

  /// Gives the proven copy its name, in place of an older one where there is one.
  private func publish() throws {
    let lock = try older.map { try staging.replace(holding: $0.lock) } ?? staging.publish()
    lock.unlock()
  }

  /// Tells, if something in the repository is damaged, what can be restored all the same.
  private func offeringOthers(
    _ plan: RestorePlan, _ body: () throws -> RestoreReport
  ) throws -> RestoreReport {
    do { return try body() } catch var error as StoreError
      where [.corrupt, .notFound, .limitExceeded].contains(error.kind)
    {
      progress.begin("looking for an intact restore point")
      error.remedy = try IntactRestorePoints(repository, through: plan.epoch).offer(besides: plan)
      throw error
    }
  }

  private func build(_ plan: RestorePlan) throws -> RestoreReport {
    let started = DispatchTime.now()
    let blocks = try BlockStore(directory: staging.path, fileSystem: files)
    var manifest = plan.manifest
    if !options.collections.isEmpty {
      manifest.collections.removeAll { !wanted.contains(ByteString($0.name)) }
    }
    let local = try fetch(manifest, into: blocks)
    let copied = DispatchTime.now()
    let identity = try LogIdentity(decoding: plan.manifest.epochs, at: "\(plan.entry)")
    let state = try Opening.openState(
      local, blocks: blocks, threads: configuration.resolvedThreads, keeping: isWanted)
    state.publish()
    let proof = RestoreProof(verification: options.verification, cancellation: cancellation)
    let canaries = try proof.proveManifest(manifest, state)
    let branched = try complete(plan, state, proof, identity)
    if branched.databaseID != identity.databaseID { state.leaveReplicas() }
    try Opening.populate(
      staging.directory, blocks, files, configuration, identity: branched, state: state,
      previous: local, notBefore: max(lastTime, manifest.timeMilliseconds))
    return RestoreReport(
      path: directory.path, lsn: state.lsn, manifestLSN: plan.entry.lsn,
      epoch: branched.currentEpoch.counter, databaseID: "\(branched.databaseID)",
      dataDigest: state.dataDigest.hex,
      records: state.collections.values.reduce(0) { $0 + $1.count },
      bytesCopied: bytesCopied, bytesFetched: bytesFetched, canary: canaries.measured,
      backupCanary: canaries.stored, copySeconds: Self.seconds(started, copied),
      verifySeconds: Self.seconds(copied, DispatchTime.now()),
      totalSeconds: Self.seconds(started, DispatchTime.now()),
      omittedBatches: plan.reachableLSN - min(state.lsn, plan.reachableLSN),
      omittedFromMilliseconds: omitted.from, omittedNotLater: omitted.notLater,
      newestMilliseconds: newestKnown(plan, manifest))
  }

  /// Where the target is a time after everything that the repository knows of, how far that goes.
  private func newestKnown(_ plan: RestorePlan, _ manifest: Manifest) -> Int64? {
    guard case .time(let time) = plan.target else { return nil }
    let wanted = time.milliseconds
    let newest = max(lastTime, manifest.timeMilliseconds)
    return wanted > newest && omitted.from == nil ? newest : nil
  }

  private func isWanted(_ definition: CollectionDefinition) -> Bool {
    wanted.isEmpty || wanted.contains(ByteString(definition.name))
  }

  /// Replays, proves the final state, and makes the records those of the new database. Returns its
  /// identity.
  private func complete(
    _ plan: RestorePlan, _ state: DatabaseState, _ proof: RestoreProof, _ identity: LogIdentity
  ) throws -> LogIdentity {
    let records = try RecordStore.open(
      path: staging.records, fileSystem: files, databaseID: identity.databaseID)
    if !options.collections.isEmpty {
      try records.keep(collections: Set(state.collections.keys))
    }
    let last = try replay(plan, into: state, records)
    let missing = options.collections.filter { state.collection(named: $0) == nil }
    guard missing.isEmpty else {
      throw VecDBError(
        .notFound,
        "there is no collection '\(missing.sorted().joined(separator: "', '"))' at LSN "
          + "\(state.lsn)", at: repository.location,
        remedy: "Choose another name, or another point in time.")
    }
    progress.begin("verifying")
    try proof.proveState(state, records)
    try records.close()
    var branched = (last ?? identity).branching(at: state.position)
    if options.continues {
      branched = try branched.continuing(
        as: UniqueID(number: repository.databaseID), above: highestEpoch())
    }
    let adopted = try RecordStore.open(
      path: staging.records, fileSystem: files, databaseID: branched.databaseID, adopting: true)
    try adopted.close()
    return branched
  }

  /// The highest epoch counter that the repository has seen.
  private func highestEpoch() throws -> UInt64 {
    let history = try RepositoryHistory(repository)
    let seen =
      history.entries.map(\.epochCounter) + history.pieces.map(\.epochCounter)
      + (try repository.claimedEpochs().map(\.counter))
    return seen.max() ?? 0
  }

  /// Fetches every block, which proves its hash, into one pack, and the records file.
  private func fetch(_ manifest: Manifest, into blocks: BlockStore) throws -> Manifest {
    guard let recordsFile = manifest.records else {
      throw StoreError(
        .corrupt, "the manifest lacks the records", at: repository.location,
        remedy: "Restore another restore point.")
    }
    let (progress, cancellation) = (progress, cancellation)
    var transfer = BlockTransfer(threads: configuration.resolvedThreads) {
      try cancellation.check()
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    if let older { transfer.nearby = { older.block($0) } }
    progress.begin("fetching blocks")
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    count(try transfer.fetch(manifest, from: repository, into: writer))
    progress.begin("fetching records")
    count(
      try transfer.fetchFile(
        recordsFile, from: repository, to: staging.records, fileSystem: files))
    var local = manifest
    local.records = nil
    _ = try writer.commit(local)
    return local
  }

  private func count(_ done: TransferProgress) {
    bytesCopied += done.doneBytes
    bytesFetched += done.sentBytes
  }

  /// Applies the archived log up to the target, checking the chain frame by frame. Returns the
  /// identity of the last log that was used.
  private func replay(
    _ plan: RestorePlan, into state: DatabaseState, _ records: RecordStore
  ) throws -> LogIdentity? {
    progress.begin("replaying the log")
    var identity: LogIdentity?
    let ahead = LogReadAhead(plan.log.map(\.piece), in: repository)
    stretches: for stretch in plan.log {
      let place = ArchivedLog.place(stretch.piece, repository)
      let log = try ahead.next()
      bytesFetched += log.frames.reduce(0) { $0 + $1.payload.count }
      var changes: [RecordChange] = []
      var isDone = false
      for frame in log.frames where frame.lsn > state.lsn && frame.lsn <= stretch.lastLSN {
        guard !isDone, plan.includes(frame) else {
          isDone = true
          noteOmitted(frame, plan.target)
          continue
        }
        lastTime = max(lastTime, frame.timeMilliseconds)
        try cancellation.check()
        try frame.checkFollows(state.position, at: place)
        try apply(frame, to: state, &changes)
        identity = log.identity.upTo(epoch: frame.epochCounter)
        progress.advance(frame.payload.count)
      }
      try records.apply(changes, through: state.position)
      if isDone { break stretches }
    }
    state.publish()
    return identity
  }

  private func noteOmitted(_ frame: LogFrame, _ target: RestoreTarget) {
    if omitted.from == nil { omitted.from = frame.timeMilliseconds }
    if case .time(let time) = target, frame.timeMilliseconds <= time.milliseconds {
      omitted.notLater += 1
    }
  }

  /// Applies a batch; one of a collection that is not wanted only moves the position on.
  private func apply(
    _ frame: LogFrame, to state: DatabaseState, _ changes: inout [RecordChange]
  ) throws {
    if !options.collections.isEmpty {
      let (isWanted, reserved) = try DecodedBatch.with(frame.payload, lsn: frame.lsn) {
        batch -> (Bool, UInt32?) in
        if case .create(let definition) = batch {
          return (self.isWanted(definition), definition.id)
        }
        return (batch.collectionID.map { state.collections[$0] != nil } ?? true, nil)
      }
      if !isWanted { return state.skip(to: frame.position, reserving: reserved) }
    }
    try state.apply(frame.payload, at: frame.position, records: &changes)
  }

  private static func seconds(_ from: DispatchTime, _ to: DispatchTime) -> Double {
    Double(to.uptimeNanoseconds - from.uptimeNanoseconds) / 1e9
  }
}

extension LogIdentity {
  /// The epochs up to the one with this counter.
  func upTo(epoch counter: UInt64) -> LogIdentity {
    let kept = epochs.filter { $0.counter <= counter }
    return kept.isEmpty ? self : LogIdentity(databaseID: databaseID, epochs: kept)
  }
}
