import Testing
import VecDB

/// What a rebuild does next, whatever it finds.
@Suite struct RebuildMachineTests {
  typealias Observation = RebuildMachine.Observation

  private func building(adopted: Int, inserted: Int, slots: Int = 100) -> Observation {
    var seen = Observation(phase: .building, slots: slots)
    seen.adopted = adopted
    seen.inserted = inserted
    return seen
  }

  @Test func `goes through its stages in order`() {
    var machine = RebuildMachine()
    #expect(machine.next(building(adopted: 0, inserted: 0)) == .adopt)
    #expect(machine.stage == .preparing)
    #expect(machine.next(building(adopted: 100, inserted: 0)) == .insert)
    #expect(machine.stage == .building)
    var seen = building(adopted: 100, inserted: 100)
    seen.isAtOrigin = true
    seen.lag = 50
    #expect(machine.next(seen) == .follow)
    #expect(machine.stage == .catchingUp)
    seen.lag = 2
    #expect(machine.next(seen) == .judge)
    seen.passed = true
    #expect(machine.next(seen) == .checkpoint)
    // One that failed is asked for again: no swap before a manifest has the new generation.
    #expect(machine.next(seen) == .checkpoint)
    machine.noteCheckpoint()
    #expect(machine.next(seen) == .swap)
    #expect(machine.stage == .swapping)
  }

  @Test func `a follower builds and decides nothing`() {
    var machine = RebuildMachine()
    var seen = building(adopted: 100, inserted: 50)
    seen.isFollower = true
    #expect(machine.next(seen) == .insert)
    seen.isAtOrigin = true
    seen.lag = 50
    #expect(machine.next(seen) == .follow)
    seen.lag = 0
    #expect(machine.next(seen) == .rest(milliseconds: 50))
    seen.phase = .grace
    #expect(machine.next(seen) == .rest(milliseconds: 50))
    // Promoted, it takes over where the other one was.
    seen.isFollower = false
    #expect(machine.next(seen) == .retire)
    seen.phase = .building
    #expect(machine.next(seen) == .judge)
  }

  @Test func `what waits for the gate catches up first`() {
    var machine = RebuildMachine()
    var seen = building(adopted: 100, inserted: 100)
    seen.isAtOrigin = true
    seen.passed = true
    seen.lag = 1_000
    #expect(machine.next(seen) == .follow)
  }

  @Test func `a refusal drops the candidate or keeps it`() {
    var machine = RebuildMachine()
    var seen = building(adopted: 100, inserted: 100)
    seen.isAtOrigin = true
    seen.passed = false
    seen.refusal = "recall"
    #expect(machine.next(seen) == .drop("recall"))
    seen.keepsRefused = true
    guard case .rest = machine.next(seen) else {
      Issue.record("a kept candidate is left alone")
      return
    }
    #expect(machine.stage == .refused)
  }

  @Test func `slow searches pause building but not catching up`() {
    var machine = RebuildMachine()
    var seen = building(adopted: 100, inserted: 10)
    seen.isTooSlow = true
    guard case .rest = machine.next(seen) else {
      Issue.record("it does not pause")
      return
    }
    seen.isAtOrigin = true
    seen.lag = 100
    #expect(machine.next(seen) == .follow)
  }

  @Test func `the grace period follows and ends`() {
    var machine = RebuildMachine()
    var seen = Observation(phase: .grace, slots: 100)
    seen.graceLeftMilliseconds = 10
    seen.lag = 3
    #expect(machine.next(seen) == .follow)
    seen.graceLeftMilliseconds = 0
    #expect(machine.next(seen) == .retire)
  }

  @Test func `a machine that begins anew goes on where the candidate is`() {
    var machine = RebuildMachine()
    #expect(machine.next(building(adopted: 100, inserted: 60)) == .insert)
    #expect(machine.next(building(adopted: 40, inserted: 0)) == .adopt)
  }
}
