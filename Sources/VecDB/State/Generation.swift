import Dispatch
import Synchronization
import VecDBBytes
import VecDBIndex

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One generation of a collection's index at work: its number, its parameters and its arrays.
///
/// The serving generation's index is changed by the writer alone. One that does not serve is
/// changed by whoever is inside `exclusively`: the background thread of a rebuild, step by step, or
/// the writer.
final class Generation: Sendable {
  /// 1 for the first one of a collection; never used again.
  let number: UInt32
  let options: IndexOptions
  let index: IndexGeneration
  /// Efforts measured for recall targets.
  let calibration = Calibration()

  private let turn = Guarded(())
  private let waiting = Atomic<Int>(0)
  private let digest = Guarded<(lsn: UInt64, digest: Digest)?>(nil)

  init(number: UInt32, options: IndexOptions, index: IndexGeneration) {
    self.number = number
    self.options = options
    self.index = index
  }

  /// Runs `body` while nobody else changes the index. The caller is served before the next
  /// `step` begins.
  func exclusively<Result: Sendable>(
    _ body: (IndexGeneration) throws -> Result
  ) rethrows -> Result {
    waiting.add(1, ordering: .relaxed)
    defer { waiting.subtract(1, ordering: .relaxed) }
    return try turn.withLock { _ in try body(index) }
  }

  /// As `exclusively` if nobody is changing the index; nil otherwise.
  func exclusivelyIfFree<Result: Sendable>(
    _ body: (IndexGeneration) throws -> Result
  ) rethrows -> Result? {
    try turn.withLockIfFree { _ in try body(index) }
  }

  /// As `exclusively`, for work in many short steps: lets others go first.
  func step<Result: Sendable>(_ body: (IndexGeneration) throws -> Result) rethrows -> Result {
    while waiting.load(ordering: .relaxed) > 0 { usleep(200) }
    return try turn.withLock { _ in try body(index) }
  }

  /// Lets the arrays go on another thread: to unmap a gigabyte takes a tenth of a second, which the
  /// writer has no time for. The caller gives its reference up afterwards.
  func releaseInBackground() {
    DispatchQueue.global(qos: .utility).async { withExtendedLifetime(self) {} }
  }

  /// The graph digest as of a batch. Computed once; inside `exclusively`, with the index at `lsn`.
  func graphDigest(at lsn: UInt64) -> Digest {
    if let known = digest.withLock({ $0 }), known.lsn == lsn { return known.digest }
    let computed = index.graphDigest()
    digest.withLock { $0 = (lsn, computed) }
    return computed
  }
}
