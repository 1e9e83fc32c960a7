import Foundation
import Testing
import VecDB
import VecDBBytes
import VecDBReplication
import VecDBReplicationProtocol

/// A policy in the log that waits for replicas binds every way of opening the database.
@Suite(.serialized) struct PolicyTests {
  private typealias Fixture = NodeFixture

  @Test func aDatabaseThatWaitsForReplicasIsNotWrittenToWithoutThem() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let primary = try await Fixture.serve(
        directory + "/a", Fixture.options("a", replicas: ["b"]))
      let replica = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [primary.listeningPort]))
      try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 100) }
      try await primary.stop()
      // The application opens it by itself, as it did before there were replicas.
      let alone = try await Database.open(
        at: directory + "/a", configuration: Fixture.configuration)
      let collection = try alone.collection("c")
      let lsn = alone.lsn
      await #expect(throws: VecDBError.self) { try await collection.upsert(Fixture.record(101)) }
      await #expect(throws: VecDBError.self) { try await collection.delete(["k1"]) }
      await #expect(throws: VecDBError.self) { try await alone.mark("here") }
      await #expect(throws: VecDBError.self) { try await alone.dropCollection("c") }
      await #expect(throws: VecDBError.self) {
        try await alone.createCollection("d", dimensions: 2, metric: .l2)
      }
      #expect(alone.lsn == lsn)
      #expect(try alone.stats().acknowledgement?.replicas == ["b"])
      #expect(try collection.get("k100") != nil)
      try await alone.close()
      // So the certificate tells the truth.
      let report = try await replica.promote()
      #expect(report.loss == "none")
      #expect(try replica.database.collection("c").get("k100") != nil)
      try await replica.stop()
    }
  }

  @Test func theWayBackIsLoggedAndConfirmed() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      var primary = try await Fixture.serve(
        directory + "/a", Fixture.options("a", replicas: ["b"]))
      let port = try #require(primary.listeningPort)
      let replica = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [port]))
      try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 100) }
      try await primary.stop()
      var options = Fixture.options("a", port: port)
      options.acknowledgement = .asynchronous
      primary = try await Fixture.serve(directory + "/a", options)
      try await Fixture.eventually("the change") {
        let policy = await primary.status().acknowledgement
        return policy?.needed == 0 && policy?.isChanging == false
      }
      try await Fixture.eventually("the change on the replica") {
        await replica.status().acknowledgement?.needed == 0
      }
      try await primary.stop()
      // Now it may be written to alone, and the replica knows that it cannot know.
      let alone = try await Database.open(
        at: directory + "/a", configuration: Fixture.configuration)
      try await alone.collection("c").upsert(Fixture.record(101))
      try await alone.close()
      await #expect(throws: VecDBError.self) { try await replica.promote() }
      #expect(replica.role == .follower)
      try await replica.stop()
    }
  }

  @Test func aChangeThatNobodyConfirmsDoesNotCount() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let primary = try await Fixture.serve(
        directory + "/a", Fixture.options("a", replicas: ["b"]))
      let port = primary.listeningPort
      let replica = try await Fixture.follow(directory + "/b", Fixture.options("b", peers: [port]))
      try await Fixture.eventually("a write") { await Fixture.canWrite(primary, 100) }
      try await primary.stop()
      try await replica.stop()
      var options = Fixture.options("a")
      options.acknowledgement = .asynchronous
      let again = try await Fixture.serve(directory + "/a", options)
      try await Task.sleep(nanoseconds: 1_500_000_000)
      #expect(await !again.isWritable)
      #expect(await !Fixture.canWrite(again, 101))
      try await again.stop()
      let alone = try await Database.open(
        at: directory + "/a", configuration: Fixture.configuration)
      await #expect(throws: VecDBError.self) {
        try await alone.collection("c").upsert(Fixture.record(102))
      }
      try await alone.close()
    }
  }

  @Test func theRecordsOfNodesComeBackAndEarlierOnesAreRead() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      // As version 0.1 wrote it.
      var writer = ByteWriter()
      writer.write(raw: Array("VDBN".utf8) + [1, 0, 0, 0, 1])
      writer.write(UInt64(3))
      writer.write(UInt64(7))
      writer.write(UInt64(9))
      writer.write(CRC32C.checksum(writer.bytes))
      let path = directory + "/a/node"
      try Data(writer.bytes).write(to: URL(fileURLWithPath: path))
      let database = try await Database.open(
        at: directory + "/a", configuration: Fixture.configuration)
      var record = try database.nodeRecord()
      #expect(record.isFollower)
      #expect(record.known.counter == 3)
      #expect(record.promised.isEmpty)
      await #expect(throws: VecDBError.self) { try await database.mark("here") }
      record.promised = [.init(counter: 4, id: record.known.id)]
      record.givenUp = [.init(counter: 5, id: record.known.id)]
      record.nodeID = record.known.id
      record.resumes = true
      try await database.bind(record, evenIfNotDurable: false)
      #expect(try database.nodeRecord() == record)
      try await database.close()
    }
  }

  @Test func bothSidesReadThePolicyAlike() async throws {
    let waits = AcknowledgementPolicy(members: ["b", "c"], needed: 1)
    let unlimited = AcknowledgementPolicy(members: ["b"], needed: 1, maximumLag: nil)
    for (terms, expected) in [
      (AcknowledgementTerms(waits), true), (.asynchronous, false),
      (AcknowledgementTerms(unlimited), false),
      (AcknowledgementTerms(.asynchronous, replacing: waits), true),
      (AcknowledgementTerms(waits, replacing: unlimited), true),
    ] {
      try await Fixture.inDirectory { directory in
        let database = try await Database.open(
          at: directory + "/a", configuration: Fixture.configuration)
        try await database.appendAcknowledgementPolicy(terms.encoded())
        let isRefused: Bool
        do {
          try await database.mark("here")
          isRefused = false
        } catch { isRefused = true }
        #expect(isRefused == expected)
        let info = try database.stats().acknowledgement
        #expect(info?.needed == terms.policy.needed)
        #expect(info?.isChanging == (terms.replaced != nil))
        try await database.close()
      }
    }
  }
}
