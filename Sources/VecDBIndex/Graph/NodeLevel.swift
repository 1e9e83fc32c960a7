import VecDBBytes

/// Levels of the graph's nodes: a pure function of seed and slot, in integers.
///
/// HNSW draws level l with probability M^-l (normalisation 1 / ln M): here, from 64 well-mixed
/// bits, the level is the number of times that the rest divides by M's share of the range.
enum NodeLevel {
  /// No node is higher; reached by one node in M^12 at the earliest.
  static let maximum = 12

  static func level(slot: Int, seed: UInt64, degree: Int) -> Int {
    var random = mix(seed ^ mix(UInt64(slot)))
    var threshold = UInt64.max / UInt64(degree)
    var level = 0
    while level < maximum, random < threshold {
      level += 1
      threshold /= UInt64(degree)
      if threshold == 0 { random = .max }
    }
    return level
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    splitMix64Scrambled(value &+ splitMix64Increment)
  }
}
