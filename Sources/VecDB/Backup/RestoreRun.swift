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
  private let verification: RestoreVerification
  private let configuration: Configuration
  private let progress: ProgressReporter
  private var bytesCopied = 0

  init(
    repository: any Repository, path: String, files: any FileSystem,
    verification: RestoreVerification, configuration: Configuration, progress: ProgressHandler?
  ) {
    self.repository = repository
    self.files = files
    directory = DatabaseDirectory(path: path)
    staging = DatabaseDirectory(path: "\(path).restoring-\(getpid())")
    self.verification = verification
    self.configuration = configuration
    self.progress = ProgressReporter(progress)
  }

  /// With `keeping` false everything is done but the last rename.
  func run(_ target: RestoreTarget, keeping: Bool = true) throws -> RestoreReport {
    guard try !files.exists(directory.path) else {
      throw StoreError(
        .alreadyExists, "something is there already; a restore never overwrites",
        at: directory.path, remedy: "Choose a path that does not exist, or move it away first.")
    }
    try files.removeTree(staging.path)
    do {
      let report = try build(RestorePlan(target, in: repository))
      if keeping {
        try Opening.publish(staging, as: directory, files)
      } else {
        try files.removeTree(staging.path)
      }
      return report
    } catch {
      try files.removeTree(staging.path)
      throw error
    }
  }

  private func build(_ plan: RestorePlan) throws -> RestoreReport {
    let started = DispatchTime.now()
    try files.createDirectory(staging.path)
    let blocks = try BlockStore(directory: staging.path, fileSystem: files)
    let local = try fetch(plan.manifest, into: blocks)
    let copied = DispatchTime.now()
    let identity = try LogIdentity(decoding: plan.manifest.epochs, at: "\(plan.entry)")
    let state = try Opening.openState(
      local, blocks: blocks, threads: configuration.resolvedThreads)
    state.publish()
    let proof = RestoreProof(verification: verification)
    let canaries = try proof.proveManifest(plan.manifest, state)
    let branched = try complete(plan, state, proof, identity)
    try Opening.populate(
      staging, blocks, files, configuration, identity: branched, state: state, previous: local)
    return RestoreReport(
      path: directory.path, lsn: state.lsn, manifestLSN: plan.entry.lsn,
      epoch: branched.currentEpoch.counter, databaseID: "\(branched.databaseID)",
      dataDigest: state.dataDigest.hex,
      records: state.collections.values.reduce(0) { $0 + $1.count },
      bytesCopied: bytesCopied, canary: canaries.measured, backupCanary: canaries.stored,
      copySeconds: Self.seconds(started, copied),
      verifySeconds: Self.seconds(copied, DispatchTime.now()),
      totalSeconds: Self.seconds(started, DispatchTime.now()))
  }

  /// Replays, proves the final state, and makes the records those of the new database. Returns its
  /// identity.
  private func complete(
    _ plan: RestorePlan, _ state: DatabaseState, _ proof: RestoreProof, _ identity: LogIdentity
  ) throws -> LogIdentity {
    let records = try RecordStore.open(
      path: staging.records, fileSystem: files, databaseID: identity.databaseID)
    try replay(plan, into: state, records)
    progress.begin("verifying")
    try proof.proveState(state, records)
    try records.close()
    let branched = identity.branching(at: state.position)
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
    let transfer = BlockTransfer(threads: configuration.resolvedThreads) {
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    progress.begin("fetching blocks")
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    bytesCopied += try transfer.fetch(manifest, from: repository, into: writer).doneBytes
    progress.begin("fetching records")
    bytesCopied += try transfer.fetchFile(
      recordsFile, from: repository, to: staging.records, fileSystem: files
    ).doneBytes
    var local = manifest
    local.records = nil
    _ = try writer.commit(local)
    return local
  }

  /// Applies the archived log up to the target, checking the chain frame by frame.
  private func replay(
    _ plan: RestorePlan, into state: DatabaseState, _ records: RecordStore
  ) throws {
    progress.begin("replaying the log")
    pieces: for piece in plan.pieces {
      let place = ArchivedLog.place(piece, repository)
      let frames = try ArchivedLog(piece, in: repository).frames
      var changes: [RecordChange] = []
      var isDone = false
      for frame in frames where frame.lsn > state.lsn {
        guard plan.includes(frame) else {
          isDone = true
          break
        }
        try frame.checkFollows(state.position, at: place)
        try state.apply(frame.payload, at: frame.position, records: &changes)
        progress.advance(frame.payload.count)
      }
      try records.apply(changes, through: state.lsn)
      if isDone { break pieces }
    }
    state.publish()
  }

  private static func seconds(_ from: DispatchTime, _ to: DispatchTime) -> Double {
    Double(to.uptimeNanoseconds - from.uptimeNanoseconds) / 1e9
  }
}
