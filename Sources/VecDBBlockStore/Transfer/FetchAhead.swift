import Dispatch
import VecDBBytes
import VecDBThreads

/// Fetches blocks on several threads, a limited number of them ahead of the one thread that takes them
/// in order.
///
/// Invariants: at most `window` blocks are fetched and not taken; the first error ends the work and
/// is thrown by `next` when its block is due.
final class FetchAhead: Sendable {
  typealias Fetched = (bytes: [UInt8], sentBytes: Int)

  private struct State {
    var next = 0
    var taken = 0
    var ready: [Int: Result<Fetched, any Error>] = [:]
    var isStopped = false
  }

  /// So many blocks for each thread are enough to bridge the moments in which the disk is busy.
  private static let windowPerThread = 8
  /// Of many threads each waits for a request.
  private static let windowLimit = 64

  private let state = Guarded(State())
  private let room: DispatchSemaphore
  private let arrival = DispatchSemaphore(value: 0)
  private let items: [BlockTransfer.Item]
  private let threads: Int

  /// Begins to fetch. The caller takes as many blocks as there are items, and calls `stop` in any
  /// case.
  init(
    _ items: [BlockTransfer.Item], threads: Int,
    fetch: @escaping @Sendable (BlockTransfer.Item) throws -> Fetched
  ) throws {
    self.items = items
    self.threads = min(threads, items.count)
    let window = max(
      self.threads, min(self.threads * Self.windowPerThread, Self.windowLimit))
    room = DispatchSemaphore(value: 0)
    for _ in 0..<window { room.signal() }
    for started in 0..<self.threads {
      do { try LowPriorityThread.detach(yields: false) { [self] in run(fetch) } } catch {
        // Fewer threads do the same work.
        guard started == 0 else { break }
        throw error
      }
    }
  }

  /// The next block, in the order of the items.
  func next() throws -> Fetched {
    while true {
      let found = state.withLock { state -> Result<Fetched, any Error>? in
        guard let found = state.ready.removeValue(forKey: state.taken) else { return nil }
        state.taken += 1
        return found
      }
      if let found {
        room.signal()
        return try found.get()
      }
      arrival.wait()
    }
  }

  /// No more is fetched.
  func stop() {
    state.withLock { $0.isStopped = true }
    for _ in 0..<threads { room.signal() }
  }

  private func run(_ fetch: (BlockTransfer.Item) throws -> Fetched) {
    while true {
      room.wait()
      let index = state.withLock { state -> Int? in
        guard !state.isStopped, state.next < items.count else { return nil }
        state.next += 1
        return state.next - 1
      }
      guard let index else { return }
      let result = Result { try fetch(items[index]) }
      state.withLock {
        $0.ready[index] = result
        if case .failure = result { $0.isStopped = true }
      }
      arrival.signal()
    }
  }
}
