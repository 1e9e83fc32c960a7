import Foundation
import Testing
import VecDB
import VecDBReplication

/// Nodes in one process that talk over loopback.
@Suite(.serialized) struct LoopbackTests {
  private func record(_ number: Int) -> VectorRecord {
    VectorRecord(
      key: "k\(number)", vector: (0..<8).map { Float((number * 31 + $0 * 7) % 101) },
      metadata: ["number": .integer(Int64(number))])
  }

  private func options(
    _ name: String, peers: [Int?] = [], replicas: [String] = [], port: Int = 0
  ) -> ReplicationOptions {
    var options = ReplicationOptions(
      name: name, listen: NodeAddress(host: "127.0.0.1", port: port),
      peers: peers.compactMap { $0 }.map { NodeAddress(host: "127.0.0.1", port: $0) },
      security: .insecureLoopback,
      acknowledgement: replicas.isEmpty
        ? nil : AcknowledgementOptions(replicas: replicas, timeout: .seconds(2)))
    options.logger.logLevel = .critical
    return options
  }

  private var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    return configuration
  }

  private func temporary() throws -> String {
    let path = NSTemporaryDirectory() + "vecdb-replication-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func create(_ path: String, records: Int) async throws {
    let database = try await Database.open(at: path, configuration: configuration)
    let collection = try await database.createCollection("c", dimensions: 8, metric: .l2)
    if records > 0 { try await collection.upsert((0..<records).map(record)) }
    try await database.close()
  }

  private func eventually(
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

  private func isEqual(_ left: ReplicationNode, _ right: ReplicationNode) async -> Bool {
    let (a, b) = (await left.status(), await right.status())
    return a.lsn == b.lsn && a.chain == b.chain && a.dataDigest == b.dataDigest
      && a.epoch == b.epoch
  }

  /// Updates and what expires: the replica shows what the primary shows, and judges no time itself.
  @Test func aReplicaHasUpdatesAndLosesWhatExpires() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 200)
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    // By its clock everything has expired long ago.
    var ahead = configuration
    ahead.clock = { 4_000_000_000_000 }
    let replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]), configuration: ahead)
    let collection = try primary.database.collection("c")
    let soon = Date(timeIntervalSinceNow: 1.5)
    try await collection.touch((0..<100).map { "k\($0)" }, expires: soon)
    try await collection.touch(["k150"], expires: Date(timeIntervalSinceNow: 100_000))
    try await collection.update(where: Field("number") < 120, MetadataChange(set: ["small": true]))
    try await eventually("equality") { await isEqual(primary, replica) }
    let copy = try replica.database.collection("c")
    #expect(try copy.count(where: Field("small") == true) == 120 || Date() > soon)
    #expect(copy.count == 200 || Date() > soon)
    try await eventually("the end of the records") { collection.count == 100 }
    try await eventually("equality") { await isEqual(primary, replica) }
    #expect(copy.count == 100)
    #expect(try copy.get("k150") != nil)
    #expect(try copy.get("k119")?.metadata["small"] == true)
    #expect(try copy.get("k119")?.version == collection.get("k119")?.version)
    try await primary.stop()
    try await replica.stop()
  }

  @Test func aReplicaIsFetchedFollowsAndIsPromoted() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 500)
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a", replicas: ["b"]), configuration: configuration)
    let replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("equality") { await isEqual(primary, replica) }
    // Semi-synchronous: what is acknowledged is on the replica.
    let collection = try primary.database.collection("c")
    try await eventually("a write") {
      do { _ = try await collection.upsert(record(1_000)) } catch { return false }
      return true
    }
    for number in 1_001..<1_100 {
      let result = try await collection.upsert(record(number))
      #expect(try replica.database.lsn >= result.receipt.lsn)
    }
    try await replica.database.waitUntilSearchable(minimumLSN: primary.database.lsn)
    let here = try collection.search(record(1_050).vector, k: 5)
    let there = try replica.database.collection("c").search(record(1_050).vector, k: 5)
    #expect(here.hits == there.hits)
    // Nobody else writes to a replica.
    let copy = try replica.database.collection("c")
    await #expect(throws: VecDBError.self) { try await copy.upsert(record(1)) }
    // A planned handover loses nothing; the old primary refuses writes from then on.
    let report = try await replica.promote(planned: true)
    #expect(report.loss == "none")
    // A second on a quiet machine.
    #expect(report.seconds < 10)
    #expect(replica.role == .primary)
    await #expect(throws: VecDBError.self) { try await collection.upsert(record(2)) }
    try await primary.stop()
    try await replica.stop()
  }

  @Test func anOldPrimarySavesItsTailAndFollows() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 300)
    var primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    let replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("equality") { await isEqual(primary, replica) }
    let port = try #require(replica.listeningPort)
    try await primary.stop()
    // Alone, it writes what nobody else gets.
    primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    try await primary.database.collection("c").upsert((5_000..<5_010).map(record))
    try await primary.stop()
    await #expect(throws: VecDBError.self) { try await replica.promote() }
    let report = try await replica.promote(force: true)
    #expect(report.loss == "unbounded")
    try await replica.database.collection("c").upsert((6_000..<6_010).map(record))
    // It comes back, meets the new epoch, and ends as a follower.
    primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a", peers: [port]), configuration: configuration)
    try await eventually("following") {
      let status = await primary.status()
      return status.role == .follower && status.isConnected
    }
    try await eventually("equality") { await isEqual(primary, replica) }
    let tails = await primary.status().savedTails
    #expect(tails.count == 1)
    let lines = try String(
      contentsOfFile: try #require(tails.first?.imports.first), encoding: .utf8)
    #expect(lines.split(separator: "\n").count == 10)
    #expect(try primary.database.collection("c").get("k5003") == nil)
    #expect(try primary.database.collection("c").get("k6003") != nil)
    try await primary.stop()
    try await replica.stop()
  }

  @Test func replicasCanBeChained() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 100)
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    let middle = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("equality") { await isEqual(primary, middle) }
    let last = try await ReplicationNode.follow(
      directory + "/c", options: options("c", peers: [middle.listeningPort]),
      configuration: configuration)
    for number in 200..<260 { try await primary.database.collection("c").upsert(record(number)) }
    try await eventually("equality at the end") { await isEqual(primary, last) }
    // Backups and checks work on a replica.
    let backup = try await middle.database.backup(to: directory + "/repository")
    #expect(backup.lsn == (try middle.database.lsn))
    #expect(try await last.database.check().problems.isEmpty)
    for node in [last, middle, primary] { try await node.stop() }
  }

  @Test func aRestartedPrimaryKeepsTheLogForThoseWhoAreAway() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 200)
    var primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    var replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("equality") { await isEqual(primary, replica) }
    let left = try replica.database.lsn
    try await replica.stop()
    for number in 300..<340 { try await primary.database.collection("c").upsert(record(number)) }
    // Closing writes a checkpoint, which would make the log superfluous for a primary alone.
    try await primary.stop()
    primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    replica = try await ReplicationNode.follow(
      directory + "/b", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("equality") { await isEqual(primary, replica) }
    // A copy that was fetched anew would have no log from before.
    #expect(try replica.database.logFrames(after: left, bytesMaximum: 1).first?.lsn == left + 1)
    try await replica.stop()
    try await primary.stop()
  }

  @Test func strangersAreRefusedAndThePrimaryGoesOn() async throws {
    let directory = try temporary()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await create(directory + "/a", records: 50)
    try await create(directory + "/other", records: 50)
    let primary = try await ReplicationNode.serve(
      directory + "/a", options: options("a"), configuration: configuration)
    let foreign = try await ReplicationNode.follow(
      directory + "/other", options: options("b", peers: [primary.listeningPort]),
      configuration: configuration)
    try await eventually("an alarm") { await !foreign.status().alarms.isEmpty }
    // What it had is untouched.
    #expect(try foreign.database.collection("c").get("k7") != nil)
    try await primary.database.collection("c").upsert(record(77))
    try await foreign.stop()
    try await primary.stop()
  }
}
