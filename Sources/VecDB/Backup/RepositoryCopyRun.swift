import Dispatch
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Sends to one repository what it lacks of another of the same database: log and blocks first, each
/// restore point's manifest after what it needs, so that it can be broken off at any moment and taken up
/// again. Everything is proven on the way: blocks by their hashes, log by its chain.
struct RepositoryCopyRun {
  let source: StoredRepository
  let target: StoredRepository
  let threads: Int
  let progress: ProgressReporter
  let cancellation: Cancellation

  init(
    from source: StoredRepository, to target: StoredRepository, threads: Int,
    progress: ProgressHandler?, cancellation: Cancellation
  ) {
    self.source = source
    self.target = target
    self.threads = threads
    self.progress = ProgressReporter(progress)
    self.cancellation = cancellation
  }

  func run() throws -> CopyReport {
    let started = DispatchTime.now()
    guard try source.identity() != target.identity() else {
      throw StoreError(
        .invalidArgument, "both addresses are of one repository", at: target.location,
        remedy: "Name another target.")
    }
    var report = CopyReport(
      source: source.location, target: target.location, restorePoints: 0, copiedRestorePoints: 0,
      newBlocks: 0, newBytes: 0, logPieces: 0, seconds: 0)
    try requireOneHistory()
    for claim in try source.claimedEpochs() { try target.claimEpoch(claim) }
    let pruned = try target.pruned()
    try copyLog(pruned, &report)
    for entry in try source.manifests() {
      try cancellation.check()
      report.restorePoints += 1
      // What the target's own rules took out does not come back.
      guard !pruned.contains(Publications(points: [entry], log: [])) else { continue }
      try copy(entry, &report)
    }
    report.seconds = started.elapsedSeconds
    report.sourceRequests = source.requests.map { RepositoryRequests($0) }
    report.requests = target.requests.map { RepositoryRequests($0) }
    return report
  }

  /// Names of restore points and log prove nothing: a copy of the database that was set back may have
  /// written others of the same. Compares, for each epoch, the chain at the last LSN that both have.
  private func requireOneHistory() throws {
    let epochs =
      try target.manifests().map(\.epochCounter) + target.logPieces().map(\.epochCounter)
    for epoch in Set(epochs).sorted() {
      let (own, other) = (
        ChainReader(of: epoch, in: source), ChainReader(of: epoch, in: target)
      )
      guard let lsn = try own.lastLSN(sharedWith: other),
        let expected = try own.chain(at: lsn), let found = try other.chain(at: lsn)
      else { continue }
      guard expected == found else {
        throw StoreError(
          .alreadyExists, "the target has another history of epoch \(epoch) at LSN \(lsn)",
          at: target.location, remedy: "Copy to a repository of its own.")
      }
    }
  }

  private func copyLog(_ pruned: Publications, _ report: inout CopyReport) throws {
    progress.begin("copying the log")
    let there = try target.logPieces()
    let wanted = try source.logPieces().filter { piece in
      !pruned.contains(Publications(points: [], log: [piece]))
        && !there.contains {
          $0.epochCounter == piece.epochCounter && $0.firstLSN <= piece.firstLSN
            && $0.lastLSN >= piece.lastLSN
        }
    }
    let copied = try Parallel.map(
      wanted, threads: max(source.requestsAtOnce, target.requestsAtOnce) > 0 ? Self.logThreads : 1
    ) { [source, target, cancellation, progress] piece in
      try cancellation.check()
      do {
        // Proves every frame and the chain between them.
        _ = try ArchivedLog(piece, in: source)
        let bytes = try source.getLog(piece)
        try target.putLog(piece, bytes)
        progress.advance(bytes.count)
        return bytes.count
      } catch let error as StoreError where error.kind == .notFound {
        // Pruned, or made part of a larger piece, which the next copy sends.
        return 0
      }
    }
    report.logPieces = copied.count { $0 > 0 }
    report.newBytes += copied.reduce(0, +)
    if report.logPieces > 0 { try target.notePublished(epochs: Set(wanted.map(\.epochCounter))) }
  }

  /// Pieces have 8 MiB.
  private static let logThreads = 4

  private func copy(_ entry: ManifestEntry, _ report: inout CopyReport) throws {
    let manifest: Manifest
    do { manifest = try source.getManifest(entry) } catch let error as StoreError
      where error.kind == .notFound
    {
      // Pruned since it was listed.
      return
    }
    guard try !target.manifests().contains(entry) else {
      guard try target.getManifest(entry).chain == manifest.chain else {
        throw StoreError(
          .alreadyExists,
          "the target has another history of epoch \(entry.epochCounter) at LSN \(entry.lsn)",
          at: target.location, remedy: "Copy to a repository of its own.")
      }
      return
    }
    progress.begin("copying restore point LSN \(entry.lsn)")
    let renewing = try RenewingRepository(target)
    try send(manifest, to: renewing, &report)
    if try renewing.needsAnotherLook() { try lookAgain(manifest, &report) }
    do { try target.putManifest(manifest) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      // Another copy was faster.
      return
    }
    if try renewing.needsAnotherLook() { try lookAgain(manifest, &report) }
    try target.notePublished(epochs: [entry.epochCounter])
    report.copiedRestorePoints += 1
    report.newBytes += manifest.encode().count
  }

  /// As a backup does beside a prune.
  private func lookAgain(_ manifest: Manifest, _ report: inout CopyReport) throws {
    try target.refresh()
    try send(manifest, to: RenewingRepository(target), &report)
  }

  private func send(
    _ manifest: Manifest, to renewing: RenewingRepository, _ report: inout CopyReport
  ) throws {
    let (progress, cancellation) = (progress, cancellation)
    var transfer = BlockTransfer(threads: threads) {
      try cancellation.check()
      progress.set(doneBytes: $0.doneBytes, totalBytes: $0.totalBytes)
    }
    transfer.notice = { _ in }
    let previous = try target.newestManifest(lsn: manifest.lsn).flatMap { entry in
      do { return try target.getManifest(entry) } catch let error as StoreError
        where error.kind == .corrupt || error.kind == .notFound
      { return nil as Manifest? }
    }
    let done = try transfer.copy(manifest, from: source, to: renewing, previous: previous)
    try target.synchronize()
    report.newBlocks += done.sentBlocks
    report.newBytes += done.sentBytes
  }
}

/// What a copy of a repository sent.
public struct CopyReport: Sendable, Hashable, Codable {
  public var source: String
  public var target: String
  /// Restore points of the source, and those that the target lacked and now has.
  public var restorePoints: Int
  public var copiedRestorePoints: Int
  public var newBlocks: Int
  /// Blocks, log and manifests, in the form in which the target stores them.
  public var newBytes: Int
  public var logPieces: Int
  public var seconds: Double
  /// What was asked of object stores; nil for repositories in directories.
  public var sourceRequests: RepositoryRequests?
  public var requests: RepositoryRequests?
}

extension Database {
  /// Sends to a repository what it lacks of another one, so that a second region or disk has every
  /// restore point: from a directory to a bucket, or between two buckets.
  ///
  /// Blocks are compared with their hashes on the way, and log with its chain. A copy that was broken
  /// off is completed by the next one. Nothing is removed from the target: prune it by its own rules.
  /// What a prune of the target has removed does not come back.
  ///
  /// - Parameters:
  ///   - target: made if it is missing.
  ///   - key: of an encrypted source.
  ///   - targetKey: of an encrypted target; both may have different keys.
  /// - Throws: `invalidArgument` if the target holds another database's backups; `alreadyExists` if it
  ///   has another history; `corrupt` if something of the source is damaged: what was copied until then
  ///   stays.
  public static func copyRepository(
    from source: String, to target: String, key: (any RepositoryKey)? = nil,
    targetKey: (any RepositoryKey)? = nil, progress: ProgressHandler? = nil
  ) async throws -> CopyReport {
    try await onCancellableBackground { cancellation in
      try VecDBError.translating {
        let from = try openSource(source, key: key)
        let to = try StoredRepository.openOrCreate(
          target, databaseID: from.databaseID, fileSystem: PosixFileSystem(),
          encryption: RepositoryEncryption(targetKey))
        return try RepositoryCopyRun(
          from: from, to: to, threads: DatabaseConfiguration().resolvedThreads, progress: progress,
          cancellation: cancellation
        ).run()
      }
    }
  }
}
