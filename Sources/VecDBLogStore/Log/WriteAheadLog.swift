import Dispatch
import VecDBBytes
import VecDBFiles

/// The log of a database: the truth about every write until a manifest covers it. A directory of
/// segments that continue each other; only the last one is written.
///
/// Every method may be called from any thread, one at a time goes ahead; `read` lets others in
/// between its chunks. The database's lock file keeps other processes out.
///
/// After a write or sync that failed for another reason than a full disk, nobody knows what the
/// disk holds: the log is then poisoned and every call throws until the database is reopened.
package final class WriteAheadLog: @unchecked Sendable {
  package struct Options: Sendable {
    /// A segment that has grown to this is sealed and a new one begun.
    package var segmentSizeBytes = 64 << 20
    /// A WAL that has grown to this is moved into the segment's main file.
    package var checkpointWALBytes = 8 << 20
    /// Whether checkpoints of the WAL and new segments are made by a thread of their own, while the
    /// caller goes on with what it appended; otherwise before `append` returns.
    package var keepsHouseInBackground = false
    /// Runs a body on a thread of ordinary priority and waits for it; nil: on the calling thread.
    package var ordinarily: (@Sendable (@escaping @Sendable () -> Void) -> Void)?

    package init() {}
  }

  package typealias Batch = (payload: [UInt8], timeMilliseconds: Int64)

  package static let chunkBytes = 4 << 20

  let directory: String
  let fileSystem: any FileSystem
  let options: Options

  /// Held while anything below is used.
  let lock = Guarded<Void>(())
  private let housekeeper = DispatchQueue(label: "vecdb.log", qos: .userInitiated)
  /// Never empty; oldest first, the last one is written.
  var segments: [LogSegment]
  /// Sealed segments before a gap, oldest first: removed once, and brought back by a power failure.
  /// Nobody reads them; the next trim removes them before all others.
  private var leftovers: [String] = []
  private var poison: StoreError?
  /// What the segments have is durable up to here.
  private var durableEnd: LogPosition
  /// Whether something was written that is not known to be durable; nothing else is written before.
  private var isUnsettled = false

  var active: LogSegment { segments[segments.count - 1] }

  private init(
    directory: String, fileSystem: any FileSystem, options: Options, segments: [LogSegment]
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.options = options
    self.segments = segments
    durableEnd = segments[segments.count - 1].end
  }

  // MARK: Creating and opening

  /// Makes the log of a new or restored database; its first LSN will be `start.lsn + 1`. The
  /// directory is created if missing and must not hold a log.
  package static func create(
    directory: String, fileSystem: any FileSystem, identity: LogIdentity,
    start: LogPosition = .zero, options: Options = Options()
  ) throws -> WriteAheadLog {
    try fileSystem.createDirectory(directory)
    guard try segmentPaths(directory, fileSystem).isEmpty else {
      throw StoreError(.alreadyExists, "there is a log already", at: directory)
    }
    let segment = try LogSegment.create(
      in: directory, after: start, identity: identity, fileSystem: fileSystem)
    return WriteAheadLog(
      directory: directory, fileSystem: fileSystem, options: options, segments: [segment])
  }

  /// Opens the log and finishes what a crash left undone. `expectedAtLeast` is the LSN that other
  /// files prove to have been durable: an end before it is corruption.
  ///
  /// `coveredThrough` is an LSN up to which other files hold everything. A gap between segments
  /// that ends at or before it is what a trim may leave whose directory sync failed: the power
  /// failure brings an older segment back, but not a younger one that was removed later. What lies
  /// before such a gap is left out; any other gap is corruption.
  ///
  /// Nothing is written before all is checked, so that after `.corrupt` every file is as it was.
  /// Checked are the raw WALs, headers and joins of all segments, and every frame of a segment that
  /// was not closed cleanly; `read` and `verify` check the rest.
  package static func open(
    directory: String, fileSystem: any FileSystem, options: Options = Options(),
    expectedAtLeast: UInt64 = 0, coveredThrough: UInt64 = 0
  ) throws -> WriteAheadLog {
    var paths = try segmentPaths(directory, fileSystem)
    guard !paths.isEmpty else {
      throw StoreError(
        .notFound, "there is no log segment", at: directory,
        remedy: "Check the path; if you lost the files, restore from a backup.")
    }
    // SQLite drops what follows damage in a WAL without a word, so look before it does.
    var scans = try paths.map { try LogSegment.scanWAL(of: $0, fileSystem: fileSystem) }
    var segments = try zip(paths, scans).map { path, scan in
      try LogSegment.open(path, walBytes: scan.committedBytes, fileSystem: fileSystem)
    }
    let first = firstAfterGap(segments, coveredThrough: coveredThrough)
    let leftovers = Array(paths[..<first])
    for segment in segments[..<first] { segment.close() }
    (paths, scans) = (Array(paths[first...]), Array(scans[first...]))
    segments.removeFirst(first)
    try checkJoins(segments)
    for segment in segments where segment.walBytes > 0 { try segment.verify() }
    let end = segments[segments.count - 1].end
    guard end.lsn >= expectedAtLeast else {
      throw corrupt(
        "the log ends at LSN \(end.lsn), but \(expectedAtLeast) was durable", at: directory)
    }

    let log = WriteAheadLog(
      directory: directory, fileSystem: fileSystem, options: options, segments: segments)
    log.leftovers = leftovers
    for (path, scan) in zip(paths, scans) {
      try SegmentWAL.cut(LogSegment.walPath(path), to: scan.committedBytes, fileSystem)
    }
    try log.removeUnfinished()
    do {
      try log.sealOlderSegments()
      if log.active.walBytes > 0 { try log.active.checkpoint() }
    } catch let error as StoreError where error.kind == .diskFull {
      // What is there can be read; the next append tries again.
    }
    return log
  }

  private static func segmentPaths(
    _ directory: String, _ fileSystem: any FileSystem
  ) throws -> [String] {
    guard try fileSystem.exists(directory) else { return [] }
    return try fileSystem.list(directory).filter { LogSegment.firstLSN(ofName: $0) != nil }
      .sorted().map { directory + "/" + $0 }
  }

  /// The index of the first segment behind the last gap that may be there; 0 if there is none.
  private static func firstAfterGap(_ segments: [LogSegment], coveredThrough: UInt64) -> Int {
    let gap = segments.indices.dropFirst().last { index in
      let (before, after) = (segments[index - 1], segments[index])
      return before.isSealed && before.end.lsn < after.header.start.lsn
        && after.header.start.lsn <= coveredThrough
        && before.header.identity.isAncestor(of: after.header.identity)
    }
    return gap ?? 0
  }

  static func checkJoins(_ segments: [LogSegment]) throws {
    for (index, segment) in segments.enumerated() {
      guard fileName(segment.path) == LogSegment.name(firstLSN: segment.header.start.lsn + 1) else {
        throw corrupt("the segment's name is not that of its first LSN", at: segment.path)
      }
      guard index > 0 else { continue }
      let previous = segments[index - 1]
      guard segment.header.start == previous.end,
        previous.header.identity.isAncestor(of: segment.header.identity)
      else {
        throw corrupt(
          "the segment continues \(segment.header.start), but the one before ends at "
            + "\(previous.end): a segment is missing or of another history", at: segment.path)
      }
    }
    let last = segments[segments.count - 1]
    guard !last.header.isSealed else {
      throw corrupt("the segment after this sealed one is missing", at: last.path)
    }
  }

  /// Removes segments whose creation did not finish.
  private func removeUnfinished() throws {
    for name in try fileSystem.list(directory)
    where name.contains(".segment" + LogSegment.unfinishedSuffix) {
      try fileSystem.remove(directory + "/" + name)
    }
  }

  // MARK: State

  package var identity: LogIdentity { lock.withLock { _ in active.header.identity } }
  /// The oldest LSN that can be read, or would be the first one in an empty log.
  package var firstLSN: UInt64 { lock.withLock { _ in segments[0].header.start.lsn + 1 } }
  /// Where the log ends, as far as it is durable.
  package var end: LogPosition { lock.withLock { _ in durableEnd } }
  /// Where the last commit ends in the WAL of the segment that is written.
  package var walBytes: Int { lock.withLock { _ in active.walBytes } }
  /// What the log takes on disk.
  package var sizeBytes: Int {
    get throws { try lock.withLock { _ in try segments.reduce(0) { try $0 + $1.sizeBytes } } }
  }

  // MARK: Writing

  /// Appends batches in one transaction, durable on return, and returns their positions. Throws
  /// `.diskFull` if there is no space: nothing is appended then, and a later call may succeed.
  /// Cost: one fdatasync; now and then a checkpoint of the WAL, or a new segment.
  package func append(_ batches: [Batch]) throws -> [LogPosition] {
    let frames = try write(batches)
    try settle()
    return frames.map(\.position)
  }

  /// Writes batches in one transaction and returns their frames, which nobody reads and which are
  /// not durable until `settle` has returned. Throws as `append`.
  package func write(_ batches: [Batch]) throws -> [LogFrame] {
    try lock.withLock { _ in
      try checkWritable()
      if batches.isEmpty { return [] }
      var position = active.end
      let epochCounter = active.header.identity.currentEpoch.counter
      let frames = try batches.map { batch in
        guard batch.payload.count <= LogFrame.payloadBytesMaximum else {
          throw StoreError(
            .limitExceeded,
            "a batch of \(batch.payload.count) bytes; the limit is \(LogFrame.payloadBytesMaximum)")
        }
        let frame = LogFrame(
          after: position, epochCounter: epochCounter, timeMilliseconds: batch.timeMilliseconds,
          payload: batch.payload)
        position = frame.position
        return frame
      }
      try poisoningOnFailure { try active.append(frames) }
      isUnsettled = true
      return frames
    }
  }

  /// Makes what was written durable. It may run on another thread than `write`; meanwhile the log
  /// can be read up to its old end. Any error poisons the log.
  package func settle() throws {
    let file = try lock.withLock { _ -> (any FileHandle)? in
      try checkUsable()
      return isUnsettled ? try poisoningOnFailure { try active.walHandle() } : nil
    }
    guard let file else { return }
    let outcome = Result { try file.sync() }
    try lock.withLock { _ in
      // A full disk is no excuse: it was the write's chance to say so.
      if case .failure(let error) = outcome { throw poison(error) }
      isUnsettled = false
      durableEnd = active.end
      keepHouseIfDue()
    }
  }

  /// Writes frames that another copy of this log wrote, as `write` does. The caller has checked
  /// their chain.
  package func write(received frames: [LogFrame]) throws {
    try lock.withLock { _ in
      try checkWritable()
      guard let first = frames.first else { return }
      let epochCounter = active.header.identity.currentEpoch.counter
      guard first.lsn == active.end.lsn + 1,
        frames.allSatisfy({ $0.epochCounter == epochCounter })
      else {
        throw StoreError(
          .invalidArgument,
          "LSN \(first.lsn) of epoch \(first.epochCounter) cannot follow LSN \(active.end.lsn) of "
            + "epoch \(epochCounter)", at: directory)
      }
      try poisoningOnFailure { try active.append(frames) }
      isUnsettled = true
    }
  }

  /// Takes up epochs that begin at the present end. Durable on return.
  package func adopt(_ identity: LogIdentity) throws {
    try lock.withLock { _ in
      try checkWritable()
      let present = active.header.identity
      guard identity != present else { return }
      let added = identity.epochs.dropFirst(present.epochs.count)
      guard present.isAncestor(of: identity),
        added.allSatisfy({
          LogPosition(lsn: $0.beganAtLSN, chain: $0.beganAtChain) == active.end
        })
      else {
        throw StoreError(
          .invalidArgument, "these epochs do not continue the log at \(active.end)", at: directory)
      }
      try poisoningOnFailure {
        // Two segments cannot begin at one LSN.
        if active.end == active.header.start {
          try active.replaceIdentity(identity)
        } else {
          try rotate(identity: identity)
        }
      }
    }
  }

  /// Begins a new epoch at the present end, in a segment of its own. Durable on return.
  package func beginEpoch(counter: UInt64, id: UniqueID) throws {
    try lock.withLock { _ in
      try checkWritable()
      var identity = active.header.identity
      let parent = identity.currentEpoch
      guard counter > parent.counter else {
        throw StoreError(
          .invalidArgument, "epoch \(counter) cannot follow epoch \(parent.counter)")
      }
      let epoch = Epoch(
        counter: counter, id: id, parentID: parent.id, beganAtLSN: active.end.lsn,
        beganAtChain: active.end.chain)
      identity.epochs.append(epoch)
      guard active.end != active.header.start else {
        throw StoreError(.invalidArgument, "the current epoch has not written anything yet")
      }
      try poisoningOnFailure { try rotate(identity: identity) }
    }
  }

  private func keepHouseIfDue() {
    guard
      active.contentBytes >= options.segmentSizeBytes
        || active.walBytes >= options.checkpointWALBytes
        || segments.dropLast().contains(where: { !$0.isSealed })
    else { return }
    // A writer that never rests must not keep the thread from it for ever.
    let isLate = active.walBytes >= 4 * options.checkpointWALBytes
    guard options.keepsHouseInBackground, !isLate else { return keepHouse() }
    housekeeper.async { [weak self] in
      self?.lock.withLock { _ in
        // Perhaps closed meanwhile, or written to: then it is due again when that is settled.
        if self?.poison == nil, self?.isUnsettled == false { self?.keepHouse() }
      }
    }
  }

  /// What is due after a commit. A failure here must not fail the commit, which is durable: a full
  /// disk is tried again after the next one, anything else poisons the calls to come.
  private func keepHouse() {
    do {
      if active.contentBytes >= options.segmentSizeBytes {
        try rotate(identity: active.header.identity)
      } else if active.walBytes >= options.checkpointWALBytes {
        try active.checkpoint()
      }
      try sealOlderSegments()
    } catch let error as StoreError where error.kind == .diskFull {
      return
    } catch {
      poison(error)
    }
  }

  /// Begins a new segment; the old one is written no more once the new one is durable.
  private func rotate(identity: LogIdentity) throws {
    let next = try LogSegment.create(
      in: directory, after: active.end, identity: identity, fileSystem: fileSystem)
    segments.append(next)
    try sealOlderSegments()
  }

  private func sealOlderSegments() throws {
    for segment in segments.dropLast() where !segment.isSealed { try segment.seal() }
  }

  private func poisoningOnFailure<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as StoreError where error.kind == .diskFull {
      throw error
    } catch { throw poison(error) }
  }

  @discardableResult
  private func poison(_ error: any Error) -> StoreError {
    let poison = StoreError(
      .poisoned, "a write to the log failed and its outcome is unknown: \(error)", at: directory,
      remedy: "Check the disk, then reopen the database; repeat the writes that got no receipt.")
    self.poison = poison
    return poison
  }

  func checkUsable() throws {
    if let poison { throw poison }
  }

  /// `WALScanner` relies on it that a transaction begins only after the sync of the one before.
  private func checkWritable() throws {
    try checkUsable()
    guard !isUnsettled else {
      throw StoreError(.invalidArgument, "the last write has no outcome yet", at: directory)
    }
  }

  // MARK: Trimming and closing

  /// Removes sealed segments that hold nothing after `lsn`. The only place that removes log.
  package func trim(through lsn: UInt64) throws {
    try lock.withLock { _ in
      try checkUsable()
      while let path = leftovers.first {
        try removeDurably(path)
        leftovers.removeFirst()
      }
      while segments.count > 1, segments[0].isSealed, segments[0].end.lsn <= lsn {
        try removeDurably(segments[0].path)
        segments.removeFirst()
      }
    }
  }

  /// One at a time: a crash that kept an older segment but not a newer one looks like a gap.
  private func removeDurably(_ path: String) throws {
    try poisoningOnFailure {
      try fileSystem.remove(path)
      try fileSystem.syncDirectory(directory)
    }
  }

  /// Lets go of the files as they are. The log cannot be used afterwards.
  package func abandon() {
    lock.withLock { _ in
      for segment in segments { segment.close() }
      poison = StoreError(.invalidArgument, "the log is closed", at: directory)
    }
  }

  /// Moves everything into the main files and lets go of them, so that the next open is fast. The
  /// log cannot be used afterwards.
  package func close() throws {
    try lock.withLock { _ in
      defer {
        for segment in segments { segment.close() }
        poison = StoreError(.invalidArgument, "the log is closed", at: directory)
      }
      guard poison == nil else { return }
      try sealOlderSegments()
      if active.walBytes > 0 { try active.checkpoint() }
    }
  }
}
