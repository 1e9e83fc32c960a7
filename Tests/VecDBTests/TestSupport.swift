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

/// Copies a directory or a file as it is at one moment, also where a database works on it: what
/// changed while it was copied is copied anew. A copy of two moments is no state that a crash leaves:
/// it has a manifest whose pack was not there yet when the packs were copied.
func copyTree(atPath source: String, toPath target: String) throws {
  for _ in 0..<1_000 {
    let before = try fileStates(source)
    try copyOnce(atPath: source, toPath: target)
    if try fileStates(source) == before { return }
    try FileManager.default.removeItem(atPath: target)
    usleep(10_000)
  }
  throw CocoaError(.fileReadUnknown, userInfo: [NSFilePathErrorKey: source])
}

/// What tells whether a file under `path` was written since: its number, its size and its time.
private func fileStates(_ path: String) throws -> [String: [Int]] {
  var states: [String: [Int]] = [:]
  var paths = [path]
  while let path = paths.popLast() {
    var status = stat()
    guard lstat(path, &status) == 0 else { continue }
    if status.st_mode & S_IFMT == S_IFDIR {
      do {
        paths += try FileManager.default.contentsOfDirectory(atPath: path).map { path + "/" + $0 }
      } catch CocoaError.fileNoSuchFile, CocoaError.fileReadNoSuchFile {
        // Removed since it was listed.
      }
    }
    states[path] = [
      Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
    ]
  }
  return states
}

/// FileManager's own copying waits for ever for the rest of a file that is cut meanwhile.
private func copyOnce(atPath source: String, toPath target: String) throws {
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
      try copyOnce(atPath: source + "/" + entry, toPath: target + "/" + entry)
    } catch CocoaError.fileNoSuchFile, CocoaError.fileReadNoSuchFile {
      // Removed since it was listed.
    }
  }
}
