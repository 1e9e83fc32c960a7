import Foundation
import Testing
import VecDBObjectStore
import VecDBSimulatedBucket

/// Where the repositories of a test are: what `TemporaryDirectory.file("repo…")` names.
enum RepositoryKind: Sendable {
  case directory
  /// A bucket in memory.
  case bucket
  /// A prefix of its own below this address, with what follows `?` kept.
  case below(String)

  @TaskLocal static var current = RepositoryKind.directory

  /// The address of a repository; nil for a file in the test's directory.
  static func address(_ test: String, _ name: String) -> String? {
    switch current {
    case .directory: return nil
    case .bucket:
      SimulatedBuckets.enable()
      return "sim://\(test)/\(name)"
    case .below(let base):
      Repository.enableS3()
      let parts = base.split(separator: "?", maxSplits: 1)
      return "\(parts.first ?? "")/\(test)/\(name)" + (parts.count > 1 ? "?\(parts[1])" : "")
    }
  }

  /// An object store from outside that the tests are to use, as `VECDB_TEST_STORE` says.
  static var outside: String? { ProcessInfo.processInfo.environment["VECDB_TEST_STORE"] }
}

/// Runs each test once with repositories in directories and once in a bucket; with the environment's
/// `VECDB_TEST_STORE`, in that store alone.
struct InEveryKindOfRepository: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    if let outside = RepositoryKind.outside {
      return try await RepositoryKind.$current.withValue(.below(outside)) { try await function() }
    }
    try await function()
    try await RepositoryKind.$current.withValue(.bucket) { try await function() }
  }
}

extension Trait where Self == InEveryKindOfRepository {
  static var inEveryKindOfRepository: Self { InEveryKindOfRepository() }
}
