import Tracing
import VecDBBytes

/// Requests in the order in which they came, until the writer takes them as one commit group: so
/// concurrent callers share a transaction and a sync.
///
/// Invariants: a request leaves the queue once, with a group or as one that is late; a closed queue
/// takes no more, and gives out what it has.
final class WriteQueue: Sendable {
  private struct Waiting {
    var id: UInt64
    var sizeBytes: Int
    var work: WriteWork
    var caller: InstrumentationContext?
  }

  private struct State {
    var waiting: [Waiting] = []
    var waitingBytes = 0
    var nextID: UInt64 = 0
    var isScheduled = false
    var isClosed = false
  }

  /// What the writer does at a time.
  struct Group {
    var work: [WriteWork]
    /// The spans of those who asked for it.
    var callers: [InstrumentationContext]
  }

  /// What became of a request.
  enum Admission {
    /// It waits; `isOverLimit` if more than the limit waits before it, `wakes` if nobody has been
    /// told yet that something waits.
    case waits(id: UInt64, isOverLimit: Bool, wakes: Bool)
    /// Several times the limit waits already.
    case refused
    case closed
  }

  let limitBytes: Int
  /// Where readers see how many bytes wait.
  private let shared: Engine.SharedState
  private let state = Guarded(State())

  /// With so many times the limit in the queue, a write is refused without waiting.
  private static let refusedBeyondLimits = 4

  init(limitBytes: Int, shared: Engine.SharedState) {
    self.limitBytes = limitBytes
    self.shared = shared
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  func close() { state.withLock { $0.isClosed = true } }

  func add(
    _ work: WriteWork, sizeBytes: Int, caller: InstrumentationContext?
  ) -> Admission {
    state.withLock { state in
      guard !state.isClosed else { return .closed }
      let limit = limitBytes.multipliedReportingOverflow(by: Self.refusedBeyondLimits)
      guard sizeBytes == 0 || limit.overflow || state.waitingBytes <= limit.partialValue else {
        return .refused
      }
      let id = state.nextID
      state.nextID += 1
      let isOverLimit = state.waitingBytes > limitBytes
      state.waiting.append(Waiting(id: id, sizeBytes: sizeBytes, work: work, caller: caller))
      state.waitingBytes += sizeBytes
      shared.queuedBytes.store(state.waitingBytes, ordering: .relaxed)
      defer { state.isScheduled = true }
      return .waits(id: id, isOverLimit: isOverLimit, wakes: !state.isScheduled)
    }
  }

  /// Takes a request back that waits still; nil if the writer has it.
  func remove(_ id: UInt64) -> WriteWork? {
    state.withLock { state in
      guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
      let request = state.waiting.remove(at: index)
      state.waitingBytes -= request.sizeBytes
      shared.queuedBytes.store(state.waitingBytes, ordering: .relaxed)
      return request.work
    }
  }

  /// All requests that wait, up to an exclusive one and to one batch's bytes; an exclusive one
  /// comes alone. Where none waits, the next that comes wakes the writer.
  func takeGroup() -> Group {
    state.withLock { state in
      var count = 0
      var bytes = 0
      for request in state.waiting {
        if case .exclusive = request.work {
          if count == 0 { count = 1 }
          break
        }
        if count > 0, bytes + request.sizeBytes > DatabaseLimits.maximumBatchBytes { break }
        count += 1
        bytes += request.sizeBytes
      }
      if count == 0 { state.isScheduled = false }
      let group = state.waiting.prefix(count)
      state.waitingBytes -= group.reduce(0) { $0 + $1.sizeBytes }
      shared.queuedBytes.store(state.waitingBytes, ordering: .relaxed)
      defer { state.waiting.removeFirst(count) }
      return Group(work: group.map(\.work), callers: group.compactMap(\.caller))
    }
  }
}
