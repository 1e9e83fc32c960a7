import Foundation
import Synchronization
import Testing
import VecDB
import VecDBBytes
import VecDBLogStore

/// What a copy does with the log of the database that it follows.
@Suite struct ReceivedLogTests {
  /// Notes what is published, and when.
  private final class Recorder: ReplicationHooks {
    var refusal: VecDBError? { nil }
    let published = Mutex<Set<UInt64>>([])

    func committed(_ frames: [LogFrame]) {}
    func published(_ position: LogPosition, dataDigest: Digest) {
      published.withLock { _ = $0.insert(position.lsn) }
    }
    func whenAcknowledged(_ lsn: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void) {
      body(nil)
    }
    func neededLSN(_ log: WriteAheadLog) -> UInt64? { nil }
  }

  /// A batch that frees the dead begins a group, however many frames arrive at once: a search that
  /// began in between would still see the dead, and find nothing there.
  @Test func deathsArePublishedBeforeTheDeadAreFreed() async throws {
    let directory = try TemporaryDirectory()
    let (original, copy) = (directory.file("original"), directory.file("copy"))
    var configuration = DatabaseConfiguration()
    configuration.maintenanceMinimum = 40
    configuration.maintenanceShare = 0
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    var database = try await Database.open(at: original, configuration: configuration)
    try await database.createCollection("items", dimensions: 8, metric: .l2)
    let beginning = database.lsn
    try await database.close()
    try copyTree(atPath: original, toPath: copy)

    database = try await Database.open(at: original, configuration: configuration)
    let items = try database.collection("items")
    var generator = SeededGenerator(seed: 17)
    for _ in 0..<60 {
      try await items.upsert(
        (0..<60).map { VectorRecord(key: "k\($0)", vector: generator.vector(8)) })
    }
    let frames = try database.logFrames(after: beginning, bytesMaximum: .max)
    let freeing = frames.filter {
      // Maintenance, and of its steps the one that frees.
      $0.payload[1] == 5 && $0.payload[6] == 2
    }.map(\.lsn)
    #expect(freeing.count > 3)

    let follower = try await Database.open(at: copy, configuration: configuration)
    let recorder = Recorder()
    try await follower.attach(recorder)
    let identity = database.logIdentity
    let end = try await withCheckedThrowingContinuation { continuation in
      follower.append(received: frames, of: identity) { continuation.resume(with: $0) }
    }
    #expect(end.position.lsn == frames.last?.lsn)
    #expect(end.dataDigest == database.figures.dataDigest)
    let published = recorder.published.withLock { $0 }
    for lsn in freeing { #expect(published.contains(lsn - 1)) }
    // What need not be apart is not.
    #expect(published.count < frames.count / 2)
    #expect(try await follower.check().problems == [])
    try await follower.close()
    try await database.close()
  }
}
