import Foundation
import Testing

/// What a rehearsal reports adds up.
@Suite struct DrillTests {
  @Test func phasesAddUpToTheRecovery() throws {
    let run = try Command.run(
      "drill", "--scenario", "primary-killed", "--scenario", "restore-only", "--scenario",
      "damaged-block", "--max-recovery", "60", "--json")
    let reports = try run.objects
    #expect(reports.count == 3)
    for report in reports {
      #expect(report["problems"] as? [String] == [], "\(report)")
      let phases = try #require(report["phases"] as? [[String: Any]])
      let recovery = try #require(report["recoverySeconds"] as? Double)
      let failure = try #require(report["failureSeconds"] as? Double)
      var end = 0.0
      var sinceFailure = 0.0
      var sums: [Double] = []
      for phase in phases {
        let began = try #require(phase["beganSeconds"] as? Double)
        let seconds = try #require(phase["seconds"] as? Double)
        // Without a gap, and none lies on both sides of the failure.
        #expect(abs(began - end) < 1e-6, "\(phases)")
        end = began + seconds
        #expect(end <= failure + 1e-6 || began >= failure - 1e-6, "\(phases)")
        guard began >= failure - 1e-6 else { continue }
        sinceFailure += seconds
        sums.append(sinceFailure)
      }
      // Up to the first proven answer; what is measured after that does not count.
      #expect(sums.contains { abs($0 - recovery) < 1e-6 }, "\(recovery): \(phases)")
      let answered = try #require(phases.firstIndex { $0["name"] as? String == "first answer" })
      let measured = try #require(phases.firstIndex { $0["name"] as? String == "measure recall" })
      #expect(answered < measured)
      #expect(recovery < sinceFailure)
    }
  }
}
