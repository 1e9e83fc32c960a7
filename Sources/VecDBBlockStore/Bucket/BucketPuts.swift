import Dispatch
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Puts of objects, many under way at the same time; the bytes that wait are bounded. Any thread.
///
/// Invariants: `names` are those queued or under way; `bytes` is the sum of their sizes and of those
/// that wait for room, at most the limit unless one alone is larger. After a failure nothing more is
/// taken: an object that another thread took for stored may be missing.
final class BucketPuts: Sendable {
  private struct Work: Sendable {
    var name: String
    var sizeBytes: Int
    var run: @Sendable () throws -> Void
  }

  private struct State: Sendable {
    var queue: [Work] = []
    var names: Set<String> = []
    var bytes = 0
    var workers = 0
    var failure: StoreError?
  }

  private let state = Guarded(State())
  private let changed = DispatchSemaphore(value: 0)
  private let waiting = Guarded(0)
  private let location: String
  private let limitBytes: Int
  private let limitWorkers: Int

  init(_ bucket: any Bucket, _ options: BucketStore.Options) {
    location = bucket.location
    limitBytes = options.pendingBytes
    limitWorkers = options.requestsAtOnce
  }

  func isPending(_ name: String) -> Bool { state.withLock { $0.names.contains(name) } }

  /// False if the same object is being put already.
  func put(
    _ name: String, sizeBytes: Int, _ run: @escaping @Sendable () throws -> Void
  ) throws -> Bool {
    let isMine = try state.withLock { state in
      if let failure = state.failure { throw failure }
      return state.names.insert(name).inserted
    }
    guard isMine else { return false }
    let work = Work(name: name, sizeBytes: sizeBytes, run: run)
    if limitWorkers <= 1 {
      perform(work, counted: false)
      try state.withLock { if let failure = $0.failure { throw failure } }
      return true
    }
    try wait { state in
      guard state.bytes == 0 || state.bytes + sizeBytes <= limitBytes else { return false }
      state.bytes += sizeBytes
      return true
    }
    let needsWorker = state.withLock { state in
      state.queue.append(work)
      guard state.workers < limitWorkers else { return false }
      state.workers += 1
      return true
    }
    if needsWorker {
      do { try LowPriorityThread.detach(yields: false) { [self] in drain() } } catch {
        // Fewer threads do the same work; without any, this one does.
        let isAlone = state.withLock { state in
          state.workers -= 1
          return state.workers == 0
        }
        if isAlone { drainHere() }
      }
    }
    return true
  }

  /// Returns when all is put.
  func flush() throws { try wait { $0.names.isEmpty } }

  /// Waits until `body` says true. Throws what failed.
  private func wait(_ body: (inout State) -> Bool) throws {
    while true {
      let isDone = try state.withLock { state in
        if let failure = state.failure { throw failure }
        return body(&state)
      }
      if isDone { return }
      waiting.withLock { $0 += 1 }
      // A change between the look and this wait is seen at the latest after a moment.
      _ = changed.wait(timeout: .now() + .milliseconds(50))
      waiting.withLock { $0 -= 1 }
    }
  }

  private func wake() {
    for _ in 0..<waiting.withLock({ $0 }) { changed.signal() }
  }

  private func drain() {
    while let work = next(endingWorker: true) { perform(work, counted: true) }
  }

  private func drainHere() {
    while let work = next(endingWorker: false) { perform(work, counted: true) }
  }

  private func next(endingWorker: Bool) -> Work? {
    state.withLock { state in
      guard !state.queue.isEmpty else {
        if endingWorker { state.workers -= 1 }
        return nil
      }
      return state.queue.removeFirst()
    }
  }

  private func perform(_ work: Work, counted: Bool) {
    let failure: StoreError?
    do {
      try work.run()
      failure = nil
    } catch {
      failure =
        error as? StoreError
        ?? StoreError(.inputOutput, "cannot store an object: \(error)", at: location)
    }
    state.withLock { state in
      state.names.remove(work.name)
      if counted { state.bytes -= work.sizeBytes }
      guard let failure, state.failure == nil else { return }
      state.failure = failure
      for left in state.queue {
        state.names.remove(left.name)
        state.bytes -= left.sizeBytes
      }
      state.queue = []
    }
    wake()
  }
}
