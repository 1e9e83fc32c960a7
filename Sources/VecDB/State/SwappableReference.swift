import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A reference that many threads load without a lock while one replaces it now and then.
///
/// Two cells hold the present value and the next. A reader counts itself in at the cell that is
/// current, looks again whether it still is, and only then takes its reference; the writer empties
/// a cell when nobody is counted in there. A reader repeats itself only while a value is being
/// replaced, and never waits.
final class SwappableReference<Value: AnyObject & Sendable>: @unchecked Sendable {
  private let first = Cell()
  private let second = Cell()
  private let current = Atomic<Bool>(false)

  private final class Cell {
    var value: Value?
    let readers = Atomic<Int>(0)
  }

  init(_ value: Value) { first.value = value }

  func load() -> Value {
    while true {
      let isSecond = current.load(ordering: .acquiring)
      let cell = isSecond ? second : first
      cell.readers.add(1, ordering: .sequentiallyConsistent)
      defer { cell.readers.subtract(1, ordering: .releasing) }
      if current.load(ordering: .sequentiallyConsistent) == isSecond, let value = cell.value {
        return value
      }
    }
  }

  /// Replaces the value; loads that begin from now on see the new one. One thread at a time.
  func store(_ value: Value) {
    let isSecond = current.load(ordering: .relaxed)
    let (old, new) = isSecond ? (second, first) : (first, second)
    Self.waitForReaders(of: new)
    new.value = value
    current.store(!isSecond, ordering: .sequentiallyConsistent)
    Self.waitForReaders(of: old)
    old.value = nil
  }

  /// Readers stay for the time of one retain.
  private static func waitForReaders(of cell: Cell) {
    while cell.readers.load(ordering: .sequentiallyConsistent) != 0 { sched_yield() }
  }
}
