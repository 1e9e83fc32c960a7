import Foundation
import Testing
import VecDB

/// Repairs from, and branches in, an encrypted repository.
@Suite struct EncryptedRepairTests {
  /// A toy: what counts is that nothing is read without it.
  private struct ToyKey: RepositoryKey, BlockCipher {
    var secret: UInt8

    func makeCipher() throws -> (keys: [UInt8], cipher: any BlockCipher) { ([secret ^ 0x55], self) }

    func openCipher(keys: [UInt8], at place: String) throws -> any BlockCipher {
      guard keys == [secret ^ 0x55] else {
        throw VecDBError(.invalidArgument, "another key", at: place)
      }
      return self
    }

    func rewrap(
      _ keys: [UInt8], openedBy old: any RepositoryKey, at place: String
    ) throws -> [UInt8] { keys }

    var overheadBytes: Int { 1 }
    func seal(_ bytes: UnsafeRawBufferPointer, context: [UInt8]) throws -> [UInt8] {
      [0xee] + bytes.map { $0 ^ secret }
    }
    func open(_ bytes: [UInt8], context: [UInt8]) throws -> [UInt8] {
      guard bytes.first == 0xee else {
        throw VecDBError(.corrupt, "this is not encrypted with the key")
      }
      return bytes.dropFirst().map { $0 ^ secret }
    }
    func name(of hash: [UInt8]) -> [UInt8] { hash.map { $0 ^ secret } }
  }

  @Test func damageIsRepairedWithTheKey() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let repository = directory.file("repository")
    var configuration = DatabaseConfiguration()
    configuration.repositoryKey = ToyKey(secret: 0x3c)
    configuration.logger.logLevel = .critical
    var database = try await Database.open(at: path, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 64, metric: .l2)
    var generator = SeededGenerator(seed: 12)
    try await items.upsert(
      (0..<2_000).map { VectorRecord(key: "k\($0)", vector: generator.vector(64)) })
    _ = try await database.backup(to: repository)
    let digest = try database.stats().dataDigest
    try await database.close()
    let packs = try FileManager.default.contentsOfDirectory(atPath: path + "/packs").sorted()
    let pack = path + "/packs/" + (try #require(packs.last))
    var bytes = try Data(contentsOf: URL(fileURLWithPath: pack))
    for offset in stride(from: 4_096, to: bytes.count, by: 50_000) { bytes[offset] ^= 0xff }
    try bytes.write(to: URL(fileURLWithPath: pack))
    let repair = configuration
    await expectError(.invalidArgument) {
      _ = try await Database.repair(at: path, from: repository)
    }
    let report = try await Database.repair(at: path, from: repository, configuration: repair)
    #expect(report.missing == [] && report.fetchedBlocks > 0, "\(report)")
    database = try await Database.open(at: path, configuration: configuration)
    #expect(try database.stats().dataDigest == digest)
    // The chain decides in an encrypted repository, too.
    try await database.close()
    try copyTree(atPath: path, toPath: directory.file("snapshot"))
    for place in [path, directory.file("snapshot")] {
      let copy = try await Database.open(at: place, configuration: configuration)
      try await copy.collection("items").upsert(
        VectorRecord(key: "new", vector: generator.vector(64)))
      let branch = try await copy.backup(to: repository).branch
      #expect((branch != nil) == (place != path))
      try await copy.close()
    }
  }
}
