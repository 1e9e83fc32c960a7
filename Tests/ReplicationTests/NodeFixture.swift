import Foundation
import Testing
import VecDB
import VecDBReplication

/// What tests of nodes in one process have in common.
enum NodeFixture {
  static func record(_ number: Int) -> VectorRecord {
    VectorRecord(key: "k\(number)", vector: (0..<8).map { Float((number * 31 + $0 * 7) % 101) })
  }

  static func options(
    _ name: String, peers: [Int?] = [], replicas: [String] = [], port: Int = 0
  ) -> ReplicationOptions {
    var options = ReplicationOptions(
      name: name, listen: NodeAddress(host: "127.0.0.1", port: port),
      peers: peers.compactMap { $0 }.map { NodeAddress(host: "127.0.0.1", port: $0) },
      security: .insecureLoopback,
      acknowledgement: replicas.isEmpty
        ? nil : AcknowledgementOptions(replicas: replicas, timeout: .seconds(2)))
    options.logger.logLevel = .critical
    options.startPatienceMilliseconds = 1_000
    return options
  }

  static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    return configuration
  }

  static func create(_ path: String, records: Int = 20) async throws {
    let database = try await Database.open(at: path, configuration: configuration)
    let collection = try await database.createCollection("c", dimensions: 8, metric: .l2)
    if records > 0 { try await collection.upsert((0..<records).map(record)) }
    try await database.close()
  }

  static func serve(_ path: String, _ options: ReplicationOptions) async throws -> ReplicationNode {
    try await ReplicationNode.serve(path, options: options, configuration: configuration)
  }

  static func follow(_ path: String, _ options: ReplicationOptions) async throws -> ReplicationNode
  {
    try await ReplicationNode.follow(path, options: options, configuration: configuration)
  }

  static func eventually(
    _ what: String, seconds: Double = 60, _ body: () async throws -> Bool
  ) async throws {
    let deadline = Date() + seconds
    while try await !body() {
      guard Date() < deadline else {
        Issue.record("\(what) did not come about")
        throw CancellationError()
      }
      try await Task.sleep(nanoseconds: 10_000_000)
    }
  }

  /// Runs `body` with a directory that is removed afterwards.
  static func inDirectory(_ body: (String) async throws -> Void) async throws {
    let path = NSTemporaryDirectory() + "vecdb-node-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await body(path)
  }

  /// A port that nobody listens on.
  static func freePort() async throws -> Int {
    let link = FaultyLink(seed: 1)
    try await link.open()
    let port = link.port
    try await link.close()
    return port
  }

  static func isEqual(_ left: ReplicationNode, _ right: ReplicationNode) async -> Bool {
    let (a, b) = (await left.status(), await right.status())
    return a.lsn == b.lsn && a.chain == b.chain && a.dataDigest == b.dataDigest
      && a.epoch == b.epoch
  }

  static func write(_ number: Int, to node: ReplicationNode) async throws {
    _ = try await node.database.collection("c").upsert(record(number))
  }

  static func canWrite(_ node: ReplicationNode, _ number: Int) async -> Bool {
    do { try await write(number, to: node) } catch { return false }
    return true
  }
}
