import Foundation
import Testing
import VecDB
import VecDBReplication

/// Data whose range moves while it is served: the primary changes what its index walks on, and the
/// replica does the same at the same batch.
@Suite(.serialized) struct DriftReplicationTests {
  private static let dimensions = 32

  private var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
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

  private struct Points {
    var state: UInt64

    mutating func value() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 23) - 1
    }

    mutating func vector(moved: Bool) -> [Float] {
      (0..<dimensions).map { _ in moved ? 80 + 20 * value() : value() }
    }
  }

  /// Recall with default options against a scan by the database, which has no part in codes.
  private func recall(_ collection: VectorCollection, _ queries: [[Float]]) throws -> Double {
    var (found, wanted) = (0, 0)
    for query in queries {
      let truth = try collection.search(query, options: SearchOptions(exact: true)).hits
      found += try collection.search(query).hits
        .count { $0.distance <= truth.last?.distance ?? 0 }
      wanted += truth.count
    }
    return Double(found) / Double(max(1, wanted))
  }

  @Test func driftIsMendedOnBoth() async throws {
    let directory = NSTemporaryDirectory() + "vecdb-drift-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let database = try await Database.open(at: directory + "/a", configuration: configuration)
    _ = try await database.createCollection("c", dimensions: Self.dimensions, metric: .l2)
    try await database.close()
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    let replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", primary: primary.listeningPort),
      configuration: configuration)
    let collection = try primary.database.collection("c")
    var points = Points(state: 3)
    var number = 0
    func insert(_ count: Int, moved: Bool) async throws {
      try await collection.upsert(
        (0..<count).map { _ in
          number += 1
          return VectorRecord(key: "k\(number)", vector: points.vector(moved: moved))
        })
    }
    for _ in 0..<8 { try await insert(250, moved: false) }
    #expect(try primary.database.stats().collections[0].codesInUse == "bytes")
    var noticed: Int?
    for step in 0..<40 {
      try await insert(50, moved: true)
      let inUse = try primary.database.stats().collections[0].codesInUse
      if noticed == nil, inUse == "float32" { noticed = (step + 1) * 50 }
      guard step % 8 == 0 else { continue }
      let queries = (0..<30).map { points.vector(moved: $0 % 2 == 0) }
      #expect(try recall(collection, queries) >= 0.9, "after \((step + 1) * 50) records")
    }
    #expect((noticed ?? .max) <= 2_000)
    let lsn = try primary.database.stats().lsn
    let deadline = Date() + 60
    // Nothing can be asked of the copy while it is fetched.
    while (try? replica.database.stats().lsn) ?? 0 < lsn, Date() < deadline {
      try await Task.sleep(nanoseconds: 20_000_000)
    }
    // No write is under way: both stand still.
    let here = try primary.database.stats(graphDigests: true)
    let there = try replica.database.stats(graphDigests: true)
    #expect(here.lsn == there.lsn)
    #expect(here.collections[0].graphDigest == there.collections[0].graphDigest)
    #expect(there.collections[0].codesInUse == "float32")
    let queries = (0..<40).map { points.vector(moved: $0 % 2 == 0) }
    let copy = try replica.database.collection("c")
    #expect(try recall(copy, queries) >= 0.9)
    #expect(try replica.database.measureHealth().allSatisfy(\.isGood))
    try await replica.stop()
    try await primary.stop()
  }
}
