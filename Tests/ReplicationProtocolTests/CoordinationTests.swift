import Foundation
import Testing
import VecDBBytes
import VecDBReplicationProtocol

/// Clusters whose nodes decide by themselves, with a coordinator that is late, away or cut off, nodes that
/// stand still and clocks that go wrong.
///
/// An ordinary run tries the seeds 1 to 2,000; `VECDB_COORDINATION_SEEDS` names others (`7` or
/// `1-100000`).
@Suite struct CoordinationTests {
  private static var seeds: ClosedRange<UInt64> {
    let text = ProcessInfo.processInfo.environment["VECDB_COORDINATION_SEEDS"] ?? ""
    let ends = text.split(separator: "-").compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, first <= last else { return 1...2_000 }
    return first...last
  }

  @Test func manySeeds() {
    var failures = 0
    var (leaderships, promotions, acknowledged, failsafes) = (0, 0, 0, 0)
    for seed in Self.seeds {
      var generator = SplitMix64(seed: seed)
      var run = ClusterRun(
        seed: seed, scenario: .coordinated(seed: seed, using: &generator))
      do { try run.run() } catch {
        failures += 1
        if failures <= 3 { print("\(error)\n  again: VECDB_COORDINATION_SEEDS=\(seed)") }
      }
      leaderships += run.leaderships
      promotions += run.nodes.map { $0.store.identity.epochs.count - 1 }.max() ?? 0
      acknowledged += run.writes.values.count { $0.isAcknowledged }
      failsafes += run.nodes.reduce(0) { $0 + ($1.coordination?.machine.failsafes ?? 0) }
    }
    print(
      "coordinated seeds \(Self.seeds): \(failures) failed; \(acknowledged) writes acknowledged, "
        + "\(leaderships) attempts, \(promotions) promotions, \(failsafes) times without coordinator"
    )
    #expect(failures == 0, "\(failures) seeds failed")
    #expect(Self.seeds.count < 1_000 || promotions > Self.seeds.count / 2)
  }
}
