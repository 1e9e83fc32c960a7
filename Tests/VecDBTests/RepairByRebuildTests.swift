import BlockStore
import Files
import Foundation
import Testing
import VecDB

/// Repairs of indexes whose graph cannot be had as it was, since slots were used again or the index
/// was rebuilt: another one is built, and nothing is lost.
@Suite struct RepairByRebuildTests {
  static let dimensions = 24

  private static func record(_ number: Int) -> Record {
    var generator = SeededGenerator(seed: UInt64(number))
    return Record(
      key: "k\(number)", vector: generator.vector(dimensions),
      metadata: ["group": .integer(Int64(number % 7))])
  }

  private static func configuration() -> Configuration {
    var configuration = Configuration()
    configuration.maintenanceMinimum = 40
    configuration.maintenanceShare = 0
    configuration.controlSocket = false
    configuration.scrubBytesPerSecond = nil
    configuration.logger.logLevel = .critical
    return configuration
  }

  /// Flips a bit in every copy of the first block of an array of the generation that serves.
  private static func corrupt(_ array: String, of path: String) throws {
    let files = PosixFileSystem()
    let blocks = try BlockStore(directory: path, fileSystem: files)
    let manifest = try #require(try blocks.newestManifest()?.manifest)
    let items = try #require(manifest.collections.first)
    let stored = try #require(
      items.arrays.last { $0.name == array || $0.name.hasSuffix("." + array) })
    let bytes = try blocks.read(try blocks.list(of: stored).hashes[0])
    var copies = 0
    for name in try files.list(path + "/packs") {
      let pack = path + "/packs/" + name
      var contents = try files.readAll(pack)
      for offset in stride(from: 4_096, through: contents.count - bytes.count, by: 4_096)
      where contents[offset..<offset + bytes.count].elementsEqual(bytes) {
        contents[offset + bytes.count / 3] ^= 4
        copies += 1
      }
      let file = try files.open(pack, .readWrite)
      try contents.withUnsafeBytes { try file.write($0, at: 0) }
    }
    #expect(copies > 0)
  }

  private static func settle(_ database: Database) async throws {
    var last: UInt64 = 0
    while try database.stats().lsn != last {
      last = try database.stats().lsn
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  @Test(arguments: ["codes", "links", "nodes", "parents"], [false, true])
  func anotherGraphIsBuilt(array: String, afterRebuild: Bool) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("db")
    let database = try await Database.open(at: path, configuration: Self.configuration())
    let items = try await database.createCollection(
      "items", dimensions: Self.dimensions, metric: .l2)
    try await items.upsert((0..<1_500).map(Self.record))
    for round in 0..<3 {
      try await items.delete((round * 300..<round * 300 + 300).map { "k\($0)" })
      try await Self.settle(database)
      try await items.upsert((0..<300).map { Self.record(2_000 + round * 300 + $0) })
      try await Self.settle(database)
    }
    if afterRebuild {
      try await items.rebuild()
      try await items.retireRebuild()
    }
    try await database.checkpoint()
    let before = try database.stats()
    try await database.close()
    try Self.corrupt(array, of: path)

    let report = try await Database.repair(at: path, configuration: Self.configuration())
    #expect(report.missing.isEmpty && report.check?.problems == [], "\(report)")
    #expect(report.repairs.contains { $0.hasPrefix("rebuilt: ") }, "\(report)")
    let repaired = try await Database.open(at: path, configuration: Self.configuration())
    #expect(try repaired.stats().dataDigest == before.dataDigest)
    #expect(try RebuildTests.recall(repaired.collection("items")) > 0.95)
    #expect(try await repaired.check().problems.isEmpty)
    try await repaired.close()
  }
}
