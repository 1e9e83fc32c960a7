import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBSimulatedBucket

/// Two backups, an archiver, prunes, and an archiver of a superseded epoch that wakes up late, all on
/// one bucket: everything reachable is there, and nothing unreachable stays.
@Suite struct BucketPropertyTests {
  private static let databaseID: UInt128 = 77
  private static let grace: Int64 = 3_600_000

  /// A small history of frames, and the epochs that it is written in.
  private struct History: Sendable {
    var identities: [UInt64: LogIdentity] = [:]
    var frames: [LogFrame] = []
    /// The first epoch goes on behind the branch in a way that the second does not know.
    var zombieFrames: [LogFrame] = []
    static let branch: UInt64 = 20
    static let length: UInt64 = 40

    init() {
      let first = Epoch(
        counter: 1, id: UniqueID(high: 0, low: 101), parentID: UniqueID(high: 0, low: 0),
        beganAtLSN: 0,
        beganAtChain: .zero)
      frames = Self.frames(1...Self.branch, 1, after: .zero, "own")
      let end = frames[frames.count - 1].position
      let second = Epoch(
        counter: 2, id: UniqueID(high: 0, low: 102), parentID: first.id, beganAtLSN: end.lsn,
        beganAtChain: end.chain)
      let id = UniqueID(high: 0, low: UInt64(databaseID))
      identities[1] = LogIdentity(databaseID: id, epochs: [first])
      identities[2] = LogIdentity(databaseID: id, epochs: [first, second])
      zombieFrames = Self.frames(Self.branch + 1...Self.length, 1, after: end, "zombie")
      frames += Self.frames(Self.branch + 1...Self.length, 2, after: end, "own")
    }

    private static func frames(
      _ lsns: ClosedRange<UInt64>, _ epoch: UInt64, after start: LogPosition, _ text: String
    ) -> [LogFrame] {
      var previous = start
      return lsns.map { lsn in
        let frame = LogFrame(
          after: previous, epochCounter: epoch, timeMilliseconds: Int64(lsn),
          payload: [1, 0] + Array("\(text) \(lsn)".utf8))
        previous = frame.position
        return frame
      }
    }

    func put(_ lsns: ClosedRange<UInt64>, zombie: Bool, in repository: StoredRepository) throws {
      let source = zombie ? zombieFrames : frames
      let wanted = source.filter { lsns.contains($0.lsn) }
      guard let first = wanted.first, let last = wanted.last else { return }
      let before = (frames + zombieFrames).last { frame in
        frame.lsn == first.lsn - 1
          && (frame.epochCounter == first.epochCounter || frame.lsn <= Self.branch)
      }
      let start = before?.position ?? .zero
      guard let identity = identities[first.epochCounter] else { return }
      var piece = LogFrameStream.Piece(
        identity: identity, start: start, epochCounter: first.epochCounter)
      for frame in wanted { piece.append(try EncodedLogFrame(frame.encoded(), at: "test")) }
      let name = LogPiece(
        epochCounter: first.epochCounter, firstLSN: first.lsn, lastLSN: last.lsn)
      try repository.putLog(name, piece.encoded())
      try repository.notePublished(epochs: [first.epochCounter])
    }
  }

  private static let history = History()

  /// One world of one seed.
  private final class World: Sendable {
    let bucket: SimulatedBucket
    let interleaving: Interleaving
    let acknowledged = Guarded<Set<ManifestEntry>>([])
    let pruned = Guarded<Set<ManifestEntry>>([])
    let problems = Guarded<[String]>([])

    init(_ seed: UInt64) {
      bucket = SimulatedBucket("sim://property-\(seed)")
      interleaving = Interleaving(seed: seed)
    }

    func open(_ id: Int, mayDie: Bool = true) throws -> StoredRepository {
      let ahead = Int64(id) * 7_000_000 - 14_000_000
      let settings = interleaving.settings(id, aheadMilliseconds: ahead, mayDie: mayDie)
      return try StoredRepository.openOrCreate(
        in: BucketStore(BucketHandle(bucket, settings)), databaseID: databaseID)
    }

    /// Does something again and again; what fails of the store, or is killed, is over.
    func rounds(_ id: Int, _ count: Int, _ body: (Int) throws -> Void) {
      for round in 0..<count {
        do {
          try interleaving.sleep(id, Int64(interleaving.draw(0..<5_400_000)))
          try body(round)
        } catch is Interleaving.Killed {
          continue
        } catch let error as StoreError
          where [.inputOutput, .locked, .notFound, .alreadyExists].contains(error.kind)
        {
          continue
        } catch { problems.withLock { $0.append("process \(id): \(error)") } }
      }
    }

    // MARK: What processes do

    func backup(_ id: Int, lsn: UInt64, epoch: UInt64) throws {
      let repository = try open(id)
      guard let identity = history.identities[epoch] else { return }
      try repository.claimEpoch(
        EpochClaim(
          counter: epoch, id: UInt128(identity.currentEpoch.id.low),
          branch: epoch == 1 ? nil : .init(lsn: History.branch, epochs: identity.encoded())))
      let contents = (0..<interleaving.draw(1..<6)).map { _ in interleaving.draw(0..<12) }
      var manifest = Manifest(
        databaseID: databaseID, epochs: identity.encoded(), epochCounter: epoch, lsn: lsn,
        chain: history.frames.first { $0.lsn == lsn }?.chain ?? .zero,
        timeMilliseconds: interleaving.now, catalog: [], collections: [], recordsLSN: lsn)
      func send(_ target: RenewingRepository) throws -> [ArrayManifest] {
        try Set(contents).sorted().map { content in
          // Some differ by little, so that they are kept as differences.
          var bytes = [UInt8](repeating: UInt8(content / 4), count: 3_000)
          bytes[content] = UInt8(content)
          let base = content % 4 == 0 ? nil : World.content(content / 4 * 4)
          let hash = SHA256.hash(bytes)
          let list = try BlockList(hashes: [hash], lengthBytes: bytes.count).encode()
          _ = try bytes.withUnsafeBytes {
            try target.putBlock(hash, $0, basedOn: base.map { SHA256.hash($0) })
          }
          _ = try list.withUnsafeBytes { try target.putBlock(SHA256.hash(list), $0) }
          return ArrayManifest(
            name: "a\(content)", rowStrideBytes: 1, lengthBytes: bytes.count,
            list: SHA256.hash(list))
        }
      }
      let target = try RenewingRepository(repository)
      let arrays = try send(target)
      manifest.collections = [
        CollectionManifest(
          id: 1, name: "c", state: [], graphDigest: nil, dataDigest: .zero, count: 0, arrays: arrays
        )
      ]
      try repository.synchronize()
      // As `BackupRun` does.
      func look() throws {
        guard try target.needsAnotherLook() else { return }
        try repository.refresh()
        _ = try send(RenewingRepository(repository))
        try repository.synchronize()
      }
      try look()
      try repository.putManifest(manifest)
      try look()
      try repository.notePublished(epochs: [epoch])
      acknowledged.withLock {
        _ = $0.insert(ManifestEntry(epochCounter: epoch, lsn: lsn))
      }
    }

    static func content(_ content: Int) -> [UInt8] {
      var bytes = [UInt8](repeating: UInt8(content / 4), count: 3_000)
      bytes[content] = UInt8(content)
      return bytes
    }

    func archive(_ id: Int, from first: UInt64, zombie: Bool) throws {
      let repository = try open(id)
      for lsn in first..<first + 3 { try history.put(lsn...lsn, zombie: zombie, in: repository) }
      try history.put(first...first + 2, zombie: zombie, in: repository)
      for lsn in first..<first + 3 {
        let epoch: UInt64 = !zombie && lsn > History.branch ? 2 : 1
        do {
          try repository.deleteLog(LogPiece(epochCounter: epoch, firstLSN: lsn, lastLSN: lsn))
        } catch let error as StoreError where error.kind == .notFound { continue }
      }
    }

    @discardableResult
    func prune(_ id: Int, mayDie: Bool = true) throws -> PruneReport {
      var policy = RetentionPolicy()
      policy.keepLast = 2
      let report = try PruneRun(
        repository: try open(id, mayDie: mayDie), policy: policy, graceMilliseconds: grace,
        dryRun: false, force: false,
        nowMilliseconds: interleaving.now + Int64(id) * 7_000_000 - 14_000_000
      ).run()
      return report
    }
  }

  private static func prove(_ seed: UInt64) throws {
    let world = World(seed)
    let make: @Sendable (Int) -> Void = { id in
      world.rounds(id, 1) { _ in _ = try world.open(id, mayDie: false) }
    }
    world.interleaving.run([make])
    world.interleaving.run([
      { id in world.rounds(id, 4) { try world.backup(id, lsn: UInt64(3 + $0 * 5), epoch: 1) } },
      { id in world.rounds(id, 4) { try world.backup(id, lsn: UInt64(22 + $0 * 4), epoch: 2) } },
      { id in world.rounds(id, 6) { try world.archive(id, from: UInt64(1 + $0 * 3), zombie: false) }
      },
      { id in world.rounds(id, 4) { try world.archive(id, from: UInt64(21 + $0 * 3), zombie: true) }
      },
      { id in world.rounds(id, 5) { _ in try world.prune(id) } },
      { id in world.rounds(id, 3) { _ in try world.prune(id) } },
    ])
    let before = world.bucket.objects
    // And then in peace.
    let calm: @Sendable (Int) -> Void = { id in
      var done = 0
      for _ in 0..<40 where done < 4 {
        do {
          try world.interleaving.sleep(id, 2 * grace)
          try world.prune(id, mayDie: false)
          done += 1
        } catch let error as StoreError where [.inputOutput, .locked].contains(error.kind) {
          continue
        } catch { world.problems.withLock { $0.append("at the end: \(error)") } }
      }
    }
    world.interleaving.run([calm])
    // What a failed request left behind the last of them goes with the next.
    var policy = RetentionPolicy()
    policy.keepLast = 2
    _ = try PruneRun(
      repository: try StoredRepository.open(in: BucketStore(BucketHandle(world.bucket))),
      policy: policy, graceMilliseconds: grace, dryRun: false, force: false,
      nowMilliseconds: world.interleaving.now + 48 * grace
    ).run()
    #expect(world.problems.withLock { $0 } == [], "seed \(seed)")
    try proveContents(world, seed, before.count)
  }

  /// Reads with a handle of no misfortune.
  private static func proveContents(_ world: World, _ seed: UInt64, _ count: Int) throws {
    let repository = try StoredRepository.open(in: BucketStore(BucketHandle(world.bucket)))
    let found = try RepositoryVerifier(repository).verify()
    #expect(found.damage.isEmpty, "seed \(seed): \(found.damage.map(\.error))")
    #expect(found.unusedBlocks == 0, "seed \(seed)")
    let entries = Set(try repository.manifests())
    let acknowledged = world.acknowledged.withLock { $0 }
    if let newest = acknowledged.max() {
      // The newest that was promised is there, or newer ones that take its place.
      let newer = entries.filter { $0 > newest }
      #expect(entries.contains(newest) || newer.count >= 2, "seed \(seed)")
    }
    #expect(try repository.missing().isEmpty, "seed \(seed)")
    // No epoch's claim ever goes, so that a late writer of an old one stays fenced.
    for claim in try repository.claimedEpochs() {
      #expect(throws: StoreError.self) {
        try repository.claimEpoch(counter: claim.counter, id: 999)
      }
    }
    // Nothing else stays: one object of each name, and no probe.
    let names = world.bucket.objects.keys.map { name -> Substring in
      let parts = name.split(separator: ".")
      return parts.last?.utf8.count == 20 ? name.dropLast(21) : name[...]
    }
    #expect(Set(names).count == names.count, "seed \(seed)")
    #expect(!names.contains { $0.hasPrefix("probe.") }, "seed \(seed)")
  }

  @Test func whateverTheirOrder() async throws {
    let count =
      UInt64(ProcessInfo.processInfo.environment["VECDB_INTERLEAVINGS"] ?? "250") ?? 250
    try await onThread {
      for seed in 0..<count { try Self.prove(seed) }
    }
  }
}
