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

/// The rows of a `.fvecs` file (a little-endian int32 count, then as many float32).
func readFvecs(_ path: String, limit: Int) throws -> [[Float]] {
  let data = try Data(contentsOf: URL(filePath: path), options: .mappedIfSafe)
  return data.withUnsafeBytes { bytes in
    var rows: [[Float]] = []
    var offset = 0
    while rows.count < limit, offset + 4 <= bytes.count {
      let dimensions = Int(bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
      guard dimensions > 0, offset + 4 + 4 * dimensions <= bytes.count else { break }
      rows.append(
        (0..<dimensions).map {
          bytes.loadUnaligned(fromByteOffset: offset + 4 + 4 * $0, as: Float.self)
        })
      offset += 4 + 4 * dimensions
    }
    return rows
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
