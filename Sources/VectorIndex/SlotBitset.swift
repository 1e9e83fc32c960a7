/// A set of slots below `count`, one bit each.
package struct SlotBitset: Sendable, Equatable {
  /// Slots that the set speaks about; others are not in it.
  package let count: Int
  package private(set) var words: [UInt64]
  /// Slots in the set where they were counted, otherwise -1.
  private var counted = -1

  /// An empty set, or one of every slot below `count`.
  package init(count: Int, filled: Bool = false) {
    self.count = count
    words = [UInt64](repeating: filled ? .max : 0, count: (count + 63) / 64)
    clearExcess()
  }

  private mutating func clearExcess() {
    if count % 64 != 0, !words.isEmpty { words[words.count - 1] &= 1 << UInt64(count % 64) &- 1 }
  }

  package subscript(slot: Int) -> Bool {
    get { slot < count && words[slot >> 6] >> UInt64(slot & 63) & 1 != 0 }
    set {
      precondition(slot < count)
      counted = -1
      let bit: UInt64 = 1 << UInt64(slot & 63)
      if newValue { words[slot >> 6] |= bit } else { words[slot >> 6] &= ~bit }
    }
  }

  /// Slots in the set. A pass over it, unless `countMembers` was called since the last change.
  package var population: Int {
    counted >= 0 ? counted : words.reduce(0) { $0 &+ $1.nonzeroBitCount }
  }

  /// Notes the population, for sets that are asked for it often.
  package mutating func countMembers() { counted = population }

  package static func == (a: SlotBitset, b: SlotBitset) -> Bool {
    a.count == b.count && a.words == b.words
  }

  package var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  /// Both sets must speak about the same slots.
  package mutating func formIntersection(_ other: SlotBitset) {
    precondition(other.count == count)
    counted = -1
    for index in words.indices { words[index] &= other.words[index] }
  }

  /// Both sets must speak about the same slots.
  package mutating func formUnion(_ other: SlotBitset) {
    precondition(other.count == count)
    counted = -1
    for index in words.indices { words[index] |= other.words[index] }
  }

  /// Both sets must speak about the same slots.
  package mutating func subtract(_ other: SlotBitset) {
    precondition(other.count == count)
    counted = -1
    for index in words.indices { words[index] &= ~other.words[index] }
  }

  package mutating func invert() {
    counted = -1
    for index in words.indices { words[index] = ~words[index] }
    clearExcess()
  }

  /// Decides every slot anew.
  @inline(__always)
  mutating func fill(_ isMember: (Int) -> Bool) {
    counted = -1
    words.withUnsafeMutableBufferPointer { words in
      for index in words.indices {
        let first = index << 6
        let last = min(first + 64, count)
        var word: UInt64 = 0
        for slot in first..<last {
          word |= (isMember(slot) ? 1 : 0) << UInt64(truncatingIfNeeded: slot &- first)
        }
        words[index] = word
      }
    }
  }

  /// Every slot in the set, in ascending order.
  package func visit(_ body: (Int) throws -> Void) rethrows {
    for index in words.indices {
      var word = words[index]
      while word != 0 {
        try body(index << 6 + word.trailingZeroBitCount)
        word &= word &- 1
      }
    }
  }
}
