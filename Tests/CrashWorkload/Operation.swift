import VecDB
import VecDBBytes

/// What one writer does at one step. It follows from the seed, the writer and the step alone, so
/// that a verification knows it from the receipt's two numbers.
enum Operation {
  case upsert([VectorRecord])
  case delete([String])

  static let dimensions = 24
  /// Keys of a writer; no two writers share one.
  private static let keys = 120

  init(seed: UInt64, writer: Int, step: Int) {
    var generator = SplitMix64(
      seed: seed &* 0x9e37_79b9 &+ UInt64(writer) << 40 &+ UInt64(step))
    func key() -> String { "w\(writer)-\(Int.random(in: 0..<Self.keys, using: &generator))" }
    func record() -> VectorRecord {
      let vector = (0..<Self.dimensions).map { _ in Float.random(in: -1...1, using: &generator) }
      return VectorRecord(
        key: key(), vector: vector,
        metadata: ["writer": .integer(Int64(writer)), "step": .integer(Int64(step))])
    }
    switch Int.random(in: 0..<20, using: &generator) {
    case 0..<13: self = .upsert([record()])
    case 13, 14:
      let records = (0..<Int.random(in: 2...40, using: &generator)).map { _ in record() }
      // The last of equal keys counts.
      self = .upsert(records)
    default: self = .delete((0..<Int.random(in: 1...4, using: &generator)).map { _ in key() })
    }
  }

  func apply(to records: inout [String: VectorRecord]) {
    switch self {
    case .upsert(let new): for record in new { records[record.key] = record }
    case .delete(let keys): for key in keys { records[key] = nil }
    }
  }

  func perform(on collection: VectorCollection) async throws {
    switch self {
    case .upsert(let records): _ = try await collection.upsert(records)
    case .delete(let keys): _ = try await collection.delete(keys)
    }
  }
}

/// SplitMix64 (Steele et al., 2014).
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }
}
