import Synchronization

/// Keeps the main file of `records.sqlite` as it is while somebody copies it. It ends with `end` or
/// with its last reference, on any thread.
final class RecordsHold: Sendable {
  /// How many there are, for the writer, which checkpoints records only at 0.
  final class Count: Sendable {
    fileprivate let value = Atomic(0)
    var isZero: Bool { value.load(ordering: .acquiring) == 0 }
  }

  private let count: Count
  private let hasEnded = Atomic(false)

  /// For the writer, which alone may begin one.
  init(_ count: Count) {
    self.count = count
    count.value.add(1, ordering: .acquiringAndReleasing)
  }

  func end() {
    guard !hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
    count.value.subtract(1, ordering: .acquiringAndReleasing)
  }

  deinit { end() }
}
