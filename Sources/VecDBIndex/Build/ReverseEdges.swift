import Synchronization

/// The reverse edges of a sub-batch, sorted by layer, target and source, and where each target's
/// begin. The memory is used again from sub-batch to sub-batch.
struct ReverseEdges {
  /// layer << 47 | target << 16 | place of the source in the batch.
  private var words: UnsafeMutablePointer<UInt64>
  /// As long as `words`, for sorting.
  private var spare: UnsafeMutablePointer<UInt64>
  private var capacity = 0
  private var count = 0
  /// Where each group begins; then the end of the last one.
  private var starts: UnsafeMutablePointer<Int>
  private var groupCount = 0
  /// Per value of a digit: where the next word with it goes.
  private let places = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << digitLimit)
  /// Bits of a digit at most: so many places fit in the first cache.
  private static let digitLimit = 11

  /// The edges of each target: what `BuildStep.mergeEdges` takes.
  struct Groups {
    fileprivate let words: UnsafeMutablePointer<UInt64>
    fileprivate let starts: UnsafeMutablePointer<Int>
    let count: Int

    @inline(__always)
    subscript(index: Int) -> UnsafeBufferPointer<UInt64> {
      UnsafeBufferPointer(
        start: words + starts[index], count: starts[index &+ 1] &- starts[index])
    }
  }

  var groups: Groups { Groups(words: words, starts: starts, count: groupCount) }

  init() {
    words = .allocate(capacity: 0)
    spare = .allocate(capacity: 0)
    starts = .allocate(capacity: 1)
  }

  func deallocate() {
    freeRoom()
    places.deallocate()
  }

  private func freeRoom() {
    words.deallocate()
    spare.deallocate()
    starts.deallocate()
  }

  mutating func collect(_ step: BuildStep) {
    makeRoom(for: step)
    let (graph, batch) = (step.graph, step.batch)
    var targetLimit = graph.count
    if let last = batch.slots.last { targetLimit = max(targetLimit, last + 1) }
    let targetBits = UInt32.bitWidth - targetLimit.leadingZeroBitCount
    let passes = (targetBits + Self.digitLimit - 1) / Self.digitLimit
    let digit = (targetBits + passes - 1) / passes
    count = 0
    // Collected layer by layer, and by source on each, so that only the targets are to be sorted.
    var (layer, highest) = (0, 0)
    while layer <= highest {
      let first = count
      for place in 0..<batch.count {
        let slot = batch.slots[place]
        let level = graph.level(slot)
        highest = max(highest, level)
        guard level >= layer, let row = step.row(of: Int(slot), layer: layer) else { continue }
        for index in 0..<step.capacity(onLayer: layer) {
          let target = row[index].load(ordering: .relaxed)
          guard target < step.slotLimit else { break }
          words[count] = UInt64(layer) << 47 | UInt64(target) << 16 | UInt64(place)
          count += 1
        }
      }
      sort(first..<count, passes: passes, digit: digit)
      layer += 1
    }
    if passes % 2 == 1 { swap(&words, &spare) }
    group()
  }

  /// Sorts some words by target and leaves those of one target in their order, digit by digit from
  /// the lowest. Each pass moves them to the other buffer.
  private func sort(_ range: Range<Int>, passes: Int, digit: Int) {
    guard !range.isEmpty else { return }
    let (places, mask) = (places, UInt64(1) << UInt64(digit) - 1)
    var (source, target) = (words, spare)
    for pass in 0..<passes {
      let shift = UInt64(16 + pass * digit)
      places.update(repeating: 0, count: 1 << digit)
      for index in range { places[Int(source[index] &>> shift & mask)] &+= 1 }
      var place = UInt32(range.lowerBound)
      for value in 0..<1 << digit {
        let count = places[value]
        places[value] = place
        place &+= count
      }
      for index in range {
        let word = source[index]
        let value = Int(word &>> shift & mask)
        target[Int(places[value])] = word
        places[value] &+= 1
      }
      swap(&source, &target)
    }
  }

  /// Notes where each target's edges begin.
  private mutating func group() {
    let (words, starts) = (words, starts)
    var groupCount = 0
    var previous = UInt64.max
    for index in 0..<count where words[index] >> 16 != previous {
      previous = words[index] >> 16
      starts[groupCount] = index
      groupCount += 1
    }
    starts[groupCount] = count
    self.groupCount = groupCount
  }

  /// For rows that are all full.
  private mutating func makeRoom(for step: BuildStep) {
    var needed = 0
    for slot in step.batch.slots {
      needed += step.graph.baseDegree + step.graph.level(slot) * step.graph.degree
    }
    guard needed > capacity else { return }
    freeRoom()
    capacity = max(needed, capacity * 2)
    words = .allocate(capacity: capacity)
    spare = .allocate(capacity: capacity)
    starts = .allocate(capacity: capacity + 1)
  }
}
