import Testing
import VecDBBytes
import VecDBIndex
import VecDBKernels

/// Deletes, local repair, and the reuse of slots.
@Suite struct MaintenanceTests {
  /// What a log would hold of one collection.
  enum Step {
    case write(deaths: [UInt32], births: [Birth], reused: [UInt32])
    case maintain(IndexGeneration.MaintenanceStep)
  }

  /// Records an index as it is churned, so that the same steps can be taken again elsewhere.
  struct Churn {
    let index: IndexGeneration
    var steps: [Step] = []
    /// Slot to the vector of the record that lives in it.
    var live: [UInt32: [Float]] = [:]
    var random: TestRandom
    private var number = 0

    init(_ index: IndexGeneration, seed: UInt64) {
      self.index = index
      random = TestRandom(seed: seed)
    }

    mutating func take(_ step: Step) throws {
      steps.append(step)
      try index.take(step, lsn: UInt64(steps.count))
    }

    /// One batch; free slots are taken first.
    mutating func write(deaths deathCount: Int, births vectors: [[Float]]) throws {
      var order = live.keys.sorted()
      var deaths: [UInt32] = []
      for _ in 0..<min(deathCount, order.count) {
        let chosen = order.remove(at: random.below(order.count))
        deaths.append(chosen)
        live[chosen] = nil
      }
      var reused: [UInt32] = []
      while reused.count < vectors.count, let slot = index.freeSlot(after: reused.last) {
        reused.append(slot)
      }
      let first = index.assignedSlotCount
      let births = vectors.enumerated().map { place, vector in
        number += 1
        let columns = [
          ColumnValue(field: Array("group".utf8), value: Array("\(number % 5)".utf8)),
          ColumnValue(field: Array("number".utf8), value: Array("\(number)".utf8)),
        ]
        let slot = place < reused.count ? reused[place] : UInt32(first + place - reused.count)
        live[slot] = vector
        return testBirth(number, vector, columns: columns)
      }
      try take(.write(deaths: deaths, births: births, reused: reused))
    }

    mutating func maintain(stepSlots: Int = 512) throws {
      for start in stride(from: 0, to: index.graphSlotCount, by: stepSlots) {
        try take(.maintain(.repair(start..<start + stepSlots)))
      }
      try take(.maintain(.collect))
    }
  }

  static func vector(
    _ random: inout TestRandom, dimensions: Int, isIntegral: Bool, isBinary: Bool = false
  ) -> [Float] {
    (0..<dimensions).map { _ in
      isIntegral ? Float(random.below(isBinary ? 2 : 256)) : random.normal() * 3
    }
  }

  static func churned(
    _ index: IndexGeneration, rounds: Int, records: Int, isIntegral: Bool, check: Bool = false
  ) throws -> Churn {
    var churn = Churn(index, seed: 3)
    let dimensions = index.parameters.dimensions
    func vectors(_ count: Int) -> [[Float]] {
      (0..<count).map { _ in
        vector(
          &churn.random, dimensions: dimensions, isIntegral: isIntegral,
          isBinary: index.parameters.metric == .hamming)
      }
    }
    try churn.write(deaths: 0, births: vectors(records))
    for round in 0..<rounds {
      for _ in 0..<4 { try churn.write(deaths: records / 20, births: []) }
      try churn.maintain()
      if check { #expect(index.checkInvariants() == []) }
      // Written back in batches of all sizes, the last of them beside further deaths.
      var left = records / 5
      while left > 0 {
        let count = min(left, 1 + churn.random.below(round % 2 == 0 ? 400 : 40))
        try churn.write(deaths: 0, births: vectors(count))
        left -= count
      }
      if check { #expect(index.checkInvariants() == []) }
    }
    return churn
  }

  @Test(arguments: DeterminismTests.cases)
  func threadsKernelsAndReopeningChangeNothing(testCase: DeterminismTests.Case) throws {
    let parameters = try IndexParameters(
      dimensions: 12, metric: testCase.metric, degree: 8, efConstruction: 40)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 1))
    let churn = try Self.churned(
      index, rounds: 3, records: 2_000, isIntegral: testCase.isIntegral, check: true)
    #expect(index.liveCount == churn.live.count)
    #expect(index.assignedSlotCount < 2_000 + 2_000 / 4)
    for kernels in KernelSet.available {
      for threads in [2, 3] {
        let other = try IndexGeneration(
          parameters: parameters, options: IndexOptions(threads: threads, kernels: kernels))
        for (number, step) in churn.steps.enumerated() {
          try other.take(step, lsn: UInt64(number + 1))
        }
        #expect(other.graphDigest() == index.graphDigest(), "\(kernels.name), \(threads) threads")
        #expect(other.dataDigest == index.dataDigest)
        #expect(other.encodeState() == index.encodeState())
      }
    }
    // A checkpoint in the middle of maintenance, opened, and the rest of the log.
    let store = TestStore()
    var part = try IndexGeneration(parameters: parameters)
    for (number, step) in churn.steps.enumerated() {
      try part.take(step, lsn: UInt64(number + 1))
      guard number % 7 == 6 else { continue }
      let snapshot = part.beginCheckpoint()
      try store.take(snapshot)
      snapshot.finish()
      if number % 14 == 13 { part = try store.open() }
    }
    #expect(part.graphDigest() == index.graphDigest())
    #expect(part.encodeState() == index.encodeState())
    #expect(part.checkInvariants() == [])
  }

  @Test func whatIsThereStaysAndIsFound() throws {
    for isIntegral in [false, true] {
      let index = try IndexGeneration(parameters: IndexParameters(dimensions: 8, metric: .l2))
      let churn = try Self.churned(index, rounds: 6, records: 3_000, isIntegral: isIntegral)
      for (slot, vector) in churn.live { #expect(index.vector(Int(slot)) == vector) }
      let view = index.view()
      var found = 0
      for (slot, vector) in churn.live.prefix(500) {
        #expect(index.isVisible(Int(slot), in: view))
        let hit = try index.search(vector, k: 1, ef: 40).hits.first
        found += hit?.distance == 0 ? 1 : 0
      }
      #expect(found >= 495)
      #expect(index.assignedSlotCount <= 3_000 * 13 / 10)
      // Bytes, too, are given out again.
      #expect(index.exactRowCount <= 3_000 * 13 / 10)
      let fresh = try IndexGeneration(parameters: index.parameters)
      var again = Churn(fresh, seed: 1)
      try again.write(deaths: 0, births: churn.live.values.map { $0 })
      #expect(index.sizeBytes <= fresh.sizeBytes * 13 / 10)
      // So are the entries of dictionaries.
      let selection = index.columnSelection(field: Array("number".utf8), at: view) {
        $0.map { $0.count == 4 } ?? false
      }
      for slot in churn.live.keys { #expect(!selection.undecided[Int(slot)]) }
      #expect(try index.search([1, 2, 3, 4, 5, 6, 7, 8], k: 4_000, ef: 10).hits.count == 3_000)
    }
  }

  @Test func recallIsThatOfAFreshBuild() throws {
    let parameters = try IndexParameters(dimensions: 16, metric: .l2)
    let index = try IndexGeneration(parameters: parameters)
    var churn = try Self.churned(index, rounds: 10, records: 5_000, isIntegral: false)
    let queries = (0..<200).map { _ in
      Self.vector(&churn.random, dimensions: 16, isIntegral: false)
    }
    let fresh = try IndexGeneration(parameters: parameters)
    let births = churn.live.sorted { $0.key < $1.key }.enumerated().map {
      testBirth($0, $1.value)
    }
    try fresh.apply(lsn: 1, deaths: [], births: births)
    fresh.publish(lsn: 1)
    for ef in [20, 60] {
      let after = try recall(index, queries: queries, k: 10, ef: ef)
      let wanted = try recall(fresh, queries: queries, k: 10, ef: ef)
      #expect(after >= wanted - 0.01, "ef \(ef): \(after), fresh \(wanted)")
    }
  }

  /// Whole regions die, the entry point and the root with them; what is left is found.
  @Test func aRegionThatDiesIsBridged() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 4, metric: .l2))
    var churn = Churn(index, seed: 9)
    let vectors = (0..<6_000).map { number in
      let centre = Float(number % 6) * 50
      return (0..<4).map { _ in centre + churn.random.normal() }
    }
    try churn.write(deaths: 0, births: vectors)
    for region in [0, 3] {
      let doomed = churn.live.filter { abs($0.value[0] - Float(region) * 50) < 20 }.map(\.key)
      for slot in doomed { churn.live[slot] = nil }
      try churn.take(.write(deaths: doomed.sorted(), births: [], reused: []))
      try churn.maintain()
      #expect(index.checkInvariants() == [])
      #expect(index.freeSlotCount > doomed.count * 9 / 10)
    }
    let found = try churn.live.count { slot, vector in
      try index.search(vector, k: 1, ef: 30).hits.first?.slot == slot
    }
    #expect(found * 1_000 >= churn.live.count * 998, "\(found) of \(churn.live.count)")
    // Everybody dies, and others come.
    try churn.take(.write(deaths: churn.live.keys.sorted(), births: [], reused: []))
    churn.live = [:]
    try churn.maintain()
    #expect(try index.search([0, 0, 0, 0], k: 3, ef: 10).hits.isEmpty)
    try churn.write(deaths: 0, births: vectors)
    try churn.maintain()
    #expect(index.checkInvariants() == [])
    #expect(index.liveCount == 6_000)
    #expect(index.assignedSlotCount < 6_010)
    #expect(try index.search(vectors[0], k: 1, ef: 30).hits.first?.distance == 0)
  }

  @Test func wrongReuseIsRefused() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 4, metric: .l2))
    var churn = Churn(index, seed: 1)
    let vectors = (0..<1_500).map { _ in
      Self.vector(&churn.random, dimensions: 4, isIntegral: false)
    }
    try churn.write(deaths: 0, births: vectors)
    try churn.write(deaths: 300, births: [])
    try churn.maintain()
    let free = try #require(index.freeSlot(after: nil))
    let next = try #require(index.freeSlot(after: free))
    let birth = testBirth(9, vectors[0])
    let digest = index.graphDigest()
    for wrong in [[next], [free, free], [free, next, free], [1 << 20]] {
      #expect(throws: IndexError.self) {
        try index.apply(lsn: 1_000, deaths: [], births: [birth, birth, birth], reusing: wrong)
      }
    }
    #expect(throws: IndexError.self) {
      try index.apply(lsn: 1_000, deaths: [], births: [], reusing: [free])
    }
    #expect(throws: IndexError.self) { try index.apply(lsn: 1_000, deaths: [free], births: []) }
    #expect(index.graphDigest() == digest)
    #expect(index.checkInvariants() == [])
  }
}

extension IndexGeneration {
  func take(_ step: MaintenanceTests.Step, lsn: UInt64) throws {
    switch step {
    case .write(let deaths, let births, let reused):
      try apply(lsn: lsn, deaths: deaths, births: births, reusing: reused)
    case .maintain(let step): maintain(lsn: lsn, step)
    }
    publish(lsn: lsn)
  }
}
