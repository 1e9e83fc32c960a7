/// A binary heap of candidates, nearest first, that grows: the general search may have to go
/// through any number of nodes that do not match.
struct CandidateHeap {
  private var words: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  private(set) var count = 0

  init() {
    capacity = 256
    words = .allocate(capacity: capacity)
  }

  func deallocate() { words.deallocate() }

  mutating func removeAll() { count = 0 }

  /// The nearest; the heap must not be empty.
  var first: UInt64 { words[0] }

  mutating func push(_ word: UInt64) {
    if count == capacity {
      let grown = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2)
      grown.update(from: words, count: count)
      words.deallocate()
      words = grown
      capacity *= 2
    }
    var index = count
    count &+= 1
    while index > 0 {
      let parent = (index &- 1) >> 1
      guard word < words[parent] else { break }
      words[index] = words[parent]
      index = parent
    }
    words[index] = word
  }

  /// Takes the nearest out; the heap must not be empty.
  mutating func pop() -> UInt64 {
    let result = words[0]
    count &-= 1
    guard count > 0 else { return result }
    let word = words[count]
    var index = 0
    while true {
      var child = index &* 2 &+ 1
      guard child < count else { break }
      if child &+ 1 < count, words[child &+ 1] < words[child] { child &+= 1 }
      guard words[child] < word else { break }
      words[index] = words[child]
      index = child
    }
    words[index] = word
    return result
  }
}
