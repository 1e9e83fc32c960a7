import VecDBBytes
import VecDBIndex

/// SplitMix64: the same numbers on every machine.
struct TestRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  /// -1..<1
  mutating func float() -> Float { Float(next() >> 40) / Float(1 << 23) - 1 }

  /// Roughly normal, variance 1.
  mutating func normal() -> Float {
    (float() + float() + float() + float()) * 0.866
  }

  mutating func vector(_ dimensions: Int) -> [Float] { (0..<dimensions).map { _ in float() } }

  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

func testBirth(_ number: Int, _ vector: [Float], columns: [ColumnValue] = []) -> Birth {
  let key = Array("key-\(number)".utf8)
  return Birth(
    key: key, vector: vector, hash: testHash(key, vector), columns: columns)
}

func testHash(_ key: [UInt8], _ vector: [Float]) -> Digest {
  var hasher = SHA256()
  hasher.update(key)
  vector.withUnsafeBytes { hasher.update($0) }
  return hasher.finalize()
}
