import Testing
import VecDB
import VecDBSimulatedDisk

/// Where the newest manifest is damaged the one before it opens, and the log brings what came since.
@Suite struct OlderManifestTests {
  @Test func theLogSinceTheOlderManifestIsKept() async throws {
    let disk = SimulatedDisk(seed: 5)
    var configuration = CrashTests.configuration
    // Every round fills segments, which a checkpoint could remove.
    configuration.logSegmentBytes = 64 << 10
    configuration.archiveLogBytes = 0
    try disk.createDirectory("/data")
    let database = try Database.open(
      at: "/data/db", fileSystem: disk, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    var generator = SeededGenerator(seed: 13)
    var records: [String: VectorRecord] = [:]
    for round in 0..<5 {
      for part in 0..<6 {
        let batch = (0..<60).map { number in
          VectorRecord(
            key: "\(round)-\(part)-\(number)", vector: generator.vector(4),
            metadata: ["text": .string(String(repeating: "x", count: 400))])
        }
        for record in batch { records[record.key] = record }
        try await items.upsert(batch)
      }
      try await database.checkpoint()
    }
    let written = try database.stats()
    // What nobody needs was removed, so the rest was a decision.
    let segments = disk.filePaths.filter { $0.hasSuffix(".segment") }
    #expect(
      segments.count > 1 && !segments.contains { $0.hasSuffix("/00000000000000000001.segment") })
    try await database.close()

    let newest = try #require(
      disk.filePaths.filter { $0.hasPrefix("/data/db/manifests/") }.sorted().last)
    disk.corrupt(newest, at: 200)
    let recovered = try Database.open(
      at: "/data/db", fileSystem: disk, configuration: configuration)
    #expect(recovered.lsn == written.lsn)
    #expect(try recovered.stats().dataDigest == written.dataDigest)
    let found = try recovered.collection("items")
    for (key, record) in records { #expect(try found.get(key) == record) }
    try await recovered.close()
  }
}
