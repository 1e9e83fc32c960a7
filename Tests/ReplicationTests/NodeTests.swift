import Foundation
import Testing
import VecDB
import VecDBReplication

/// What happens to nodes on an ordinary bad week.
@Suite(.serialized) struct NodeTests {
  private typealias Fixture = NodeFixture

  /// A primary that waits for one of `b` and `c`, with `b`; `c` is not there.
  private func pair(
    _ directory: String, _ body: (ReplicationNode, ReplicationNode, FaultyLink) async throws -> Void
  ) async throws {
    try await Fixture.create(directory + "/a")
    let primary = try await Fixture.serve(
      directory + "/a", Fixture.options("a", replicas: ["b", "c"]))
    let link = FaultyLink(seed: 7)
    try await link.open()
    link.lead(to: primary.listeningPort)
    let replica = try await Fixture.follow(
      directory + "/b", Fixture.options("b", peers: [link.port]))
    try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 100) }
    try await body(primary, replica, link)
    try await replica.stop()
    try await primary.stop()
    try await link.close()
  }

  @Test func aRefusedPromotionLeavesThePrimaryAlone() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, link in
        link.change { $0 = .init(isCut: true) }
        await #expect(throws: VecDBError.self) {
          try await replica.promote(timeout: .milliseconds(500))
        }
        let refused = await replica.status()
        #expect(refused.highestEpoch == 1)
        link.change { $0 = .init() }
        try await Fixture.eventually("following again") { await replica.status().isConnected }
        #expect(primary.role == .primary)
        try await Fixture.eventually("a write", seconds: 10) {
          await Fixture.canWrite(primary, 101)
        }
      }
    }
  }

  @Test func aNodeThatCannotWriteItsRecordPromisesNothing() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, _ in
        // A directory in the place of the file: nothing can be renamed onto it.
        let record = directory + "/a/node"
        try FileManager.default.removeItem(atPath: record)
        try FileManager.default.createDirectory(
          atPath: record + "/x", withIntermediateDirectories: true)
        await #expect(throws: VecDBError.self) { try await replica.promote() }
        #expect(replica.role == .follower)
        try FileManager.default.removeItem(atPath: record)
        try await Fixture.eventually("a write", seconds: 10) {
          await Fixture.canWrite(primary, 101)
        }
        #expect(primary.role == .primary)
        #expect(await replica.status().highestEpoch == 1)
      }
    }
  }

  @Test func aCandidateThatCannotWriteItsRecordIsNotPromoted() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, _ in
        let record = directory + "/b/node"
        try FileManager.default.removeItem(atPath: record)
        try FileManager.default.createDirectory(
          atPath: record + "/x", withIntermediateDirectories: true)
        await #expect(throws: VecDBError.self) { try await replica.promote(force: true) }
        #expect(replica.role == .follower)
        try FileManager.default.removeItem(atPath: record)
        try await Fixture.eventually("a write", seconds: 10) {
          await Fixture.canWrite(primary, 101)
        }
      }
    }
  }

  @Test func nodesOfAnotherDatabaseChangeNothing() async throws {
    try await Fixture.inDirectory { directory in
      // Another database, in which much has happened.
      try await Fixture.create(directory + "/x")
      let foreign = try await Fixture.serve(directory + "/x", Fixture.options("x"))
      let copy = try await Fixture.follow(
        directory + "/y", Fixture.options("y", peers: [foreign.listeningPort]))
      try await Fixture.eventually("a copy") { await copy.status().isConnected }
      _ = try await copy.promote(planned: true)
      #expect(await copy.status().epoch == 2)
      try await foreign.stop()
      let idlePort = copy.listeningPort
      try await copy.stop()
      try await pair(directory) { primary, replica, _ in
        let port = try #require(primary.listeningPort)
        // It asks this primary, and this replica asks it.
        let lost = try await Fixture.follow(
          directory + "/y", Fixture.options("y", peers: [port], port: idlePort ?? 0))
        try await Fixture.eventually("an alarm") { await !lost.status().alarms.isEmpty }
        try await replica.stop()
        let astray = try await Fixture.follow(
          directory + "/b", Fixture.options("b", peers: [lost.listeningPort, port]))
        try await Fixture.eventually("following") { await astray.status().isConnected }
        try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 101) }
        #expect(await primary.status().highestEpoch == 1)
        #expect(await astray.status().highestEpoch == 1)
        #expect(primary.role == .primary)
        try await astray.stop()
        try await lost.stop()
      }
    }
  }

  @Test func aFollowerOfAFollowerMovesToThePrimary() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, _ in
        let port = replica.listeningPort
        let chained = try await Fixture.follow(
          directory + "/c", Fixture.options("c", peers: [port, primary.listeningPort]))
        try await Fixture.eventually("a direct connection", seconds: 20) {
          let status = await chained.status()
          return status.isConnected && status.followsPrimary == true
        }
        #expect(await primary.status().followers.map(\.name) == ["b", "c"])
        try await chained.stop()
      }
    }
  }

  @Test func aPrimaryStartsWithOneReplicaDead() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      var primary = try await Fixture.serve(
        directory + "/a", Fixture.options("a", replicas: ["b", "c"]))
      let port = try #require(primary.listeningPort)
      let replica = try await Fixture.follow(directory + "/b", Fixture.options("b", peers: [port]))
      try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 100) }
      try await primary.stop()
      primary = try await Fixture.serve(
        directory + "/a", Fixture.options("a", replicas: ["b", "c"], port: port))
      #expect(await !primary.isWritable)
      try await Fixture.eventually("a write", seconds: 10) { await Fixture.canWrite(primary, 101) }
      #expect(await primary.status().alarms.contains { $0.contains("without having heard c") })
      // The dead one comes back, and the alarm goes.
      let late = try await Fixture.follow(directory + "/c", Fixture.options("c", peers: [port]))
      try await Fixture.eventually("no alarm") { await primary.status().alarms.isEmpty }
      for node in [late, replica, primary] { try await node.stop() }
    }
  }

  @Test func aSecondNodeOfOneNameIsNotLetIn() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, _ in
        let impostor = try await Fixture.follow(
          directory + "/b2", Fixture.options("b", peers: [primary.listeningPort]))
        try await Fixture.eventually("an alarm") {
          await primary.status().alarms.contains { $0.contains("two nodes are called 'b'") }
        }
        #expect(await !impostor.status().isConnected)
        #expect(await replica.status().isConnected)
        try await impostor.stop()
        // Nor one that is called like the primary itself.
        let double = try await Fixture.follow(
          directory + "/a2", Fixture.options("a", peers: [primary.listeningPort]))
        try await Task.sleep(nanoseconds: 300_000_000)
        #expect(await !double.status().isConnected)
        try await double.stop()
      }
    }
  }

  @Test func aWrongAddressMakesNoFollower() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      try await Fixture.create(directory + "/x")
      let foreign = try await Fixture.serve(directory + "/x", Fixture.options("x"))
      for peer in [try await Fixture.freePort(), foreign.listeningPort ?? 0] {
        let astray = try await Fixture.follow(
          directory + "/a", Fixture.options("a", peers: [peer]))
        try await Fixture.eventually("a failure") { await astray.status().lastError != nil }
        #expect(await !Fixture.canWrite(astray, 1))
        try await astray.stop()
        let primary = try await Fixture.serve(directory + "/a", Fixture.options("a"))
        #expect(primary.role == .primary)
        #expect(await Fixture.canWrite(primary, 1))
        try await primary.stop()
      }
      try await foreign.stop()
    }
  }

  @Test func aPortInUseIsSaidAndTheDatabaseIsFree() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      try await Fixture.create(directory + "/x")
      let other = try await Fixture.serve(directory + "/x", Fixture.options("x"))
      let port = try #require(other.listeningPort)
      await #expect(throws: VecDBError.self) {
        try await Fixture.serve(directory + "/a", Fixture.options("a", port: port))
      }
      var options = Fixture.options("a")
      options.listen = NodeAddress(host: "0.0.0.0", port: 0)
      let wide = options
      await #expect(throws: VecDBError.self) { try await Fixture.serve(directory + "/a", wide) }
      let database = try await Database.open(
        at: directory + "/a", configuration: Fixture.configuration)
      try await database.close()
      try await other.stop()
    }
  }

  @Test func changesOfTheRoleAreTold() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { _, replica, _ in
        var roles = replica.roles.makeAsyncIterator()
        #expect(await roles.next() == .follower)
        _ = try await replica.promote(planned: true)
        #expect(await roles.next() == .primary)
      }
    }
  }

  /// Who does not answer is not waited for when the others are enough.
  @Test func aPromotionWaitsForNobodyWhoChangesNothing() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let primary = try await Fixture.serve(directory + "/a", Fixture.options("a"))
      let silent = FaultyLink(seed: 2)
      try await silent.open()
      silent.lead(to: primary.listeningPort)
      silent.change { ($0.swallowsThere, $0.swallowsBack) = (true, true) }
      let replica = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [primary.listeningPort, silent.port]))
      try await Fixture.eventually("following") { await replica.status().isConnected }
      let began = ContinuousClock.now
      let report = try await replica.promote(timeout: .seconds(20))
      #expect(report.loss == "none")
      #expect(ContinuousClock.now - began < .seconds(5))
      try await replica.stop()
      try await primary.stop()
      try await silent.close()
    }
  }

  /// After a failover everything is started again by the command lines of before it, which make the
  /// new primary a follower of the old one.
  @Test func aPrimaryThatIsStartedAsAFollowerGoesOn() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let (first, second) = (try await Fixture.freePort(), try await Fixture.freePort())
      func start(_ name: String, _ port: Int, _ peer: Int) async throws -> ReplicationNode {
        try await Fixture.follow(
          directory + "/" + name, Fixture.options(name, peers: [peer], port: port))
      }
      // Also at the very beginning, when the other side has no database yet.
      var a = try await start("a", first, second)
      var b = try await start("b", second, first)
      try await Fixture.eventually("a copy", seconds: 20) { await b.status().isConnected }
      #expect(a.role == .primary)
      _ = try await b.promote(planned: true)
      try await Fixture.eventually("the other way") { await a.status().isConnected }
      for node in [a, b] { try await node.stop() }
      a = try await start("a", first, second)
      b = try await start("b", second, first)
      try await Fixture.eventually("a write", seconds: 10) { await Fixture.canWrite(b, 300) }
      try await Fixture.eventually("following") {
        let (status, lsn) = (await a.status(), await b.status().lsn)
        return status.isConnected && status.lsn == lsn
      }
      #expect(b.role == .primary)
      #expect(a.role == .follower)
      // A primary that is alone, and hears nobody say that nobody is, stays a follower.
      for node in [a, b] { try await node.stop() }
      b = try await start("b", second, first)
      try await Task.sleep(nanoseconds: 1_500_000_000)
      #expect(b.role == .follower)
      try await b.stop()
    }
  }

  /// It would be a follower on the disk from then on, and nobody the primary if the promotion failed.
  @Test func aPrimaryThatIsStartedAsAFollowerPromisesNothing() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let port = try await Fixture.freePort()
      let a = try await Fixture.serve(directory + "/a", Fixture.options("a", port: port))
      let b = try await Fixture.follow(directory + "/b", Fixture.options("b", peers: [port]))
      try await Fixture.eventually("following") { await b.status().isConnected }
      try await a.stop()
      let astray = try await Fixture.follow(
        directory + "/a", Fixture.options("a", peers: [try await Fixture.freePort()], port: port))
      let report = try await b.promote(force: true, timeout: .seconds(1))
      #expect(report.heard == [])
      #expect(report.loss == "unbounded")
      try await astray.stop()
      try await b.stop()
    }
  }

  /// A copy of a node's disk that is started elsewhere is the same node once more.
  @Test func aNodeThatRunsTwiceIsLetInOnce() async throws {
    try await Fixture.inDirectory { directory in
      try await pair(directory) { primary, replica, _ in
        try await replica.stop()
        try FileManager.default.copyItem(atPath: directory + "/b", toPath: directory + "/twin")
        let port = primary.listeningPort
        let first = try await Fixture.follow(directory + "/b", Fixture.options("b", peers: [port]))
        try await Fixture.eventually("following") { await first.status().isConnected }
        let second = try await Fixture.follow(
          directory + "/twin", Fixture.options("b", peers: [port]))
        try await Fixture.eventually("an alarm", seconds: 30) {
          await primary.status().alarms.contains { $0.contains("'b' runs twice") }
        }
        #expect(await first.status().isConnected)
        #expect(await !second.status().isConnected)
        #expect(await primary.status().followers.count == 1)
        try await second.stop()
        try await first.stop()
      }
    }
  }

  /// What cannot be opened is said, and what was made for it goes again.
  @Test(arguments: [true, false], [true, false])
  func aDirectoryThatIsNoDatabaseIsRefused(isFile: Bool, serves: Bool) async throws {
    try await Fixture.inDirectory { directory in
      for number in 0..<8 {
        let path = directory + "/\(number)"
        try FileManager.default.createDirectory(
          atPath: isFile ? path : path + "/log", withIntermediateDirectories: true)
        if isFile { try Data("not a log".utf8).write(to: URL(fileURLWithPath: path + "/log")) }
        await #expect(throws: VecDBError.self) {
          let options = Fixture.options("a", peers: [1])
          let node =
            try await serves ? Fixture.serve(path, options) : Fixture.follow(path, options)
          try await node.stop()
        }
      }
    }
  }
}
