import Foundation
import VecDB
import VecDBBytes

/// What `scripts/rebuild-live`, `scripts/rebuild-time` and `scripts/churn` run.
///
///     rebuild-workload live DIRECTORY BASE.npy QUERIES.npy ROWS RATE READERS PAUSE SVG
///     rebuild-workload time DIRECTORY BASE.npy ROWS THREADS
///     rebuild-workload churn DIRECTORY SECONDS RECORDS SAMPLE-SECONDS
///
/// Prints one JSON object; `churn` one for each sample, and one at the end. Vectors are NumPy arrays of uint8 or float32 rows.
@main struct RebuildWorkload {
  struct Failure: Error, CustomStringConvertible { var description: String }

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      switch (arguments.first, arguments.count) {
      case ("live", 9):
        let report = try await LiveRun(
          directory: arguments[1], base: try Vectors(arguments[2]),
          queries: try Vectors(arguments[3]), rows: try number(arguments[4]),
          rate: try number(arguments[5]), readers: try number(arguments[6]),
          pauseMicroseconds: try number(arguments[7])
        ).run(svg: arguments[8])
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
      case ("time", 5):
        let report = try await TimeRun(
          directory: arguments[1], base: try Vectors(arguments[2]),
          rows: try number(arguments[3]), threads: try number(arguments[4])
        ).run()
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
      case ("churn", 5):
        try await ChurnRun(
          directory: arguments[1], seconds: try number(arguments[2]),
          records: try number(arguments[3]), sampleSeconds: max(1, try number(arguments[4]))
        ).run { value in
          print(String(decoding: try encoder.encode(value), as: UTF8.self))
          fflush(nil)
        }
      default:
        throw Failure(description: "usage: see the comment in Tests/RebuildWorkload")
      }
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
  }

  private static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return encoder
  }

  private static func number(_ text: String) throws -> Int {
    guard let value = Int(text), value >= 0 else {
      throw Failure(description: "'\(text)' is no number")
    }
    return value
  }
}

/// Rows of a NumPy file of uint8 or float32.
struct Vectors: Sendable {
  let count: Int
  let dimensions: Int
  private let bytes: Data
  private let start: Int
  private let isFloat: Bool

  init(_ path: String) throws {
    bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    guard bytes.count > 12, bytes.prefix(6).elementsEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59])
    else { throw RebuildWorkload.Failure(description: "\(path) is no NumPy file") }
    let length = Int(bytes[8]) | Int(bytes[9]) << 8
    start = 10 + length
    let header = String(decoding: bytes[10..<start], as: UTF8.self)
    isFloat = header.contains("<f4")
    let shape = header.drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }
      .split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard shape.count == 2, isFloat || header.contains("|u1") else {
      throw RebuildWorkload.Failure(description: "\(path) has another type or shape")
    }
    (count, dimensions) = (shape[0], shape[1])
  }

  subscript(row: Int) -> [Float] {
    let row = row % count
    if isFloat {
      let first = start + row * dimensions * 4
      return bytes[first..<first + dimensions * 4].withUnsafeBytes { raw in
        (0..<dimensions).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
      }
    }
    let first = start + row * dimensions
    return bytes[first..<first + dimensions].map { Float($0) }
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

extension Double {
  func rounded(digits: Int) -> Double {
    let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    return (self * scale).rounded() / scale
  }
}

/// Resident memory of this process, in bytes.
func residentBytes() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
    let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
  else { return 0 }
  return pages * 4_096
}
