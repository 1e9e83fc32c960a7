import Testing
import VecDBLogStore
import VecDBReplicationProtocol

/// The situations in which such systems have gone wrong, each as a script of its own.
@Suite struct ScenarioTests {
  private func quiet(_ name: String, _ policy: AcknowledgementPolicy) -> ClusterScenario {
    var scenario = ClusterScenario(name: name, policy: policy)
    scenario.crashes = false
    scenario.cuts = false
    scenario.promotions = false
    scenario.trims = false
    return scenario
  }

  private func finish(_ run: inout ClusterRun) throws {
    run.mend()
    let deadline = run.now + 20_000
    while run.now < deadline, !run.isWhole() { try run.step() }
    try run.prove()
  }

  @Test(arguments: 1...20) func partitionWhileThePrimaryDegrades(seed: UInt64) throws {
    var run = ClusterRun(
      seed: seed,
      scenario: quiet("partition while degrading", ClusterScenario.policy(degrades: true)))
    try run.advance(300)
    for other in 1...2 { run.network.cut.formUnion([[0, other], [other, 0]]) }
    try run.advance(600)
    #expect(run.nodes[0].acknowledgement.isDegraded)
    #expect(run.nodes[0].acknowledgement.degradedCount > 0)
    try run.standForElection(1, isForced: false)
    try run.advance(300)
    // What was acknowledged without replicas bars a promotion that claims to lose nothing.
    #expect(!run.nodes[1].store.isWriter)
    // And nobody has noticed it.
    #expect(run.nodes[0].isPrimary)
    #expect(run.nodes.allSatisfy { $0.store.fence.promised.isEmpty })
    try finish(&run)
  }

  @Test(arguments: 1...20) func twoPromotionsAtOnce(seed: UInt64) throws {
    var run = ClusterRun(
      seed: seed, scenario: quiet("two promotions at once", ClusterScenario.policy()))
    try run.advance(300)
    run.crash(0)
    try run.standForElection(1, isForced: seed % 2 == 0)
    try run.standForElection(2, isForced: seed % 2 == 0)
    try run.advance(300)
    try finish(&run)
  }

  @Test(arguments: 1...20) func stalePrimaryReturnsAhead(seed: UInt64) throws {
    var policy = AcknowledgementPolicy.asynchronous
    policy.members = ["n1", "n2"]
    var run = ClusterRun(seed: seed, scenario: quiet("stale primary returns ahead", policy))
    try run.advance(300)
    for other in 1...2 { run.network.cut.formUnion([[0, other], [other, 0]]) }
    try run.advance(200)
    let ahead = run.nodes[0].store.end.lsn
    try run.standForElection(1, isForced: true)
    try run.advance(500)
    #expect(run.nodes[1].store.isWriter)
    run.network.cut = []
    try run.advance(1_000)
    #expect(!run.nodes[0].store.isWriter)
    try finish(&run)
    #expect(run.nodes[0].store.savedTails.contains { $0.contains { $0.lsn == ahead } })
  }

  @Test(arguments: 1...20) func replicaAheadOfARestoredPrimary(seed: UInt64) throws {
    var run = ClusterRun(
      seed: seed, scenario: quiet("replica ahead of a restored primary", ClusterScenario.policy()))
    try run.advance(200)
    let backup = run.nodes[0].store
    try run.advance(200)
    let end = run.nodes[0].store.end
    run.crash(0)
    run.nodes[0].store = backup
    try finish(&run)
    // It fetched what it had lost before it wrote again.
    let primary = try #require(run.nodes.first { $0.store.isWriter })
    #expect(primary.store.end.lsn >= min(end.lsn, run.nodes[1].store.end.lsn))
  }

  @Test(arguments: 1...20) func crashBetweenCommitAndShipping(seed: UInt64) throws {
    var run = ClusterRun(
      seed: seed, scenario: quiet("crash before shipping", ClusterScenario.policy()))
    try run.advance(300)
    // Committed here, and nobody is told.
    let frame = run.nodes[0].store.write([1, 2, 3, 4, 5, 6, 7, 8], timeMilliseconds: 0)
    run.crash(0)
    try run.standForElection(1, isForced: false)
    try run.advance(400)
    try finish(&run)
    let primary = try #require(run.nodes.first { $0.store.isWriter })
    if primary.id != 0 {
      #expect(run.nodes[0].store.savedTails.contains { $0.contains { $0.chain == frame.chain } })
    }
  }
}

extension ClusterRun {
  mutating func advance(_ milliseconds: UInt64) throws {
    let end = now + milliseconds
    while now < end { try step() }
  }
}
