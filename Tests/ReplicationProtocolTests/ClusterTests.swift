import Foundation
import Testing
import VecDBLogStore
import VecDBReplicationProtocol

/// Whole clusters on a simulated network, disk and clock.
///
/// An ordinary run tries the seeds 1 to 10,000. `VECDB_CLUSTER_SEEDS` names others (`7` or
/// `1-100000`); `scripts/soak --cluster` sets it.
@Suite struct ClusterTests {
  private static var seeds: ClosedRange<UInt64> {
    guard let text = ProcessInfo.processInfo.environment["VECDB_CLUSTER_SEEDS"] else {
      return 1...10_000
    }
    let ends = text.split(separator: "-").compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, first <= last else { return 1...10_000 }
    return first...last
  }

  /// Seeds that failed once, beyond those that an ordinary run tries.
  @Test(arguments: [4_297, 27_521, 27_644, 32_378, 49_263, 70_892, 88_479, 93_142] as [UInt64])
  func keptSeeds(seed: UInt64) throws {
    var run = ClusterRun(seed: seed)
    try run.run()
  }

  @Test func manySeeds() {
    var failures = 0
    var promotions = 0
    var acknowledged = 0
    var rewinds = 0
    for seed in Self.seeds {
      var run = ClusterRun(seed: seed)
      do { try run.run() } catch {
        failures += 1
        if failures <= 3 { print("\(error)\n  again: scripts/soak --cluster 1 --seed \(seed)") }
      }
      promotions += run.nodes.map { $0.store.identity.epochs.count - 1 }.max() ?? 0
      acknowledged += run.writes.values.count { $0.isAcknowledged }
      rewinds += run.nodes.reduce(0) { $0 + $1.store.savedTails.count }
      if seed % 10_000 == 0 { print("cluster seeds: \(seed), failures: \(failures)") }
    }
    print(
      "cluster seeds \(Self.seeds): \(failures) failed; \(acknowledged) writes acknowledged, "
        + "\(promotions) promotions, \(rewinds) tails saved")
    #expect(failures == 0, "\(failures) seeds failed")
  }
}
