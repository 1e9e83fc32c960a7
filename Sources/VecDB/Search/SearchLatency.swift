import Dispatch
import Synchronization

/// How long searches take, counted in buckets a fifth apart, while somebody observes them;
/// otherwise a search pays one load for it.
final class SearchLatency: Sendable {
  private let observers = Atomic<Int>(0)
  private let buckets: Buckets

  /// Bucket b counts times of `first * 2^(b/4)` and more; the last one all above.
  private static let count = 80
  private static let firstNanoseconds = 1_000.0

  private final class Buckets: @unchecked Sendable {
    let counts: UnsafeMutablePointer<Atomic<Int>>
    init(_ count: Int) {
      counts = .allocate(capacity: count)
      for index in 0..<count { (counts + index).initialize(to: Atomic(0)) }
    }
    deinit { counts.deallocate() }
  }

  init() { buckets = Buckets(Self.count) }

  /// The time now, in nanoseconds, if anybody observes; 0 otherwise.
  @inline(__always)
  func begin() -> UInt64 {
    observers.load(ordering: .relaxed) == 0 ? 0 : DispatchTime.now().uptimeNanoseconds
  }

  /// Counts a search that began at `start`, unless that is 0.
  @inline(__always)
  func end(_ start: UInt64) {
    if start != 0 { count(nanoseconds: DispatchTime.now().uptimeNanoseconds &- start) }
  }

  private func count(nanoseconds: UInt64) {
    var bucket = 0
    var bound = UInt64(Self.firstNanoseconds)
    while nanoseconds >= bound, bucket < Self.count - 4 {
      bound &*= 2
      bucket += 4
    }
    // Within the factor of two: linear steps are near enough.
    if bucket >= 4 {
      let base = bound / 2
      bucket -= 4
      bucket += Int(min(3, (nanoseconds - base) * 4 / base))
    }
    (buckets.counts + bucket).pointee.add(1, ordering: .relaxed)
  }

  func observe() { observers.add(1, ordering: .relaxed) }
  func stopObserving() { observers.subtract(1, ordering: .relaxed) }

  /// The counts so far.
  func snapshot() -> [Int] {
    (0..<Self.count).map { (buckets.counts + $0).pointee.load(ordering: .relaxed) }
  }

  /// The 99th percentile in milliseconds of what was counted between two snapshots, rounded up to
  /// the bucket's end; nil if there were fewer than 20 searches.
  static func percentile99(from old: [Int], to new: [Int]) -> Double? {
    let counts = zip(new, old).map { $0 - $1 }
    let total = counts.reduce(0, +)
    guard total >= 20 else { return nil }
    var above = 0
    for bucket in counts.indices.reversed() {
      above += counts[bucket]
      if above * 100 > total {
        let base = firstNanoseconds * Double(1 << (bucket / 4))
        return base * (1 + Double(bucket % 4 + 1) / 4) / 1e6
      }
    }
    return nil
  }
}
