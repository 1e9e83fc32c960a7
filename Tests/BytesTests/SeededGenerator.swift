import VecDBBytes

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers for the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }
}
