import Foundation
import VecDB
import VecDBBytes
import VecDBReplication

/// Runs rehearsals, each on copies of its own.
struct DrillRun {
  let stage: DrillStage
  let targets: DrillTargets

  /// Runs one; what goes wrong is a problem in its report.
  func run(_ scenario: DrillScenario) async -> DrillReport {
    var report = DrillReport(scenario)
    report.recallBefore = stage.recall
    do {
      switch scenario {
      case .primaryKilled: try await primaryKilled(&report)
      case .primaryReturnsStale: try await primaryReturnsStale(&report)
      case .replicaKilled: try await replicaKilled(&report)
      case .networkCut: try await networkCut(&report)
      case .restoreOnly: try await restore(&report, target: .latest)
      case .pointInTime: try await restore(&report, target: .mark("before-the-mistake"))
      case .damagedBlock: try await damagedBlock(&report)
      }
    } catch { report.problems.append("\(error)") }
    report.judge(targets)
    return report
  }

  /// A semi-synchronous pair under load: the primary is a process of its own, the replica is here.
  private func pair(
    _ name: String
  ) async throws -> (primary: DrillProcess, replica: ReplicationNode, receipts: String, port: Int) {
    let (port, other) = (try DrillStage.freePort(), try DrillStage.freePort())
    let receipts = stage.directory + "/\(name).receipts"
    let primary = try DrillProcess(
      stage.primary(
        try stage.copy("\(name)-a"), port: port, receipts: receipts, replicas: "b",
        peers: [other]), output: stage.directory + "/\(name)-a.out")
    do {
      let replica = try await ReplicationNode.follow(
        stage.directory + "/\(name)-b", options: stage.options("b", port: other, peers: [port]),
        configuration: DrillStage.configuration)
      try await DrillStage.wait("load: \(primary.complaint)") {
        guard primary.isRunning else {
          throw VecDBError(.inputOutput, "the primary ended: \(primary.complaint)")
        }
        return try DrillReceipts(path: receipts).rows >= 1_000
      }
      return (primary, replica, receipts, port)
    } catch {
      primary.kill()
      throw error
    }
  }

  // MARK: Failover

  private func primaryKilled(_ report: inout DrillReport) async throws {
    var clock = DrillClock()
    let (primary, replica, receipts, _) = try await clock.phase("load") {
      try await pair(report.scenario.rawValue)
    }
    clock.fail()
    try await clock.phase("kill") { primary.kill() }
    try await takeOver(&report, &clock, replica, receipts: receipts)
    report.take(clock)
    try await replica.stop()
  }

  /// Detects that the primary is gone, promotes the replica and proves it.
  private func takeOver(
    _ report: inout DrillReport, _ clock: inout DrillClock, _ replica: ReplicationNode,
    receipts: String
  ) async throws {
    try await clock.phase("detect") {
      try await DrillStage.wait("notice of the failure") { await !replica.status().isConnected }
    }
    // A promotion measures its indexes when the new primary serves already.
    let failure = Guarded<(any Error)?>(nil)
    let promoting = Task {
      do { return try await replica.promote() } catch {
        failure.withLock { $0 = error }
        throw error
      }
    }
    try await clock.phase("promote") {
      try await DrillStage.wait("a new primary") {
        if let error = failure.withLock({ $0 }) { throw error }
        return await replica.isWritable
      }
    }
    let database = try replica.database
    try await clock.phase("first answer") { try answer(database) }
    report.recoverySeconds = clock.sinceFailure
    let promotion = try await clock.phase("what the promotion says") { try await promoting.value }
    report.certificate = "\(promotion.loss): \(promotion.reason)"
    report.recallAfter = try await clock.phase("measure recall") {
      try database.measureRecall(queries: 100).drillRecall
    }
    try await clock.phase("count losses") {
      report.acknowledgedRecords = try DrillReceipts(path: receipts).rows
      report.lostRecords = try stage.missing(report.acknowledgedRecords, in: database)
    }
  }

  /// The first record of the load finds itself.
  private func answer(_ database: Database) throws {
    let collection = try database.collection(stage.collection)
    guard let record = try collection.get(DrillStage.key(0)) else {
      throw VecDBError(.notFound, "the first record of the load is missing")
    }
    try find(record, in: collection)
  }

  /// A record of the collection finds itself.
  private func answer(_ collection: VectorCollection) throws {
    let found = try collection.scroll(after: nil, limit: 1, filter: nil, includeVectors: true)
    guard let record = found.records.first else {
      throw VecDBError(.notFound, "all records are missing")
    }
    try find(record, in: collection)
  }

  private func find(_ record: VectorRecord, in collection: VectorCollection) throws {
    let hits = try collection.search(record.vector, k: 1, options: .init(exact: true)).hits
    // Others may have the same vector. The inner product is largest for longer ones.
    let limit: Float = collection.metric == .cosine ? 1e-5 : 0
    guard let hit = hits.first, collection.metric == .dot || hit.distance <= limit else {
      throw VecDBError(
        .verificationFailed, "a search with the vector of a record does not find that record")
    }
  }

  private func primaryReturnsStale(_ report: inout DrillReport) async throws {
    var clock = DrillClock()
    let name = report.scenario.rawValue
    let (primary, replica, receipts, port) = try await clock.phase("load") { try await pair(name) }
    clock.fail()
    try await clock.phase("kill") { primary.kill() }
    try await takeOver(&report, &clock, replica, receipts: receipts)
    // What nobody else has: written to the dead primary's copy as if before its death.
    let old = stage.directory + "/\(name)-a"
    let promoted = try replica.database
    try await promoted.collection(stage.collection).upsert(stage.records("new-", count: 100))
    let returned = try await clock.phase("old primary returns") {
      try await ReplicationNode.serve(
        old, options: stage.options("a", port: port, peers: [replica.listeningPort ?? 0]),
        configuration: DrillStage.configuration)
    }
    try await clock.phase("steps down and follows") {
      try await DrillStage.wait("following") {
        let (here, there) = (await returned.status(), await replica.status())
        return here.role == .follower && here.isConnected && here.lsn == there.lsn
          && here.dataDigest == there.dataDigest
      }
    }
    let status = await returned.status()
    let written = try returned.database.collection(stage.collection)
    do {
      _ = try await written.upsert(stage.records("stale-", count: 1))
      report.problems.append("the old primary accepted a write after it was replaced")
    } catch let error as VecDBError where error.code == .readOnly {}
    if status.epoch != (await replica.status()).epoch {
      report.problems.append("the old primary is not of the new epoch")
    }
    report.take(clock)
    try await returned.stop()
    try await replica.stop()
  }

  private func replicaKilled(_ report: inout DrillReport) async throws {
    var clock = DrillClock()
    let name = report.scenario.rawValue
    let (port, other) = (try DrillStage.freePort(), try DrillStage.freePort())
    let receipts = stage.directory + "/\(name).receipts"
    let path = stage.directory + "/\(name)-b"
    let replica = [
      "replica", path, "--primary", "127.0.0.1:\(port)", "--name", "b", "--listen",
      "127.0.0.1:\(other)", "--insecure-loopback", "--json",
    ]
    let primary = try DrillProcess(
      stage.primary(try stage.copy("\(name)-a"), port: port, receipts: receipts, replicas: "b"),
      output: stage.directory + "/\(name)-a.out")
    defer { primary.kill() }
    let first = try DrillProcess(replica, output: stage.directory + "/\(name)-b.out")
    defer { first.kill() }
    try await clock.phase("load") {
      try await DrillStage.wait("load") { try DrillReceipts(path: receipts).rows >= 1_000 }
    }
    clock.fail()
    first.kill()
    let rows = try DrillReceipts(path: receipts).rows
    let second = try await clock.phase("replica starts again") {
      try DrillProcess(replica, output: stage.directory + "/\(name)-b2.out")
    }
    defer { second.kill() }
    try await clock.phase("writes go on") {
      try await DrillStage.wait("acknowledged writes") {
        try DrillReceipts(path: receipts).rows >= rows + 200
      }
    }
    report.recoverySeconds = clock.sinceFailure
    primary.kill()
    second.terminate()
    let database = try await Database.open(at: path, configuration: DrillStage.configuration)
    report.acknowledgedRecords = try DrillReceipts(path: receipts).rows
    report.lostRecords = try stage.missing(report.acknowledgedRecords, in: database)
    report.recallAfter = try database.measureRecall(queries: 100).drillRecall
    try await database.close()
    report.take(clock)
  }

  private func networkCut(_ report: inout DrillReport) async throws {
    var clock = DrillClock()
    let name = report.scenario.rawValue
    let (port, other) = (try DrillStage.freePort(), try DrillStage.freePort())
    let receipts = stage.directory + "/\(name).receipts"
    let primary = try DrillProcess(
      stage.primary(try stage.copy("\(name)-a"), port: port, receipts: receipts, replicas: nil),
      output: stage.directory + "/\(name)-a.out")
    defer { primary.kill() }
    var replica = try await follow(name, other, port)
    try await clock.phase("load") {
      try await DrillStage.wait("load") { try DrillReceipts(path: receipts).rows >= 1_000 }
      try await DrillStage.wait("following") { await replica.status().isConnected }
    }
    clock.fail()
    // Nothing reaches the replica any more, while the primary goes on.
    try await replica.stop()
    let rows = try DrillReceipts(path: receipts).rows
    try await clock.phase("cut, writes go on") {
      try await DrillStage.wait("writes") {
        try !primary.isRunning || DrillReceipts(path: receipts).rows >= rows + 1_000
      }
    }
    replica = try await follow(name, other, port)
    let target = try DrillReceipts(path: receipts).lines.last?.lsn ?? 0
    try await clock.phase("catch up") {
      try await replica.waitUntilSearchable(target)
    }
    report.acknowledgedRecords =
      try DrillReceipts(path: receipts).lines
      .last { $0.lsn <= target }?.rows ?? 0
    report.lostRecords = try stage.missing(report.acknowledgedRecords, in: try replica.database)
    report.recallAfter = try replica.database.measureRecall(queries: 100).drillRecall
    report.problems += await replica.status().alarms
    report.take(clock)
    try await replica.stop()
  }

  private func follow(_ name: String, _ own: Int, _ peer: Int) async throws -> ReplicationNode {
    try await ReplicationNode.follow(
      stage.directory + "/\(name)-b", options: stage.options("b", port: own, peers: [peer]),
      configuration: DrillStage.configuration)
  }

  // MARK: From a repository

  private func restore(_ report: inout DrillReport, target: RestoreTarget) async throws {
    var clock = DrillClock()
    let name = report.scenario.rawValue
    let repository = stage.directory + "/\(name)-repository"
    let path = try stage.copy("\(name)-a")
    let digest = try await clock.phase("work and backup") { () -> String in
      let database = try await Database.open(at: path, configuration: DrillStage.configuration)
      _ = try await database.backup(to: repository)
      let collection = try database.collection(stage.collection)
      try await collection.upsert(stage.records("kept-", count: 500))
      _ = try await database.mark("before-the-mistake")
      let digest = try database.stats(graphDigests: false).dataDigest
      if case .mark = target {
        let result = try await collection.delete((0..<500).map { "kept-\($0)" })
        guard result.deleted == 500 else {
          throw VecDBError(.verificationFailed, "the mistake could not be made")
        }
      }
      _ = try await database.backup(to: repository)
      try await database.close()
      return digest
    }
    report.acknowledgedRecords = 500
    clock.fail()
    try FileManager.default.removeItem(atPath: path)
    let restored = try await clock.phase("restore and prove") {
      try await Database.restore(
        from: repository, to: path, target: target, configuration: DrillStage.configuration)
    }
    let database = try await clock.phase("open") {
      try await Database.open(at: path, configuration: DrillStage.configuration)
    }
    let collection = try database.collection(stage.collection)
    try await clock.phase("first answer") { try answer(collection) }
    report.recoverySeconds = clock.sinceFailure
    report.recallAfter = try await clock.phase("measure recall") {
      try database.measureRecall(queries: 100).drillRecall
    }
    report.lostRecords = try (0..<500).count { try collection.get("kept-\($0)") == nil }
    if restored.dataDigest != digest { report.problems.append("the data digest is another one") }
    try await database.close()
    report.take(clock)
  }

  private func damagedBlock(_ report: inout DrillReport) async throws {
    var clock = DrillClock()
    let name = report.scenario.rawValue
    let repository = stage.directory + "/\(name)-repository"
    let path = try stage.copy("\(name)-a")
    try await clock.phase("backup") {
      let database = try await Database.open(at: path, configuration: DrillStage.configuration)
      _ = try await database.backup(to: repository)
      try await database.close()
    }
    clock.fail()
    try damage(path)
    let problems = try await clock.phase("detect") { () -> [String] in
      let database = try await Database.open(at: path, configuration: DrillStage.configuration)
      let found = try await database.check().problems
      do { try await database.close() } catch { return found + ["\(error)"] }
      return found
    }
    if problems.isEmpty { report.problems.append("the damage was not found") }
    let repair = try await clock.phase("repair") {
      try await Database.repair(at: path, from: repository)
    }
    report.problems += repair.missing
    let database = try await clock.phase("open") {
      try await Database.open(at: path, configuration: DrillStage.configuration)
    }
    let collection = try database.collection(stage.collection)
    try await clock.phase("first answer") { try answer(collection) }
    report.recoverySeconds = clock.sinceFailure
    report.recallAfter = try await clock.phase("measure recall") {
      try database.measureRecall(queries: 100).drillRecall
    }
    report.problems += try await database.check().problems
    try await database.close()
    report.take(clock)
  }

  /// Turns a bit in the middle of the largest pack.
  private func damage(_ path: String) throws {
    let packs = path + "/packs"
    let files = try FileManager.default.contentsOfDirectory(atPath: packs).map { packs + "/" + $0 }
    let sizes = try files.map {
      (path: $0, size: try FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int ?? 0)
    }
    guard let largest = sizes.max(by: { $0.size < $1.size }), largest.size > 0 else {
      throw VecDBError(.notFound, "there is no pack to damage", at: packs)
    }
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: largest.path))
    try handle.seek(toOffset: UInt64(largest.size / 2))
    let byte = try handle.read(upToCount: 1)?.first ?? 0
    try handle.seek(toOffset: UInt64(largest.size / 2))
    try handle.write(contentsOf: Data([byte ^ 0x10]))
    try handle.close()
  }
}

extension DrillStage {
  func records(_ prefix: String, count: Int) -> [VectorRecord] {
    var generator = DrillGenerator(seed: UInt64(prefix.utf8.count) + 7)
    return (0..<count).map { number in
      VectorRecord(key: "\(prefix)\(number)", vector: vector(number, &generator))
    }
  }
}

extension ReplicationNode {
  /// Waits for an LSN also while the copy is being fetched.
  fileprivate func waitUntilSearchable(_ lsn: UInt64) async throws {
    try await DrillStage.wait("LSN \(lsn)") {
      guard let database = try? database else { return false }
      return database.lsn >= lsn
    }
  }
}
