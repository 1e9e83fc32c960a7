import VecDBBlockStore
import VecDBThreads

/// Reads pieces of archived log in turn. Where each takes a request, some are fetched ahead.
final class LogReadAhead {
  private let repository: any Repository
  private let pieces: [LogPiece]
  private var jobs: [Int: LowPriorityThread.Job<ArchivedLog>] = [:]
  private var taken = 0
  /// How many pieces of some 8 MiB are in memory at the same time.
  private static let window = 4

  init(_ pieces: [LogPiece], in repository: any Repository) {
    self.pieces = pieces
    self.repository = repository
  }

  deinit {
    for job in jobs.values { job.wait() }
  }

  /// The next piece; as ``ArchivedLog/read(_:in:)``.
  func next() throws -> ArchivedLog {
    let index = taken
    taken += 1
    guard repository.requestsAtOnce > 1 else {
      return try ArchivedLog.read(pieces[index], in: repository)
    }
    for ahead in index..<min(index + Self.window, pieces.count) where jobs[ahead] == nil {
      jobs[ahead] = try LowPriorityThread.Job(yields: false) {
        [repository, piece = pieces[ahead]] in
        try ArchivedLog.read(piece, in: repository)
      }
    }
    guard let job = jobs.removeValue(forKey: index) else {
      return try ArchivedLog.read(pieces[index], in: repository)
    }
    return try job.value()
  }
}
