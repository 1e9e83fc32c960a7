import VecDBBytes

/// The random generator behind everything that chance decides on a simulated disk: 64 bits of
/// state, the same sequence from the same seed on every machine (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014).
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  /// A number in `0..<bound`; 0 if `bound` is less than 1.
  package mutating func below(_ bound: Int) -> Int {
    bound < 1 ? 0 : Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True in `percent` of 100 cases.
  package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
