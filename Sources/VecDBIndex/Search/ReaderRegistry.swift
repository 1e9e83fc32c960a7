import Glibc
import Synchronization

/// Who is reading, so that the writer can wait until all who began before some moment are done.
///
/// Two sets of counters, of which readers enter the present one; the writer makes the other set the
/// present one and waits for the first to drain, twice, since a reader may have been about to enter
/// it (SRCU: McKenney, "Sleepable Read-Copy Update", 2006). A reader pays two atomic additions on a
/// cache line that few others use, and never waits.
final class ReaderRegistry: @unchecked Sendable {
  private static let stripeCount = 16
  /// Counters of a stripe lie a cache line apart.
  private static let cellsPerStripe = 8

  private let cells: UnsafeMutablePointer<Atomic<Int>>
  private let phase = Atomic<Int>(0)

  init() {
    let count = 2 * Self.stripeCount * Self.cellsPerStripe
    cells = .allocate(capacity: count)
    for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
  }

  deinit {
    cells.deinitialize(count: 2 * Self.stripeCount * Self.cellsPerStripe)
    cells.deallocate()
  }

  /// Begins to read; the result is for `leave`.
  func enter() -> Int {
    let thread = UInt64(UInt(pthread_self())) &* 0x9e37_79b9_7f4a_7c15
    let stripe = Int(thread >> 60)
    let set = phase.load(ordering: .relaxed) & 1
    let cell = (set * Self.stripeCount + stripe) * Self.cellsPerStripe
    // Sequentially consistent, so that nothing is read before the writer could know of it.
    cells[cell].wrappingAdd(1, ordering: .sequentiallyConsistent)
    return cell
  }

  func leave(_ cell: Int) { cells[cell].wrappingSubtract(1, ordering: .releasing) }

  /// How many read at present, about.
  var activeCount: Int {
    var count = 0
    for stripe in 0..<2 * Self.stripeCount {
      count += cells[stripe * Self.cellsPerStripe].load(ordering: .relaxed)
    }
    return max(0, count)
  }

  /// Returns when everybody who had entered before the call has left. For the writer, which must
  /// not be reading itself.
  func waitForReaders() {
    for _ in 0..<2 {
      let set = phase.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue & 1
      for stripe in 0..<Self.stripeCount {
        let cell = (set * Self.stripeCount + stripe) * Self.cellsPerStripe
        var tries = 0
        while cells[cell].load(ordering: .acquiring) != 0 {
          tries += 1
          if tries < 100 { sched_yield() } else { usleep(50) }
        }
      }
    }
  }
}

extension IndexGeneration {
  /// Runs `body`, during which no slot that is visible at any moment from its beginning on is
  /// given to another record. Whoever looks at slots in several steps (a view, a search, a key, a
  /// row elsewhere) takes them all inside of one call. Costs two atomic additions; the writer waits
  /// for `body` before it overwrites slots, so it must not wait for the writer.
  package func reading<Result>(_ body: () throws -> Result) rethrows -> Result {
    let cell = readers.enter()
    defer { readers.leave(cell) }
    return try body()
  }

  /// Searches and other readings under way, about.
  package var activeReaderCount: Int { readers.activeCount }
}
