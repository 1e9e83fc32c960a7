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

  /// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
