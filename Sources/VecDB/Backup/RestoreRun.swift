import BlockStore
import Bytes
import Dispatch
import Files
import Foundation
import LogStore
import VectorIndex

/// One restore: builds the database in a staging directory, replays the archived log through the same
/// apply path as a live write, proves the result, and renames it into place.
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

  /// Replays, proves the final state, and makes the records those of the new database. Returns its identity.
  private func complete(
    _ plan: RestorePlan, _ state: DatabaseState, _ proof: RestoreProof, _ identity: LogIdentity
  ) throws -> LogIdentity {
    let records = try RecordStore.open(
      path: staging.records, fileSystem: files, databaseID: identity.databaseID)
    try replay(plan, into: state, records)
    progress.begin("verifying", totalBytes: 0)
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
    let total = manifest.namedArrays.reduce(0) { $0 + $1.array.lengthBytes }
    progress.begin("fetching blocks", totalBytes: total)
    let writer = try blocks.beginCheckpoint(lsn: manifest.lsn)
    var local = manifest
    for index in local.collections.indices {
      local.collections[index].arrays = try local.collections[index].arrays.map { array in
        let list = try repository.list(of: array)
        let written = try writer.writeArray(
          name: array.name, rowStrideBytes: array.rowStrideBytes,
          lengthBytes: array.lengthBytes, previous: nil, dirtyBlocks: EmptyCollection()
        ) { block, buffer in
          buffer.copyBytes(from: try repository.getBlock(list.hashes[block]))
          bytesCopied += buffer.count
          progress.advance(buffer.count)
        }
        guard written == array else {
          throw StoreError(
            .corrupt, "array '\(array.name)' differs from what the backup names",
            at: repository.location, remedy: "Restore another restore point.")
        }
        return written
      }
    }
    try fetchRecords(manifest)
    local.records = nil
    _ = try writer.commit(local)
    return local
  }

  private func fetchRecords(_ manifest: Manifest) throws {
    guard let array = manifest.records else {
      throw StoreError(
        .corrupt, "the manifest lacks the records", at: repository.location,
        remedy: "Restore another restore point.")
    }
    let file = try files.open(staging.records, .createNew)
    let list = try repository.list(of: array)
    for (index, hash) in list.hashes.enumerated() {
      let bytes = try repository.getBlock(hash)
      try bytes.withUnsafeBytes { try file.write($0, at: index * blockSizeBytes) }
      bytesCopied += bytes.count
      progress.advance(bytes.count)
    }
    try file.sync()
  }

  /// Applies the archived log up to the target, checking the chain frame by frame.
  private func replay(
    _ plan: RestorePlan, into state: DatabaseState, _ records: RecordStore
  ) throws {
    progress.begin("replaying the log", totalBytes: 0)
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
