import Testing
import VecDBBytes
import VecDBIndex

/// Free slots are taken while one generation is built from another, and while the old one follows
/// the new one.
@Suite struct RebuildReuseTests {
  typealias Churn = MaintenanceTests.Churn

  /// A generation with free slots, and with dead ones that are not free.
  private static func leader(
    _ testCase: DeterminismTests.Case, seed: UInt64, threads: Int = 2
  ) throws -> Churn {
    let parameters = try IndexParameters(
      dimensions: 10, metric: testCase.metric, degree: 8, efConstruction: 40)
    let index = try IndexGeneration(
      parameters: parameters, options: IndexOptions(threads: threads))
    var churn = try MaintenanceTests.churned(
      index, rounds: 1, records: 1_800, isIntegral: testCase.isIntegral)
    churn.random = TestRandom(seed: seed)
    try churn.write(deaths: 400 + churn.random.below(300), births: [])
    try churn.maintain()
    try churn.write(deaths: 1 + churn.random.below(200), births: [])
    #expect(index.freeSlotCount > 300 && index.unfreedSlotCount > 0)
    return churn
  }

  private static func writeSome(_ churn: inout Churn, _ testCase: DeterminismTests.Case) throws {
    let births = (0..<churn.random.below(60)).map { _ in
      MaintenanceTests.vector(
        &churn.random, dimensions: churn.index.parameters.dimensions,
        isIntegral: testCase.isIntegral, isBinary: testCase.metric == .hamming)
    }
    try churn.write(deaths: churn.random.below(60), births: births)
  }

  private static func candidate(of index: IndexGeneration, threads: Int) throws -> IndexGeneration {
    let own = index.parameters
    return try IndexGeneration(
      parameters: IndexParameters(
        dimensions: own.dimensions, metric: own.metric, degree: 12, efConstruction: 50),
      options: IndexOptions(threads: threads))
  }

  private static func expectSame(_ one: IndexGeneration, _ other: IndexGeneration) {
    #expect(one.dataDigest == other.dataDigest)
    one.publish(like: other)
    let difference = one.difference(from: other, at: one.view(), other.view())
    #expect(difference.isNone && difference.count == other.liveCount, "\(difference)")
  }

  @Test(arguments: DeterminismTests.cases, [UInt64](1...3))
  func aCandidateIsTheSameWheneverItIsBuilt(testCase: DeterminismTests.Case, seed: UInt64) throws {
    var churn = try Self.leader(testCase, seed: seed)
    let leader = churn.index
    let (origin, count) = (leader.appliedLSN, leader.assignedSlotCount)

    // One without further writes.
    let still = try Self.candidate(of: leader, threads: 1)
    while try still.adopt(leader, at: origin, count: count, limit: 900) {}
    while try still.insertAdopted(at: origin) {}
    #expect(still.checkInvariants() == [], "seed \(seed)")
    Self.expectSame(still, leader)

    // One beside the writes, stopped and opened again; one after all of them.
    var beside = try Self.candidate(of: leader, threads: 2)
    let store = TestStore()
    var isAtOrigin = false
    for round in 0..<12 {
      try Self.writeSome(&churn, testCase)
      if !isAtOrigin {
        if try !beside.adopt(leader, at: origin, count: count, limit: 400) {
          while try beside.insertAdopted(at: origin) {}
          isAtOrigin = true
        }
      } else {
        _ = try beside.follow(leader, through: leader.appliedLSN, limit: 25)
      }
      guard round % 4 == 3 else { continue }
      let snapshot = beside.beginCheckpoint()
      try store.take(snapshot)
      snapshot.finish()
      beside = try store.open()
    }
    #expect(try beside.follow(leader, through: leader.appliedLSN))
    let after = try Self.candidate(of: leader, threads: 1)
    while try after.adopt(leader, at: origin, count: count, limit: 10_000) {}
    while try after.insertAdopted(at: origin) {}
    #expect(try after.follow(leader, through: leader.appliedLSN))

    #expect(
      leader.assignedSlotCount == count || leader.freeSlotCount == 0, "free slots are taken first")
    for built in [beside, after] {
      #expect(built.checkInvariants() == [], "seed \(seed)")
      Self.expectSame(built, leader)
    }
    #expect(beside.graphDigest() == after.graphDigest(), "seed \(seed)")
    #expect(beside.storedDigests == after.storedDigests, "seed \(seed)")
  }

  @Test(arguments: DeterminismTests.cases, [UInt64](1...3))
  func theOldGenerationFollowsAsIfItHadServed(
    testCase: DeterminismTests.Case, seed: UInt64
  ) throws {
    var churn = try Self.leader(testCase, seed: seed)
    let old = churn.index
    let (origin, count) = (old.appliedLSN, old.assignedSlotCount)
    for _ in 0..<3 { try Self.writeSome(&churn, testCase) }
    let new = try Self.candidate(of: old, threads: 2)
    while try new.adopt(old, at: origin, count: count, limit: 10_000) {}
    while try new.insertAdopted(at: origin) {}
    #expect(try new.follow(old, through: old.appliedLSN))
    new.takeFreeSlots(of: old)
    new.publish(like: old)
    #expect(new.freeSlotCount == old.freeSlotCount && new.freeSlotCount > 100)
    #expect(new.checkInvariants() == [])

    var serving = Churn(new, seed: seed)
    (serving.steps, serving.live) = (churn.steps, churn.live)
    for _ in 0..<10 {
      try Self.writeSome(&serving, testCase)
      _ = try old.follow(new, through: new.appliedLSN, limit: serving.random.below(80))
    }
    #expect(try old.follow(new, through: new.appliedLSN))
    #expect(new.assignedSlotCount == count || new.freeSlotCount == 0)
    #expect(new.checkInvariants() == [])
    Self.expectSame(old, new)
    #expect(old.checkInvariants() == [])

    // What a generation holds that applied all of it itself.
    let plain = try IndexGeneration(parameters: old.parameters)
    for (number, step) in serving.steps.enumerated() {
      try plain.take(step, lsn: UInt64(number + 1))
    }
    #expect(old.graphDigest() == plain.graphDigest(), "seed \(seed)")
    #expect(old.storedDigests == plain.storedDigests, "seed \(seed)")
    #expect(old.freeSlot(after: nil) == new.freeSlot(after: nil))
  }

  /// A small collection has no graph: its absent slots lie in the tail.
  @Test func whatHasNoGraphIsFilledToo() throws {
    var churn = try Self.leader(DeterminismTests.cases[0], seed: 5)
    let leader = churn.index
    // Few stay, so that nothing is trained anew.
    try churn.write(deaths: leader.liveCount - 40, births: [])
    for _ in 0..<3 { try churn.maintain() }
    #expect(leader.freeSlotCount > 1_500)
    let (origin, count) = (leader.appliedLSN, leader.assignedSlotCount)
    for _ in 0..<5 { try Self.writeSome(&churn, DeterminismTests.cases[0]) }
    let built = try Self.candidate(of: leader, threads: 1)
    while try built.adopt(leader, at: origin, count: count, limit: 300) {}
    while try built.insertAdopted(at: origin) {}
    #expect(try built.follow(leader, through: leader.appliedLSN))
    built.takeFreeSlots(of: leader)
    #expect(built.checkInvariants() == [])
    Self.expectSame(built, leader)
  }

  @Test func whatIsNotAbsentIsNotFilled() throws {
    let churn = try Self.leader(DeterminismTests.cases[0], seed: 6)
    let index = churn.index
    let free = try #require(index.freeSlot(after: nil))
    let state = index.encodeState()
    for slot in [free, 0, UInt32(index.assignedSlotCount), .max] {
      #expect(throws: IndexError.self) {
        try index.apply(
          lsn: index.appliedLSN + 1, deaths: [],
          births: [testBirth(1, [Float](repeating: 1, count: 10))], reusing: [slot], absent: true)
      }
    }
    #expect(index.encodeState() == state)
  }
}
