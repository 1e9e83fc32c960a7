import Testing
import VecDB
import VecDBReplication

/// A write whose outcome was unknown may be repeated, and finds its own effect.
@Suite(.serialized) struct RepeatedWriteTests {
  private typealias Fixture = NodeFixture

  /// A write that is repeated finds nothing left to do. It is acknowledged only once the replicas
  /// have what the first attempt wrote.
  @Test func aRepeatedWriteWaitsForWhatTheFirstOneWrote() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let links = [FaultyLink(seed: 7)]
      for link in links { try await link.open() }
      let a = try await Fixture.serve(
        directory + "/a", Fixture.options("a", peers: [], replicas: ["b"]))
      links[0].lead(to: a.listeningPort)
      let b = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [links[0].port], replicas: []))
      try await Fixture.eventually("a write") { await Fixture.canWrite(a, 100) }
      let collection = try a.database.collection("c")
      let vector = [Float](repeating: 1, count: collection.dimensions)
      let replacement = VectorRecord(key: "new", vector: vector, metadata: ["kind": "new"])
      try await collection.upsert([
        VectorRecord(key: "old", vector: vector, metadata: ["kind": "old"]),
        VectorRecord(key: "doomed", vector: vector, metadata: ["kind": "doomed"]),
        VectorRecord(key: "draft", vector: vector, metadata: ["kind": "draft"]),
      ])

      for link in links { link.change { $0 = .init(isCut: true) } }
      func fails(_ body: () async throws -> Void) async -> Bool {
        do { try await body() } catch { return true }
        return false
      }
      for attempt in 1...2 {
        #expect(
          await fails { try await collection.delete(where: Field("kind") == "doomed") },
          "delete, attempt \(attempt)")
        #expect(
          await fails {
            try await collection.update(
              where: Field("kind") == "draft", MetadataChange(set: ["kind": "read"]))
          }, "update, attempt \(attempt)")
        #expect(
          await fails {
            try await collection.replace(where: Field("kind") == "old", with: [replacement])
          }, "replace, attempt \(attempt)")
      }
      #expect(try collection.count(where: Field("kind").in(["doomed", "draft", "old"])) == 0)

      for link in links { link.change { $0 = .init() } }
      try await Fixture.eventually("a write") { await Fixture.canWrite(a, 101) }
      try await collection.delete(where: Field("kind") == "doomed")
      try await collection.replace(where: Field("kind") == "old", with: [replacement])
      try await Fixture.eventually("equal nodes") { await Fixture.isEqual(a, b) }
      for node in [a, b] { try await node.stop() }
      for link in links { try await link.close() }
    }
  }
}
