import Synchronization

/// Whether a slot may be among the hits of one search: in the filter, if there is one, and visible.
///
/// Plain pointers into the filter's words and the index's rows, for the inner loops: it must not
/// outlive either.
struct MatchTest {
  /// The filter's bits; nil where every visible slot matches.
  private let words: UnsafePointer<UInt64>?
  /// Slots that the filter speaks about.
  private let count: Int
  /// Slots below this are visible.
  private let settledSlots: Int
  private let slotCount: Int
  private let lsn: UInt64
  /// Per slot: LSN of birth, LSN of death.
  private let lifetimes: UnsafeRawPointer

  /// Readies the test and hands it to `body`.
  static func with<Result>(
    _ filter: SlotBitset?, _ generation: IndexGeneration, at view: ReadView,
    _ body: (MatchTest) -> Result
  ) -> Result {
    guard let filter else {
      return body(MatchTest(words: nil, count: 0, generation, view))
    }
    return filter.words.withUnsafeBufferPointer { words in
      body(MatchTest(words: words.baseAddress, count: filter.count, generation, view))
    }
  }

  private init(
    words: UnsafePointer<UInt64>?, count: Int, _ generation: IndexGeneration, _ view: ReadView
  ) {
    self.words = words
    self.count = count
    // After a death no slot is beyond doubt: it may be dead, or have another record.
    settledSlots = view.hasDeaths ? 0 : view.settledSlots
    slotCount = view.slotCount
    lsn = view.lsn
    lifetimes = UnsafeRawPointer(generation.arrays.lifetimes.base)
  }

  /// The bit alone, which costs least; a slot that passes may still be invisible.
  @inline(__always)
  func isInFilter(_ slot: Int) -> Bool {
    guard let words else { return true }
    return slot < count && words[slot &>> 6] &>> UInt64(truncatingIfNeeded: slot & 63) & 1 != 0
  }

  @inline(__always)
  func isVisible(_ slot: Int) -> Bool {
    if slot < settledSlots { return true }
    guard slot < slotCount else { return false }
    let lifetime = UnsafeMutableRawPointer(mutating: lifetimes + slot &* 16)
      .assumingMemoryBound(to: Atomic<UInt64>.self)
    // The death first: where a slot gets another record the birth is written first.
    return lsn < lifetime[1].load(ordering: .acquiring)
      && lifetime[0].load(ordering: .relaxed) <= lsn
  }

  @inline(__always)
  func callAsFunction(_ slot: Int) -> Bool { isInFilter(slot) && isVisible(slot) }

  /// Collects matching slots from `slot` on, in ascending order, until there are `limit` or `end`
  /// is reached; `slot` moves behind the last one looked at.
  @inline(__always)
  func collect(
    from slot: inout Int, to end: Int, limit: Int, into ids: UnsafeMutablePointer<UInt32>
  ) -> Int {
    var n = 0
    guard let words else {
      while slot < end, n < limit {
        if isVisible(slot) {
          ids[n] = UInt32(truncatingIfNeeded: slot)
          n &+= 1
        }
        slot &+= 1
      }
      return n
    }
    let last = min(end, count)
    while slot < last, n < limit {
      let first = slot & ~63
      var word = words[slot &>> 6] & (UInt64.max &<< UInt64(truncatingIfNeeded: slot & 63))
      slot = min(first &+ 64, last)
      if slot & 63 != 0 { word &= ~(UInt64.max &<< UInt64(truncatingIfNeeded: slot & 63)) }
      while word != 0 {
        let member = first &+ word.trailingZeroBitCount
        word &= word &- 1
        guard isVisible(member) else { continue }
        ids[n] = UInt32(truncatingIfNeeded: member)
        n &+= 1
        if n == limit {
          slot = member &+ 1
          break
        }
      }
    }
    if n < limit { slot = end }
    return n
  }
}
