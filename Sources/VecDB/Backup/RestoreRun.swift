import BlockStore
import Bytes
import Dispatch
import Files
import Foundation
import LogStore
import VectorIndex

/// One restore: builds the database in a staging directory, replays the archived log through the
/// same apply path as a live write, proves the result, and renames it into place.
///
/// Whatever fails, nothing is live; the staging directory is removed.
final class RestoreRun {
  private let repository: any Repository
  private let files: any FileSystem
  private let directory: DatabaseDirectory
  private let staging: DatabaseDirectory
  private let options: RestoreOptions
  private let configuration: Configuration
  private let progress: ProgressReporter
  private var older: OlderCopy?
  private var bytesCopied = 0
  private var bytesFetched = 0

  init(
    repository: any Repository, path: String, files: any FileSystem,
    options: RestoreOptions = RestoreOptions(), configuration: Configuration,
    progress: ProgressHandler?
  ) {
    self.repository = repository
    self.files = files
    directory = DatabaseDirectory(path: path)
    staging = DatabaseDirectory(path: "\(path).restoring-\(getpid())")
    self.options = options
    self.configuration = configuration
    self.progress = ProgressReporter(progress)
  }

  /// With `keeping` false everything is done but the last rename.
  func run(_ target: RestoreTarget, keeping: Bool = true) throws -> RestoreReport {
    if try files.exists(directory.path) {
      guard options.replacing else {
        throw StoreError(
          .alreadyExists, "something is there already; a restore does not overwrite it",
          at: directory.path,
          remedy: "Choose a path that does not exist, or say that it may be replaced.")
      }
      older = try OlderCopy(directory, fileSystem: files)
    }
    defer { older?.release() }
    try files.removeTree(staging.path)
    do {
      let plan = try RestorePlan(target, base: options.base, in: repository)
      let report = try offeringOthers(plan) { try build(plan) }
      if keeping { try publish() } else { try files.removeTree(staging.path) }
      return report
    } catch {
      try files.removeTree(staging.path)
      throw error
    }
  }

  /// Gives the proven copy its name, in place of an older one where there is one.
  private func publish() throws {
    guard older != nil else { return try Opening.publish(staging, as: directory, files) }
    // Moved away rather than removed: a crash before the next rename leaves it whole there.
    let away = directory.path + ".before-restore"
    try files.removeTree(away)
    try files.rename(directory.path, to: away)
    do { try Opening.publish(staging, as: directory, files) } catch {
      try files.rename(away, to: directory.path)
      throw error
    }
    try files.removeTree(away)
  }

  /// Tells, if something in the repository is damaged, what can be restored all the same.
  private func offeringOthers(
    _ plan: RestorePlan, _ body: () throws -> RestoreReport
  ) throws -> RestoreReport {
    do { return try body() } catch var error as StoreError
      where [.corrupt, .notFound, .limitExceeded].contains(error.kind)
    {
      progress.begin("looking for an intact restore point")
      error.remedy = try IntactRestorePoints(repository).offer(besides: plan)
      throw error
    }
  }

  private func build(_ plan: RestorePlan) throws -> RestoreReport {
    let started = DispatchTime.now()
    try files.createDirectory(staging.path)
    let blocks = try BlockStore(directory: staging.path, fileSystem: files)
    var manifest = plan.manifest
    if !options.collections.isEmpty {
      manifest.collections.removeAll { !options.collections.contains($0.name) }
    }
    let local = try fetch(manifest, into: blocks)
    let copied = DispatchTime.now()
    let identity = try LogIdentity(decoding: plan.manifest.epochs, at: "\(plan.entry)")
    let state = try Opening.openState(
      local, blocks: blocks, threads: configuration.resolvedThreads, keeping: isWanted)
    state.publish()
    let proof = RestoreProof(verification: options.verification)
    let canaries = try proof.proveManifest(manifest, state)
    let branched = try complete(plan, state, proof, identity)
    if branched.databaseID != identity.databaseID { state.leaveReplicas() }
    try Opening.populate(
      staging, blocks, files, configuration, identity: branched, state: state, previous: local)
    return RestoreReport(
      path: directory.path, lsn: state.lsn, manifestLSN: plan.entry.lsn,
      epoch: branched.currentEpoch.counter, databaseID: "\(branched.databaseID)",
      dataDigest: state.dataDigest.hex,
      records: state.collections.values.reduce(0) { $0 + $1.count },
      bytesCopied: bytesCopied, bytesFetched: bytesFetched, canary: canaries.measured,
      backupCanary: canaries.stored, copySeconds: Self.seconds(started, copied),
      verifySeconds: Self.seconds(copied, DispatchTime.now()),
      totalSeconds: Self.seconds(started, DispatchTime.now()))
  }

  private func isWanted(_ definition: CollectionDefinition) -> Bool {
    options.collections.isEmpty || options.collections.contains(definition.name)
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
    let branched = (last ?? identity).branching(at: state.position)
    let adopted = try RecordStore.open(
      path: staging.records, fileSystem: files, databaseID: branched.databaseID, adopting: true)
    try adopted.close()
    return branched
  }

  /// Fetches every block, which proves its hash, into one pack, and the records file.
  private func fetch(_ manifest: Manifest, into blocks: BlockStore) throws -> Manifest {
    guard let recordsFile = manifest.records else {
      throw StoreError(
        .corrupt, "the manifest lacks the records", at: repository.location,
        remedy: "Restore another restore point.")
    }
    let progress = progress
    var transfer = BlockTransfer(threads: configuration.resolvedThreads) {
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
    stretches: for stretch in plan.log {
      let place = ArchivedLog.place(stretch.piece, repository)
      let log = try ArchivedLog.read(stretch.piece, in: repository)
      bytesFetched += log.frames.reduce(0) { $0 + $1.payload.count }
      var changes: [RecordChange] = []
      var isDone = false
      for frame in log.frames where frame.lsn > state.lsn && frame.lsn <= stretch.lastLSN {
        guard plan.includes(frame) else {
          isDone = true
          break
        }
        try frame.checkFollows(state.position, at: place)
        try apply(frame, to: state, &changes)
        identity = log.identity.upTo(epoch: frame.epochCounter)
        progress.advance(frame.payload.count)
      }
      try records.apply(changes, through: state.lsn)
      if isDone { break stretches }
    }
    state.publish()
    return identity
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
