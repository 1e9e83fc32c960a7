import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A restored copy goes live only if it is what the backup recorded.
@Suite struct RestoreProofTests {
  enum Forgery: CaseIterable {
    case digest
    case count
  }

  /// Every hash in the repository is right, but the manifest tells of other data than its blocks hold.
  @Test(arguments: [RestoreVerification.quick, .full], Forgery.allCases)
  func `a copy that is not what the backup recorded stays away`(
    verification: RestoreVerification, forgery: Forgery
  ) async throws {
    let directory = try TemporaryDirectory()
    let (repository, copy) = (directory.file("repository"), directory.file("copy"))
    let database = try await BranchTests.open(directory.file("db"))
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    try await items.upsert(
      (0..<60).map { VectorRecord(key: "\($0)", vector: [Float($0), 1, 2, 3]) })
    _ = try await database.backup(to: repository)
    try await database.close()
    func restore() async throws -> RestoreReport {
      try await Database.restore(
        from: repository, to: copy, options: RestoreOptions(verification: verification))
    }
    #expect(try await restore().records == 60)
    try FileManager.default.removeItem(atPath: copy)

    let source = try StoredRepository.open(repository, fileSystem: PosixFileSystem())
    var manifest = try source.getManifest(try #require(try source.newestManifest()))
    switch forgery {
    case .digest: manifest.collections[0].dataDigest = SHA256.hash([7])
    case .count: manifest.collections[0].count += 1
    }
    try FileManager.default.removeItem(atPath: repository + "/manifests")
    try source.putManifest(manifest)
    let error = await expectError(.verificationFailed) { _ = try await restore() }
    #expect(error?.message.contains("'items'") == true, "\(error as Any)")
    #expect(!FileManager.default.fileExists(atPath: copy))
  }
}
