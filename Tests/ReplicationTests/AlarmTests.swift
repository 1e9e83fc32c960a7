import Testing
import VecDB
import VecDBReplication

/// An alarm is there whenever its cause is, also when that comes a second time.
@Suite(.serialized) struct AlarmTests {
  private typealias Fixture = NodeFixture

  private static func isUnconfirmed(_ node: ReplicationNode) async -> Bool {
    await node.status().alarms.contains { $0.contains("do not confirm") }
  }

  /// The part of a primary ends while its writes are not confirmed, and begins anew.
  @Test func writesThatNobodyConfirmsAreSaidInEveryEpoch() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let links = [FaultyLink(seed: 3), FaultyLink(seed: 4)]
      for link in links { try await link.open() }
      let a = try await Fixture.serve(
        directory + "/a", Fixture.options("a", peers: [links[1].port], replicas: ["b"]))
      links[0].lead(to: a.listeningPort)
      let b = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [links[0].port], replicas: ["a"]))
      links[1].lead(to: b.listeningPort)
      try await Fixture.eventually("a write") { await Fixture.canWrite(a, 100) }
      #expect(await !Self.isUnconfirmed(a))

      for link in links { link.change { $0 = .init(isCut: true) } }
      #expect(await !Fixture.canWrite(a, 101))
      #expect(await Self.isUnconfirmed(a))
      _ = try await b.promote(force: true, timeout: .milliseconds(500))
      for link in links { link.change { $0 = .init() } }
      try await Fixture.eventually("following") {
        let status = await a.status()
        return status.role == .follower && status.isConnected
      }
      #expect(await !Self.isUnconfirmed(a))

      _ = try await a.promote(planned: true)
      try await Fixture.eventually("a write") { await Fixture.canWrite(a, 102) }
      for link in links { link.change { $0 = .init(isCut: true) } }
      #expect(await !Fixture.canWrite(a, 103))
      #expect(await Self.isUnconfirmed(a))
      for node in [a, b] { try await node.stop() }
      for link in links { try await link.close() }
    }
  }

  /// As above, but nothing is confirmed between the two alarms.
  @Test func writesThatNobodyEverConfirmsAreSaidAgain() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let links = [FaultyLink(seed: 5), FaultyLink(seed: 6)]
      for link in links { try await link.open() }
      let a = try await Fixture.serve(
        directory + "/a", Fixture.options("a", peers: [links[1].port], replicas: ["b"]))
      links[0].lead(to: a.listeningPort)
      let b = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [links[0].port], replicas: ["a"]))
      links[1].lead(to: b.listeningPort)
      try await Fixture.eventually("a write") { await Fixture.canWrite(a, 100) }

      for link in links { link.change { $0 = .init(isCut: true) } }
      #expect(await !Fixture.canWrite(a, 101))
      #expect(await Self.isUnconfirmed(a))
      _ = try await b.promote(force: true, timeout: .milliseconds(500))
      for link in links { link.change { $0 = .init() } }
      try await Fixture.eventually("following") {
        let status = await a.status()
        return status.role == .follower && status.isConnected
      }
      #expect(await !Self.isUnconfirmed(a))

      for link in links { link.change { $0 = .init(isCut: true) } }
      _ = try await a.promote(force: true, timeout: .milliseconds(500))
      #expect(await !Fixture.canWrite(a, 102))
      #expect(await Self.isUnconfirmed(a))
      for node in [a, b] { try await node.stop() }
      for link in links { try await link.close() }
    }
  }
}
