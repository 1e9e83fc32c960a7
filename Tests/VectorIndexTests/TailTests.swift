import Testing
import VecDBBytes
import VecDBIndex

@Suite struct TailTests {
  @Test(arguments: IndexParameters.Metric.ofFloats)
  func findsTheNearestBeforeAnyGraph(metric: IndexParameters.Metric) throws {
    var random = TestRandom(seed: 7)
    let parameters = try IndexParameters(dimensions: 5, metric: metric)
    let index = try IndexGeneration(parameters: parameters)
    let births = (0..<100).map { testBirth($0, random.vector(5)) }
    #expect(try index.apply(lsn: 1, deaths: [], births: births) == 0..<100)
    #expect(try index.search(births[3].vector, k: 1, ef: 10).hits.isEmpty)
    index.publish(lsn: 1)
    for (slot, birth) in births.enumerated() {
      let hits = try index.search(birth.vector, k: 3, ef: 10).hits
      #expect(hits.count == 3)
      if metric != .dot { #expect(hits.first?.slot == UInt32(slot)) }
      #expect(index.vector(slot) == birth.vector)
      #expect(index.key(slot) == "key-\(slot)")
    }
    _ = try index.apply(lsn: 2, deaths: [3], births: [])
    let before = index.view()
    #expect(index.isVisible(3, in: before))
    index.publish(lsn: 2)
    #expect(!index.isVisible(3, in: index.view()))
    #expect(index.isVisible(3, in: before))
    #expect(try index.search(births[3].vector, k: 200, ef: 10).hits.count == 99)
    #expect(index.recomputeDataDigest() == index.dataDigest)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let parameters = try IndexParameters(dimensions: 2, metric: .cosine)
    let index = try IndexGeneration(parameters: parameters)
    #expect(throws: IndexError.self) { try index.apply(lsn: 1, deaths: [0], births: []) }
    #expect(throws: IndexError.self) {
      try index.apply(lsn: 1, deaths: [], births: [testBirth(0, [0, 0])])
    }
    #expect(throws: IndexError.self) {
      try index.apply(lsn: 1, deaths: [], births: [testBirth(0, [1, 2, 3])])
    }
    #expect(throws: IndexError.self) { try index.search([0, 0], k: 1, ef: 1) }
    #expect(throws: IndexError.self) { try index.search([1, 0], k: 0, ef: 1) }
    #expect(throws: IndexError.self) { try index.search([1, 0, 0], k: 1, ef: 1) }
    #expect(index.assignedSlotCount == 0)
    #expect(throws: IndexError.self) { try IndexParameters(dimensions: 0, metric: .l2) }
    #expect(throws: IndexError.self) { try IndexParameters(dimensions: 65_537, metric: .l2) }
  }
}
