import Foundation
import Testing
import VecDB
import VecDBBytes
import VecDBFiles

/// A directory that is removed when the test ends.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "vecdb-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A file in it; for a name that begins with `repo`, a repository of the kind that the suite is run
  /// with, see `RepositoryKind`.
  func file(_ name: String) -> String {
    guard name.hasPrefix("repo"),
      let address = RepositoryKind.address(String(path.split(separator: "/").last ?? ""), name)
    else { return path + "/" + name }
    return address
  }
}

/// SplitMix64 (Steele et al., 2014): the same numbers from the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  mutating func vector(_ dimensions: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<dimensions).map { _ in Float.random(in: range, using: &self) }
  }
}

/// Squared L2 as the oracle computes it.
func squaredDistance(_ a: [Float], _ b: [Float]) -> Double {
  zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
}

/// Expects that `body` throws a `VecDBError` of this code, and returns it.
@discardableResult
func expectError(
  _ code: VecDBError.Code, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async -> VecDBError? {
  do {
    try await body()
    Issue.record("nothing was thrown; expected \(code)", sourceLocation: sourceLocation)
  } catch let error as VecDBError {
    #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    return error
  } catch {
    Issue.record("not a VecDBError: \(error)", sourceLocation: sourceLocation)
  }
  return nil
}

/// Runs blocking work on a thread of its own, since the concurrency pool has only as many as cores.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
{
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}

/// Copies a directory or a file as it is at the moment, also where a database writes to it:
/// FileManager's own copying waits for ever for the rest of a file that is cut meanwhile.
func copyTree(atPath source: String, toPath target: String) throws {
  let files = FileManager.default
  var isDirectory: ObjCBool = false
  guard files.fileExists(atPath: source, isDirectory: &isDirectory) else {
    throw CocoaError(.fileNoSuchFile)
  }
  guard isDirectory.boolValue else {
    let type = try files.attributesOfItem(atPath: source)[.type] as? FileAttributeType
    guard type == .typeRegular else { return }
    return try Data(contentsOf: URL(fileURLWithPath: source)).write(
      to: URL(fileURLWithPath: target), options: .withoutOverwriting)
  }
  try files.createDirectory(atPath: target, withIntermediateDirectories: false)
  for entry in try files.contentsOfDirectory(atPath: source) {
    do {
      try copyTree(atPath: source + "/" + entry, toPath: target + "/" + entry)
    } catch CocoaError.fileNoSuchFile, CocoaError.fileReadNoSuchFile {
      // Removed since it was listed.
    }
  }
}
