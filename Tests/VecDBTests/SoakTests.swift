import Foundation
import Testing

/// Many short lives of a database on the simulated disk.
///
/// An ordinary run tries the seeds 1 to 52. `VECDB_SOAK_SEEDS` names others (`7` or `1-1000`),
/// `VECDB_SOAK_SECONDS` ends the run early; `scripts/soak` sets both.
@Suite struct SoakTests {
  private static let environment = ProcessInfo.processInfo.environment

  private static var seeds: ClosedRange<UInt64> {
    guard let text = environment["VECDB_SOAK_SEEDS"] else { return 1...52 }
    let ends = text.split(separator: "-").compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, first <= last else { return 1...52 }
    return first...last
  }

  /// Crash states of each seed.
  private static let statesPerSeed = 40

  /// Seeds that once found something.
  @Test(arguments: [255, 891, 1029, 1800] as [UInt64])
  func survivesWhatItOnceDidNot(_ seed: UInt64) async throws {
    try await onThread { try SoakRun(seed: seed).run(crashes: Self.statesPerSeed) }
  }

  @Test func survivesCrashes() async throws {
    let seconds = Self.environment["VECDB_SOAK_SECONDS"].flatMap(Double.init) ?? .infinity
    let (checked, runs, failures) = try await onThread {
      let started = Date()
      var checked = 0
      var runs = 0
      var failures: [String] = []
      for seed in Self.seeds where Date().timeIntervalSince(started) < seconds {
        let run = SoakRun(seed: seed)
        do { try run.run(crashes: Self.statesPerSeed) } catch {
          failures.append("\(error)")
          print("\(error)\n  again: scripts/soak --seed \(seed) --crashes 1")
        }
        checked += run.checked
        runs += 1
      }
      return (checked, runs, failures)
    }
    print("crash states checked: \(checked) in \(runs) seeds of \(Self.seeds)")
    #expect(failures.isEmpty, "\(failures.count) seeds failed")
  }
}
