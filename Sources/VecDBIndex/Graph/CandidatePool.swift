/// The best candidates of a search, in one sorted array of a fixed capacity.
///
/// A candidate is one word: distance << 32 | slot << 1 | expanded. Words compare as (distance,
/// slot), so equal distances go to the lower slot, everywhere and always. (An array beats two heaps
/// at the sizes that searches use; the idea is NSG's and glass's.)
struct CandidatePool {
  private(set) var words: UnsafeMutablePointer<UInt64>
  private var allocated: Int
  /// Candidates kept at most.
  private(set) var capacity: Int
  private(set) var count = 0
  /// Everything before it was expanded.
  var cursor = 0

  init(capacity: Int) {
    self.capacity = capacity
    allocated = capacity
    words = .allocate(capacity: capacity + 1)
  }

  func deallocate() { words.deallocate() }

  /// Empties the pool and sets its capacity.
  mutating func reset(capacity: Int) {
    if capacity > allocated {
      words.deallocate()
      words = .allocate(capacity: capacity + 1)
      allocated = capacity
    }
    self.capacity = capacity
    count = 0
    cursor = 0
  }

  /// Keeps at most `capacity` candidates from now on; not more than before.
  mutating func shrink(to capacity: Int) {
    guard capacity < self.capacity else { return }
    self.capacity = capacity
    count = min(count, capacity)
    cursor = min(cursor, count)
  }

  /// A candidate at or above this cannot enter.
  @inline(__always)
  var bound: UInt64 { count < capacity ? .max : words[count &- 1] }

  @inline(__always)
  static func word(distance: UInt32, slot: UInt32) -> UInt64 {
    UInt64(distance) << 32 | UInt64(slot) << 1
  }

  @inline(__always)
  static func slot(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) >> 1 }

  @inline(__always)
  static func distance(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }

  /// Inserts a candidate that is below `bound` and not in the pool.
  @inline(__always)
  mutating func insert(_ word: UInt64) {
    // From the end, where most newcomers belong, shifting on the way: eight at a time, then singly.
    // Two loop exits are mispredicted at most, where a binary search mispredicts every other step.
    let words = words
    var place = count < capacity ? count : count &- 1
    count = place &+ 1
    while place >= 8, words[place &- 8] > word {
      let shifted = UnsafeRawPointer(words + (place &- 8)).loadUnaligned(as: SIMD8<UInt64>.self)
      UnsafeMutableRawPointer(words + (place &- 7)).storeBytes(
        of: shifted, as: SIMD8<UInt64>.self)
      place &-= 8
    }
    while place > 0, words[place &- 1] > word {
      words[place] = words[place &- 1]
      place &-= 1
    }
    words[place] = word
    if place < cursor { cursor = place }
  }

  /// Inserts those of `count` candidates (slots, and the bits of their distances) that are near
  /// enough and not in the pool; as expanded where there are no links to follow.
  @inline(__always)
  mutating func insert(
    _ slots: UnsafePointer<UInt32>, _ distances: UnsafePointer<Int32>, count n: Int,
    isExpanded: Bool = true
  ) {
    let flag: UInt64 = isExpanded ? 1 : 0
    var bound = bound
    var i = 0
    while i < n {
      let word = Self.word(distance: UInt32(bitPattern: distances[i]), slot: slots[i]) | flag
      if word < bound {
        insert(word)
        bound = self.bound
      }
      i &+= 1
    }
  }

  /// Drops all candidates but those that `isKept` accepts.
  mutating func retain(_ isKept: (UInt64) -> Bool) {
    var kept = 0
    for index in 0..<count where isKept(words[index]) {
      words[kept] = words[index]
      kept += 1
    }
    count = kept
    cursor = 0
  }
}
