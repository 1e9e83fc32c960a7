import Dispatch
import FoundationEssentials
import VecDB

/// Repeatable pseudo-random numbers (SplitMix64, Steele et al., 2014).
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Vectors in clusters, as embeddings are: a centre and noise around it.
struct ClusteredVectors {
  private let centres: [[Float]]
  private var random: SplitMix64

  init(dimensions: Int, clusters: Int = 200, seed: UInt64 = 1) {
    var random = SplitMix64(seed: seed)
    centres = (0..<clusters).map { _ in
      (0..<dimensions).map { _ in Float.random(in: -1...1, using: &random) }
    }
    self.random = random
  }

  mutating func next() -> [Float] {
    let centre = centres[Int.random(in: 0..<centres.count, using: &random)]
    return centre.map { $0 + Float.random(in: -0.3...0.3, using: &random) }
  }
}

/// Vectors of a stated intrinsic dimension: so many independent numbers, mapped linearly into more
/// components, with a little noise.
struct IntrinsicVectors: Sendable {
  private let columns: [[Float]]
  private var random: SplitMix64
  private let dimensions: Int

  init(dimensions: Int, intrinsic: Int, seed: UInt64 = 1) {
    // The map does not depend on the seed: all sequences lie in one space.
    var random = SplitMix64(seed: 0x5eed)
    columns = (0..<intrinsic).map { _ in
      (0..<dimensions).map { _ in Float.random(in: -1...1, using: &random) }
    }
    self.random = SplitMix64(seed: seed)
    self.dimensions = dimensions
  }

  mutating func next() -> [Float] {
    var vector = (0..<dimensions).map { _ in Float.random(in: -0.05...0.05, using: &random) }
    for column in columns {
      let weight = Float.random(in: -1...1, using: &random)
      for index in 0..<dimensions { vector[index] += weight * column[index] }
    }
    return vector
  }
}

/// A new directory for a measurement, removed after it.
func withTemporaryDirectory<Result>(
  in parent: String?, _ body: (String) async throws -> Result
) async throws -> Result {
  let parent = parent ?? FileManager.default.temporaryDirectory.path()
  let path = parent + (parent.hasSuffix("/") ? "" : "/") + "vecdb-benchmark-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// The middle value.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// A number with so many digits behind the point.
func decimal(_ value: Double, _ digits: Int = 0) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((abs(value) * scale).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard digits > 0 else { return "\(sign)\(scaled)" }
  let fraction = String(scaled % Int(scale))
  return "\(sign)\(scaled / Int(scale))."
    + String(repeating: "0", count: digits - fraction.count) + fraction
}
