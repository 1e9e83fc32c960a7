import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedBucket

/// The lease that stands for the lock of a prune in a bucket.
@Suite struct LeaseTests {
  /// Clocks that a test sets: the store's, and one machine's that is far off.
  private final class Clocks: Sendable {
    let time = Guarded<Int64>(1_790_000_000_000)
    func pass(_ milliseconds: Int64) { time.withLock { $0 += milliseconds } }
  }

  private let clocks = Clocks()
  private let bucket = SimulatedBucket("sim://lease")

  private func repository(
    aheadMilliseconds: Int64 = 0, process: String = "elsewhere"
  ) throws -> StoredRepository {
    var settings = BucketHandle.Settings()
    let time = clocks.time
    settings.storeMilliseconds = { time.withLock { $0 } }
    settings.options.uptimeMilliseconds = { time.withLock { $0 } }
    settings.options.nowMilliseconds = { time.withLock { $0 + aheadMilliseconds } }
    settings.options.requestsAtOnce = 1
    settings.options.process = { process }
    return try StoredRepository.openOrCreate(
      in: BucketStore(BucketHandle(bucket, settings)), databaseID: 9)
  }

  private func kind(_ body: () throws -> Void) -> StoreError.Kind? {
    do { try body() } catch { return (error as? StoreError)?.kind }
    return nil
  }

  private var leases: [String] { bucket.objects.keys.filter { $0.hasPrefix("prune.lock") } }

  /// A number that nothing can follow is not one of ours; counting on from it would trap.
  @Test func anObjectWithTheLargestNumberIsPassedOver() throws {
    _ = try repository()
    for name in ["prune.lock", "pruned", "condemned"] {
      bucket.set("\(name).\(UInt64.max)", Array("not ours".utf8))
    }
    let one = try repository()
    let lock = try one.lockForPruning(owner: "first")
    let block = CondemnedBlock(hash: .zero, condemnedMilliseconds: 1, modifiedMilliseconds: 1)
    try one.replaceCondemnedBlocks(with: [block])
    #expect(try repository().condemnedBlocks() == [block])
    lock.unlock()
    #expect(kind { try repository().lockForPruning(owner: "second").unlock() } == nil)
  }

  @Test func oneAtATimeAndGivenBack() throws {
    let one = try repository()
    let two = try repository(aheadMilliseconds: 86_400_000)
    let lock = try one.lockForPruning(owner: "first")
    #expect(kind { _ = try two.lockForPruning(owner: "second") } == .locked)
    // Renewed for as long as it is asked about.
    for _ in 0..<20 {
      clocks.pass(120_000)
      try lock.check()
      #expect(kind { _ = try two.lockForPruning(owner: "second") } == .locked)
    }
    lock.unlock()
    let second = try two.lockForPruning(owner: "second")
    #expect(kind { _ = try one.lockForPruning(owner: "first") } == .locked)
    second.unlock()
    #expect(leases.count == 1)
  }

  /// Whatever the clocks of machines say, by the store's clock it ends.
  @Test(arguments: [-86_400_000, 0, 86_400_000] as [Int64]) func thatOfADeadProcessEnds(
    ahead: Int64
  ) throws {
    let dead = try repository(aheadMilliseconds: -ahead)
    let lock = try dead.lockForPruning(owner: "dead")
    let living = try repository(aheadMilliseconds: ahead)
    clocks.pass(530_000)
    #expect(kind { _ = try living.lockForPruning(owner: "living") } == .locked)
    clocks.pass(20_000)
    let other = try living.lockForPruning(owner: "living")
    // Who was dead and comes back may do nothing, also once the other has given its lease back.
    #expect(kind { try lock.check() } == .locked)
    other.unlock()
    #expect(kind { try lock.check() } == .locked)
    lock.unlock()
    try living.lockForPruning(owner: "again").unlock()
  }

  @Test func ofTwoAtTheSameTimeOneGetsIt() throws {
    let one = try repository()
    let two = try repository()
    // Both see that nobody has it.
    _ = try one.lockForPruning(owner: "first")
    #expect(kind { _ = try two.lockForPruning(owner: "second") } == .locked)
  }

  /// What this machine knows to have died need not be waited for; what lives, or is elsewhere, must.
  @Test func whoDiedHereIsNotWaitedFor() throws {
    let own = BucketStore.Options().process()
    let parts = own.split(separator: " ").map(String.init)
    try #require(parts.count == 3)
    let cases: [(String, Bool)] = [
      (own, true), ("", true), ("elsewhere/pid 4000000 17", true), ("nonsense", true),
      ("\(parts[0]) \(parts[1]) 1", false), ("\(parts[0]) 4194200 17", false),
    ]
    for (process, isHeld) in cases {
      clocks.pass(1_000_000)
      _ = try repository(process: process).lockForPruning(owner: "other")
      let found = kind { try repository().lockForPruning(owner: "this").unlock() }
      #expect(found == (isHeld ? .locked : nil), "\(process)")
    }
  }

  /// The bytes of a lease are those that are documented, and other versions are refused.
  @Test func theFormatOfALease() throws {
    func lease(version: UInt8) -> [UInt8] {
      var bytes = Array("VDBLEAS\0".utf8) + [version, 0, 0, 0]
      bytes += [UInt8](repeating: 7, count: 16)
      bytes += [0xE0, 0x93, 0x04, 0, 0, 0, 0, 0, 0]
      bytes += [5, 0, 0, 0] + Array("owner".utf8) + [1, 0, 0, 0] + Array("p".utf8)
      let sum = CRC32C.checksum(bytes)
      return bytes + (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(8 * $0)) }
    }
    let one = try repository()
    let name = "prune.lock.00000000000000000004"
    bucket.set(name, lease(version: 1), at: clocks.time.withLock { $0 })
    do { _ = try one.lockForPruning(owner: "first") } catch let error as StoreError {
      #expect(error.kind == .locked && error.message.contains("owner"))
      #expect(error.remedy.contains("541 s"))
    }
    bucket.set(name, lease(version: 2), at: clocks.time.withLock { $0 })
    #expect(kind { _ = try one.lockForPruning(owner: "first") } == .unknownVersion)
    clocks.pass(541_000)
    bucket.set(name, lease(version: 1), at: 1_790_000_000_000)
    try one.lockForPruning(owner: "first").unlock()
    #expect(leases.map { $0 } == ["prune.lock.00000000000000000006"])
  }

  @Test func damagedLeasesAreRefused() throws {
    let one = try repository()
    bucket.set(
      "prune.lock.00000000000000000004", [1, 2, 3], at: clocks.time.withLock { $0 })
    #expect(kind { _ = try one.lockForPruning(owner: "first") } == .corrupt)
  }
}
