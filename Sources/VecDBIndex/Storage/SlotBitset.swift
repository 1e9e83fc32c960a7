import VecDBKernels

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

  /// Memory that the bits take.
  package var sizeBytes: Int { words.count * 8 }

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

  /// Decides every slot from `first`, rounded down to a multiple of 64, on: members are those whose
  /// id, or `limit` where that is less, is in a table of bits.
  mutating func fill(
    from first: Int, ids: UnsafePointer<UInt32>, table: [UInt32], limit: UInt32,
    kernel: KernelSet.IDSelectionKernel
  ) {
    counted = -1
    let (start, whole) = (min(first >> 6, words.count), count >> 6)
    words.withUnsafeMutableBufferPointer { words in
      guard let words = words.baseAddress else { return }
      table.withUnsafeBufferPointer { table in
        guard let table = table.baseAddress else { return }
        if start < whole { kernel(ids + start * 64, whole - start, table, limit, words + start) }
        guard count & 63 != 0, start <= whole else { return }
        var word: UInt64 = 0
        for slot in whole * 64..<count {
          let id = min(ids[slot], limit)
          word |= UInt64(table[Int(id >> 5)] >> (id & 31) & 1) << UInt64(slot & 63)
        }
        words[whole] = word
      }
    }
  }

  /// The set of its members below `count`, which must not be above its own.
  package func prefix(_ count: Int) -> SlotBitset {
    guard count < self.count else { return self }
    var result = SlotBitset(count: count)
    for index in result.words.indices { result.words[index] = words[index] }
    result.clearExcess()
    return result
  }

  /// Makes the set speak about the same slots as `other`, and agree with it on all from `first`,
  /// which both speak about, on.
  package mutating func extend(from first: Int, with other: SlotBitset) {
    precondition(first <= count && count <= other.count)
    var extended = other
    extended.counted = -1
    for index in 0..<(first >> 6) { extended.words[index] = words[index] }
    if first & 63 != 0 {
      let mask: UInt64 = .max << UInt64(first & 63)
      let index = first >> 6
      extended.words[index] = (extended.words[index] & mask) | (words[index] & ~mask)
    }
    self = extended
  }

  /// Every slot in the set, in ascending order.
  package func visit(_ body: (Int) throws -> Void) rethrows {
    try words.withUnsafeBufferPointer { words in
      var index = 0
      while index < words.count {
        // Most words of a small set are empty.
        if index &+ 4 <= words.count,
          words[index] | words[index &+ 1] | words[index &+ 2] | words[index &+ 3] == 0
        {
          index &+= 4
          continue
        }
        var word = words[index]
        while word != 0 {
          try body(index << 6 + word.trailingZeroBitCount)
          word &= word &- 1
        }
        index &+= 1
      }
    }
  }
}
