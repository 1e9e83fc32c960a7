import Foundation
import Testing
import VecDB
import VecDBReplication

/// Three real nodes, each behind a link that cuts, swallows, delays, truncates, repeats and damages;
/// in the middle of it the primary is cut off and another one is promoted. Then the faults stop.
@Suite(.serialized) struct FaultyNetworkTests {
  private struct Cluster {
    var links: [FaultyLink]
    var nodes: [ReplicationNode]

    /// The node that writes, if there is one.
    func writer() async -> ReplicationNode? {
      for node in nodes {
        if await node.isWritable { return node }
      }
      return nil
    }
  }

  private static let names = ["a", "b", "c"]

  private func record(_ number: Int) -> VectorRecord {
    VectorRecord(key: "w\(number)", vector: (0..<8).map { Float((number * 37 + $0 * 11) % 97) })
  }

  private var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    return configuration
  }

  private func start(_ directory: String, seed: UInt64) async throws -> Cluster {
    let database = try await Database.open(at: directory + "/a", configuration: configuration)
    _ = try await database.createCollection("c", dimensions: 8, metric: .l2)
    try await database.close()
    let links = (0..<3).map { FaultyLink(seed: seed &* 31 &+ UInt64($0)) }
    for link in links { try await link.open() }
    var nodes: [ReplicationNode] = []
    for (index, name) in Self.names.enumerated() {
      var options = ReplicationOptions(
        name: name, listen: NodeAddress(host: "127.0.0.1", port: 0),
        peers: links.indices.filter { $0 != index }.map {
          NodeAddress(host: "127.0.0.1", port: links[$0].port)
        }, security: .insecureLoopback)
      options.acknowledgement = AcknowledgementOptions(
        replicas: Self.names.filter { $0 != name }, timeout: .milliseconds(700))
      options.limits.heartbeatMilliseconds = 100
      options.limits.silenceMilliseconds = 600
      options.limits.helloMilliseconds = 600
      options.logger.logLevel = .critical
      let path = "\(directory)/\(name)"
      let node =
        index == 0
        ? try await ReplicationNode.serve(path, options: options, configuration: configuration)
        : try await ReplicationNode.follow(path, options: options, configuration: configuration)
      links[index].lead(to: node.listeningPort)
      nodes.append(node)
    }
    return Cluster(links: links, nodes: nodes)
  }

  private func strike(_ link: FaultyLink, using generator: inout FaultyLink.SplitMix) {
    let draw = Int.random(in: 0..<8, using: &generator)
    let number = Int.random(in: 5...40, using: &generator)
    link.change { faults in
      faults = FaultyLink.Faults()
      switch draw {
      case 0, 1: faults.isCut = true
      case 2: faults.swallowsThere = true
      case 3: faults.swallowsBack = true
      case 4: faults.delayMilliseconds = Int64(number * 4)
      case 5: faults.truncatesOneIn = number
      case 6: faults.repeatsOneIn = number
      default: faults.damagesOneIn = number
      }
    }
  }

  /// Writes one record after the other until it is cancelled; returns those that were acknowledged.
  private func write(to cluster: Cluster) async -> [Int] {
    var acknowledged: [Int] = []
    var number = 0
    while !Task.isCancelled {
      number += 1
      do {
        guard let node = await cluster.writer() else {
          try await Task.sleep(nanoseconds: 20_000_000)
          continue
        }
        _ = try await node.database.collection("c").upsert(record(number))
        acknowledged.append(number)
      } catch {
        // Refused, or unknown: not acknowledged.
      }
    }
    return acknowledged
  }

  private func eventually(_ what: String, _ body: () async -> Bool) async throws {
    let deadline = Date() + 120
    while !(await body()) {
      guard Date() < deadline else {
        Issue.record("\(what) did not come about")
        throw CancellationError()
      }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func nothingAcknowledgedIsLost(seed: UInt64) async throws {
    let directory = NSTemporaryDirectory() + "vecdb-network-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let cluster = try await start(directory, seed: seed)
    try await eventually("replicas") {
      for node in cluster.nodes.dropFirst() {
        guard await node.status().isConnected else { return false }
      }
      return true
    }
    var generator = FaultyLink.SplitMix(state: seed)
    let writer = Task { await write(to: cluster) }
    for _ in 0..<10 {
      let link = cluster.links.randomElement(using: &generator)
      if let link { strike(link, using: &generator) }
      try await Task.sleep(nanoseconds: UInt64.random(in: 50...350, using: &generator) * 1_000_000)
    }
    // The primary is gone for the others; one of them takes over, if that loses nothing.
    cluster.links[0].change { $0 = .init(isCut: true) }
    for link in cluster.links.dropFirst() { link.change { $0 = .init() } }
    try await eventually("a promotion") {
      for node in cluster.nodes.dropFirst() {
        do {
          let report = try await node.promote(timeout: .seconds(1))
          #expect(report.loss == "none")
          return true
        } catch {
          // Behind the other one, or it did not answer.
        }
      }
      return false
    }
    try await Task.sleep(nanoseconds: 500_000_000)
    for link in cluster.links { link.change { $0 = .init() } }
    try await Task.sleep(nanoseconds: 500_000_000)
    writer.cancel()
    let acknowledged = await writer.value
    try await eventually("one primary and equal copies") {
      var states: [NodeStatus] = []
      for node in cluster.nodes { states.append(await node.status()) }
      let primaries = states.filter { $0.role == .primary }
      guard primaries.count == 1, let primary = primaries.first else { return false }
      return states.allSatisfy {
        $0.lsn == primary.lsn && $0.chain == primary.chain && $0.dataDigest == primary.dataDigest
          && $0.epoch == primary.epoch
      }
    }
    // How many depends on how busy the machine is.
    #expect(!acknowledged.isEmpty, "seed \(seed)")
    let collection = try cluster.nodes[1].database.collection("c")
    for number in acknowledged {
      #expect(try collection.get("w\(number)") != nil, "seed \(seed), record \(number) is lost")
    }
    // What was alarmed about is over, and said so soon after.
    for node in cluster.nodes {
      for _ in 0..<100 where await !node.status().alarms.isEmpty {
        try await Task.sleep(for: .milliseconds(100))
      }
      let status = await node.status()
      #expect(
        status.alarms.isEmpty, "seed \(seed), \(status.name), \(status.role): \(status.alarms)")
    }
    for node in cluster.nodes { try await node.stop() }
    for link in cluster.links { try await link.close() }
  }
}
