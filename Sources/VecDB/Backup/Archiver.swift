import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// Sends the log of an open database to a repository every few seconds.
///
/// Each pass publishes what is new as one piece; many small ones are made into one now and then. A
/// pass that fails is repeated later and later, up to a minute; trimming waits meanwhile, up to
/// ``DatabaseConfiguration/archiveLogBytes``.
final class Archiver: Companion {
  let repositoryPath: String
  private let key: (any RepositoryKey)?
  private let intervalMilliseconds: Int
  private let state = Guarded(State())
  /// Passes come one after the other.
  private let queue = DispatchQueue(label: "vecdb.archive")
  private let wake = DispatchSemaphore(value: 0)
  private let failing = RepeatedFailure("cannot archive the log", level: .error)

  private struct State {
    var repository: OwnRepository?
    /// What the present epoch's folder of it has, as far as it was compared or published here.
    var compared: Set<LogPiece> = []
    /// Small pieces that were published and are to be made into one.
    var small: [LogPiece] = []
    var smallBytes = 0
    var problem: String?
    var failures = 0
    var hasArchived = false
    /// Whoever may not delete leaves small pieces small.
    var mayDelete = true
    var isStopped = false
  }

  /// Small pieces are made into one when there are so many, or so many bytes in them.
  private static let smallPieceLimit = 64
  private static let longestWaitMilliseconds = 60_000

  init(_ options: ArchiveOptions, key: (any RepositoryKey)?) {
    repositoryPath = Database.absolute(options.repository)
    self.key = key
    // Longer than a year is for ever.
    intervalMilliseconds = min(max(10, options.intervalMilliseconds), 366 * 86_400_000)
  }

  /// Why the last pass failed.
  var problem: String? { state.withLock { $0.problem } }

  /// Begins to archive every few seconds, until `stop` or the database goes.
  ///
  /// On a thread of its own: how much may be lost must not depend on what else the program has given
  /// to the pools of threads.
  func start(_ database: Database) {
    let weakly = WeakDatabase(database)
    LowPriorityThread.serve("vecdb.archive") { [self] in
      var delay = 0
      while true {
        _ = wake.wait(timeout: .now() + .milliseconds(delay))
        guard let next = queue.sync(execute: { turn(weakly) }) else { return }
        delay = next
      }
    }
  }

  /// One pass, and the milliseconds until the next; nil if it was the last.
  private func turn(_ database: WeakDatabase) -> Int? {
    guard let strong = database.value, !state.withLock({ $0.isStopped }) else { return nil }
    let factor = 1 << min(passNoting(strong), 8)
    let longest = max(intervalMilliseconds, Self.longestWaitMilliseconds)
    return min(intervalMilliseconds * factor, longest)
  }

  private struct WeakDatabase: Sendable {
    weak let value: Database?
    init(_ value: Database) { self.value = value }
  }

  /// Ends archiving after a last pass.
  /// Begins no further pass.
  func abandon() {
    state.withLock { $0.isStopped = true }
    wake.signal()
  }

  func stop(_ database: Database) {
    queue.sync {
      state.withLock { $0.isStopped = true }
      _ = passNoting(database)
    }
    wake.signal()
  }

  /// A pass whose failure is remembered, not thrown. Returns how many have failed in a row.
  private func passNoting(_ database: Database) -> Int {
    do {
      _ = try pass(database)
      failing.isOver(database.engine.configuration.logger)
      return state.withLock { state in
        state.problem = nil
        state.failures = 0
        return 0
      }
    } catch {
      let failure = VecDBError(wrapping: error)
      return state.withLock { state in
        failing.note(failure, database.engine.configuration.logger)
        state.problem = "\(failure)"
        state.failures += 1
        // Opened anew, since it takes nothing more after a failure.
        state.repository = nil
        return state.failures
      }
    }
  }

  /// As `pass`, for one who goes on after it: a failure that may pass by itself is given back, and
  /// any other is thrown.
  func passOrWait(_ database: Database) throws -> Result<ArchiveReport, VecDBError> {
    do { return .success(try pass(database)) } catch {
      // Opened anew, since it takes nothing more after a failure.
      state.withLock { $0.repository = nil }
      let failure = VecDBError(wrapping: error)
      // Where nothing was archived yet, a repository that is not there is a wrong path.
      let mayBeMount = failure.code == .notFound && state.withLock { $0.hasArchived }
      guard [.diskFull, .inputOutput].contains(failure.code) || mayBeMount else { throw failure }
      return .failure(failure)
    }
  }

  /// Sends what is not archived yet.
  func pass(_ database: Database) throws -> ArchiveReport {
    let started = DispatchTime.now()
    let engine = database.engine
    let last = database.lsn
    let cached = state.withLock { $0.repository }
    // Another epoch has to be claimed first.
    let known = cached.flatMap { $0.epoch == engine.log.identity.currentEpoch ? $0 : nil }
    var published = LogArchive.Published()
    var branch: BranchReport?
    var requests: RepositoryRequests?
    if known.map({ engine.holds.hold(of: $0.id)?.lsn != last }) ?? true {
      let before = known?.store.requests ?? RequestCounts()
      let usable = try known.flatMap { try hasOthers(in: $0) ? nil : $0 }
      let repository = try usable ?? open(database)
      if usable == nil { branch = repository.branch }
      try repository.requireThere()
      let archive = LogArchive(
        log: engine.log, repository: repository.store, path: repository.history)
      published = try archive.publish(through: last)
      if !published.pieces.isEmpty {
        try repository.store.notePublished(epochs: Set(published.pieces.map(\.epochCounter)))
      }
      // What goes to the bare place where a file system was mounted is not archived.
      try repository.requireThere()
      state.withLock { $0.compared.formUnion(published.pieces) }
      try engine.holds.note(
        repository.id, at: repositoryPath, through: try engine.log.position(at: last),
        durably: usable == nil)
      if repository.store.isRemote {
        do { try consolidateIfAllowed(archive, published) } catch let error as StoreError
          where error.kind == .invalidArgument
        {
          state.withLock { $0.mayDelete = false }
        }
      } else {
        try consolidate(archive, published)
      }
      // Those since the repository was opened, in this pass or before it.
      let start = usable == nil ? RequestCounts() : before
      if let made = repository.store.requests {
        requests = RepositoryRequests(made - start)
        engine.telemetry.requested(made - start)
      }
    }
    state.withLock { $0.hasArchived = true }
    return ArchiveReport(
      repository: repositoryPath, lsn: last, frames: published.frames, bytes: published.bytes,
      seconds: started.elapsedSeconds,
      branch: branch, requests: requests)
  }

  /// Whether somebody else writes to the repository too: then histories must be compared again.
  private func hasOthers(in repository: OwnRepository) throws -> Bool {
    try repository.store.refresh(.epochs)
    try repository.store.refresh(.log(epoch: repository.epoch.counter))
    if let newest = try repository.store.claimedEpochs().last,
      newest.counter > repository.epoch.counter
    {
      return true
    }
    let compared = state.withLock { $0.compared }
    return try repository.store.logPieces().contains {
      $0.epochCounter == repository.epoch.counter && !compared.contains($0)
    }
  }

  private func open(_ database: Database) throws -> OwnRepository {
    let repository = try database.openRepository(repositoryPath, key: key)
    let counter = repository.epoch.counter
    let pieces = try repository.store.logPieces().filter { $0.epochCounter == counter }
    // What an earlier process left small.
    let small = try pieces.filter {
      try repository.store.logSizeBytes($0) < LogArchive.pieceBytes / 4
    }
    state.withLock { state in
      state.repository = repository
      state.compared = Set(pieces)
      state.small = small
      state.smallBytes = 0
    }
    return repository
  }

  private func consolidateIfAllowed(
    _ archive: LogArchive, _ published: LogArchive.Published
  ) throws {
    if state.withLock({ $0.mayDelete }) { try consolidate(archive, published) }
  }

  private func consolidate(_ archive: LogArchive, _ published: LogArchive.Published) throws {
    func join(_ run: [LogPiece]) throws {
      let whole = try archive.consolidate(run)
      state.withLock { $0.compared.formUnion(whole) }
    }
    let ripe = state.withLock { state -> [LogPiece] in
      if let epoch = published.pieces.last?.epochCounter, epoch != state.small.last?.epochCounter {
        state.small = []
        state.smallBytes = 0
      }
      if published.bytes < LogArchive.pieceBytes / 4 {
        state.small += published.pieces
        state.smallBytes += published.bytes
      }
      guard state.small.count >= Self.smallPieceLimit || state.smallBytes >= LogArchive.pieceBytes
      else { return [] }
      defer {
        state.small = []
        state.smallBytes = 0
      }
      return state.small
    }
    // Runs that follow each other.
    var run: [LogPiece] = []
    for piece in ripe.sorted() {
      if let before = run.last, before.lastLSN + 1 != piece.firstLSN {
        try join(run)
        run = []
      }
      run.append(piece)
    }
    try join(run)
  }
}
