import Foundation
import Testing
import VecDB
import VecDBReplication

/// What changes the graph without changing the data travels too: maintenance, the swap of a rebuild,
/// and the way back.
@Suite(.serialized) struct RebuildReplicationTests {
  private func record(_ number: Int, version: Int = 0) -> VectorRecord {
    var state = UInt64(number &* 7_919 &+ version &* 104_729 &+ 1)
    let vector = (0..<16).map { _ -> Float in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 24)
    }
    return VectorRecord(key: "k\(number)", vector: vector)
  }

  private var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.maintenanceMinimum = 40
    configuration.maintenanceShare = 0
    configuration.logger.logLevel = .critical
    return configuration
  }

  private func options(_ name: String, primary: Int? = nil) -> ReplicationOptions {
    var options = ReplicationOptions(
      name: name, listen: NodeAddress(host: "127.0.0.1", port: 0),
      peers: primary.map { [NodeAddress(host: "127.0.0.1", port: $0)] } ?? [],
      security: .insecureLoopback)
    options.logger.logLevel = .critical
    return options
  }

  private func eventually(_ what: String, _ body: () async throws -> Bool) async throws {
    let deadline = Date() + 60
    while try await !body() {
      guard Date() < deadline else {
        Issue.record("\(what) did not come about")
        throw CancellationError()
      }
      try await Task.sleep(nanoseconds: 20_000_000)
    }
  }

  /// Waits until the replica is where the primary is, and holds both digests against each other.
  private func expectEqual(
    _ primary: ReplicationNode, _ replica: ReplicationNode, _ what: String
  ) async throws {
    try await eventually("equality after \(what)") {
      guard await replica.status().isConnected else { return false }
      let here = try primary.database.stats(graphDigests: true)
      let there = try replica.database.stats(graphDigests: true)
      guard here.lsn == there.lsn else { return false }
      for (left, right) in zip(here.collections, there.collections) {
        #expect(left.graphDigest == right.graphDigest, "\(what), LSN \(here.lsn)")
        #expect(left.slots == right.slots && left.count == right.count, "\(what)")
        #expect(left.m == right.m, "\(what)")
      }
      #expect(here.dataDigest == there.dataDigest, "\(what)")
      return true
    }
    #expect(await replica.status().alarms.isEmpty)
  }

  @Test func maintenanceAndRebuildsTravel() async throws {
    let directory = NSTemporaryDirectory() + "vecdb-rebuild-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let database = try await Database.open(at: directory + "/a", configuration: configuration)
    _ = try await database.createCollection(
      "c", dimensions: 16, metric: .l2, index: .init(m: 8, efConstruction: 64))
    try await database.close()
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    let replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", primary: primary.listeningPort),
      configuration: configuration)
    let collection = try primary.database.collection("c")
    try await collection.upsert((0..<1_500).map { record($0) })
    for round in 1...3 {
      try await collection.upsert((0..<300).map { record($0 * 5, version: round) })
      try await collection.delete((0..<100).map { "k\(round * 400 + $0)" })
    }
    try await expectEqual(primary, replica, "churn and maintenance")
    #expect(try primary.database.stats().collections[0].slots < 2_600)

    var rebuild = RebuildOptions(m: 12, efConstruction: 80)
    rebuild.gate.latencyFactor = 1_000
    rebuild.gate.recallTolerance = 1
    _ = try await collection.beginRebuild(rebuild)
    var number = 10_000
    try await eventually("the swap") {
      // Writes go on.
      try await collection.upsert((number..<number + 5).map { record($0) })
      number += 5
      return try collection.rebuildStatus().stage == "grace"
    }
    try await expectEqual(primary, replica, "the swap")
    #expect(try replica.database.stats().collections[0].m == 12)
    #expect(try await replica.database.check().problems.isEmpty)

    try await collection.upsert((20_000..<20_100).map { record($0) })
    try await collection.rollBackRebuild()
    try await collection.upsert((20_100..<20_200).map { record($0) })
    try await expectEqual(primary, replica, "the way back")
    #expect(try replica.database.stats().collections[0].m == 8)

    // A replica that was promoted goes on with it, and maintains by itself.
    let report = try await replica.promote(force: true)
    #expect(report.isPromoted)
    let copy = try replica.database.collection("c")
    let before = try replica.database.lsn
    try await copy.delete((0..<200).map { "k\(20_000 + $0)" })
    try await eventually("maintenance") { try replica.database.lsn > before + 2 }
    #expect(try await replica.database.check().problems.isEmpty)
    try await replica.stop()
    try await primary.stop()
  }
}
