import Foundation
import Testing
import VecDB
import VecDBBytes
import VecDBReplication

/// Copies that are fetched: what was fetched before a connection was cut is not fetched again, and
/// searches go on in the older copy until the new one is there.
@Suite(.serialized) struct CopyTests {
  private typealias Fixture = NodeFixture

  /// Searches all the time, and counts what failed.
  private final class Searching: Sendable {
    private let counts = Guarded((done: 0, failed: [String]()))
    private let task: Guarded<Task<Void, Never>?>

    init(_ node: ReplicationNode) {
      task = Guarded(nil)
      let searching = Task { [counts] in
        while !Task.isCancelled {
          do {
            try node.reading { database in
              let found = try database.collection("c").search(
                Fixture.record(3).vector, k: 3, options: .init(includeMetadata: true))
              guard found.hits.first?.key == "k3" else {
                throw VecDBError(.verificationFailed, "found \(found.hits)")
              }
            }
            counts.withLock { $0.done += 1 }
          } catch { counts.withLock { $0.failed.append("\(error)") } }
          await Task.yield()
        }
      }
      task.withLock { $0 = searching }
    }

    var done: Int { counts.withLock { $0.done } }

    func end() async -> [String] {
      let task = task.withLock { $0 }
      task?.cancel()
      await task?.value
      return counts.withLock { $0.failed }
    }
  }

  @Test func searchesGoOnAtAHandover() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let port = try await Fixture.freePort()
      let a = try await Fixture.serve(directory + "/a", Fixture.options("a", peers: [port]))
      let b = try await Fixture.follow(
        directory + "/b", Fixture.options("b", peers: [a.listeningPort], port: port))
      try await Fixture.eventually("following") { await b.status().isConnected }
      let (here, there) = (Searching(a), Searching(b))
      _ = try await b.promote(planned: true)
      try await Fixture.write(200, to: b)
      try await Fixture.eventually("following the other way") {
        let (left, right) = (await a.status(), await b.status())
        return left.isConnected && left.lsn == right.lsn
      }
      let (done, elsewhere) = (here.done, there.done)
      try await Fixture.eventually("searches") {
        here.done > done + 10 && there.done > elsewhere + 10
      }
      #expect(await here.end() == [])
      #expect(await there.end() == [])
      try await a.stop()
      try await b.stop()
    }
  }

  /// A primary that was replaced while it was cut off has writes of its own: its copy is replaced.
  @Test func searchesGoOnWhileACopyIsReplaced() async throws {
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a", records: 2_000)
      let link = FaultyLink(seed: 3)
      try await link.open()
      var options = Fixture.options("a", peers: [link.port])
      let a = try await Fixture.serve(directory + "/a", options)
      options = Fixture.options("b", peers: [a.listeningPort])
      let b = try await Fixture.follow(directory + "/b", options)
      try await Fixture.eventually("following") { await b.status().isConnected }
      try await b.stop()
      try await Fixture.write(3_000, to: a)
      // Nobody hears a, and b goes on without what it wrote.
      let alone = try await Fixture.follow(directory + "/b", Fixture.options("b", peers: [1]))
      _ = try await alone.promote(force: true, timeout: .milliseconds(300))
      try await Fixture.write(3_001, to: alone)
      let searching = Searching(a)
      link.lead(to: alone.listeningPort)
      try await Fixture.eventually("another copy") {
        let status = await a.status()
        return status.role == .follower && status.isConnected && !status.savedTails.isEmpty
      }
      try await Fixture.eventually("equality") { await Fixture.isEqual(a, alone) }
      let done = searching.done
      try await Fixture.eventually("searches") { searching.done > done + 10 }
      #expect(await searching.end() == [])
      #expect(try a.database.collection("c").get("k3000") == nil)
      #expect(try a.database.collection("c").get("k3001") != nil)
      try await a.stop()
      try await alone.stop()
      try await link.close()
    }
  }

  /// Vectors that no code makes smaller.
  private static func createLarge(_ path: String) async throws {
    let database = try await Database.open(at: path, configuration: Fixture.configuration)
    let collection = try await database.createCollection("c", dimensions: 1_024, metric: .l2)
    var generator = FaultyLink.SplitMix(state: 5)
    for start in stride(from: 0, to: 6_000, by: 1_000) {
      try await collection.upsert(
        (start..<start + 1_000).map { number in
          VectorRecord(
            key: "k\(number)",
            vector: (0..<1_024).map { _ in Float.random(in: -1...1, using: &generator) })
        })
    }
    try await database.close()
  }

  /// - Parameter restarts: the process that fetches ends as well.
  @Test(arguments: [false, true])
  func whatWasFetchedIsNotFetchedAgain(restarts: Bool) async throws {
    try await Fixture.inDirectory { directory in
      try await Self.createLarge(directory + "/a")
      let primary = try await Fixture.serve(directory + "/a", Fixture.options("a"))
      let link = FaultyLink(seed: 11)
      try await link.open()
      link.lead(to: primary.listeningPort)
      // A few blocks are on their way at a time: it takes a second or two.
      link.change { $0.delayMilliseconds = 150 }
      let options = Fixture.options("b", peers: [link.port])
      var replica = try await Fixture.follow(directory + "/b", options)
      var size = 0
      try await Fixture.eventually("half of it") {
        let status = await replica.status()
        size = status.fetchTotalBytes ?? 0
        return size > 0 && (status.fetchedBytes ?? 0) > size / 2
      }
      #expect(size > 20 << 20)
      link.change { $0.isCut = true }
      try await Fixture.eventually("an end") { await replica.status().isFetching == false }
      if restarts {
        try await replica.stop()
        replica = try await Fixture.follow(directory + "/b", options)
      }
      let before = link.bytesBack
      link.change { $0 = .init() }
      try await Fixture.eventually("a copy") { await Fixture.isEqual(primary, replica) }
      // Little more than the other half: what was on its way, and the messages around it.
      #expect(link.bytesBack - before < size * 6 / 10)
      try await Fixture.eventually("nothing left over", seconds: 10) {
        try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == ["a", "b"]
      }
      try await replica.stop()
      try await primary.stop()
      try await link.close()
    }
  }
}
