import Dispatch
import FoundationEssentials
import Synchronization
import VecDBBytes

extension VectorCollection {
  /// Answers many queries, on several threads, and returns the answers in the order of the queries.
  ///
  /// Blocks until all are answered. Each query sees the newest state when its turn comes.
  ///
  /// - Parameter threads: how many threads search, 1 to 1,024; if nil, one per core.
  /// - Throws: what the first query that failed throws; the others' answers are dropped.
  public func search(
    batch vectors: [[Float]], k: Int = 10, options: SearchOptions = SearchOptions(),
    threads: Int? = nil
  ) throws -> [SearchResult] {
    let wanted = threads ?? ProcessInfo.processInfo.activeProcessorCount
    try requireQueryOption(
      (1...1_024).contains(wanted), "the number of threads is \(wanted)", "Use 1 to 1024.")
    let answers = Guarded([Result<SearchResult, VecDBError>?](repeating: nil, count: vectors.count))
    let nextQuery = Atomic(0)
    let hasFailed = Atomic(false)
    DispatchQueue.concurrentPerform(iterations: min(wanted, vectors.count)) { _ in
      while !hasFailed.load(ordering: .relaxed) {
        let query = nextQuery.add(1, ordering: .relaxed).oldValue
        guard query < vectors.count else { return }
        let answer = Result { try search(vectors[query], k: k, options: options) }
          .mapError { VecDBError(wrapping: $0) }
        if case .failure = answer { hasFailed.store(true, ordering: .relaxed) }
        answers.withLock { $0[query] = answer }
      }
    }
    // A query that was not begun comes after one that failed, for they are taken in order.
    return try answers.withLock { $0 }.compactMap { try $0?.get() }
  }

  /// As ``search(batch:k:options:threads:)``, for async callers: on the threads that
  /// ``nearest(_:k:options:)`` uses, between the searches of others.
  ///
  /// - Throws: as `search`; `cancelled` if the task was cancelled before the last query's turn.
  public func nearest(
    batch vectors: [[Float]], k: Int = 10, options: SearchOptions = SearchOptions()
  ) async throws -> [SearchResult] {
    try await VecDBError.translating {
      try await withThrowingTaskGroup(of: (Int, SearchResult).self) { group in
        for (place, vector) in vectors.enumerated() {
          group.addTask { (place, try await self.nearest(vector, k: k, options: options)) }
        }
        var answers = [SearchResult?](repeating: nil, count: vectors.count)
        for try await (place, answer) in group { answers[place] = answer }
        return answers.compactMap(\.self)
      }
    }
  }
}
