import VecDBBytes

/// Random numbers that are the same everywhere: SplitMix64 (Steele et al., 2014).
package struct ShapeGenerator: Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  /// 0 or more and less than 1.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  package mutating func uniform(_ low: Double, _ high: Double) -> Double {
    low + (high - low) * uniform()
  }

  package mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }

  /// Nearly normal: the sum of twelve uniform numbers less six. Needs no function of a C library,
  /// whose last bits differ between machines.
  package mutating func normal() -> Double {
    var sum = -6.0
    for _ in 0..<12 { sum += uniform() }
    return sum
  }

  package mutating func normals(_ count: Int, scale: Double = 1) -> [Double] {
    (0..<count).map { _ in normal() * scale }
  }
}
