/// Which nodes a search has met: a byte per node that holds the number of the search, so that
/// emptying it is counting up. Every 255th search clears it.
struct VisitedSet {
  private(set) var tags: UnsafeMutablePointer<UInt8>
  private(set) var tag: UInt8 = 0
  private var capacity: Int

  init() {
    capacity = 1_024
    tags = .allocate(capacity: capacity)
    tags.initialize(repeating: 0, count: capacity)
  }

  func deallocate() { tags.deallocate() }

  /// Empties the set and makes it hold nodes below `count`.
  mutating func reset(count: Int) {
    if count > capacity {
      tags.deallocate()
      capacity = max(count, capacity * 2)
      tags = .allocate(capacity: capacity)
      tags.initialize(repeating: 0, count: capacity)
      tag = 0
    }
    if tag == .max {
      tags.update(repeating: 0, count: capacity)
      tag = 0
    }
    tag &+= 1
  }
}
