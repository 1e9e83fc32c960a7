import Testing
import VecDBIndex

@Suite struct RecallTests {
  enum Shape: String, CaseIterable, Sendable {
    case uniform, clustered, sortedByCluster, duplicates, line, heavyTail
  }

  static func vectors(_ shape: Shape, count: Int, dimensions: Int) -> [[Float]] {
    var random = TestRandom(seed: 13)
    let centres = (0..<20).map { _ in (0..<dimensions).map { _ in random.normal() * 10 } }
    return (0..<count).map { index in
      switch shape {
      case .uniform: random.vector(dimensions)
      case .clustered: centres[random.below(20)].map { $0 + random.normal() }
      case .sortedByCluster: centres[index * 20 / count].map { $0 + random.normal() }
      case .duplicates: random.below(3) > 0 ? centres[random.below(3)] : random.vector(dimensions)
      case .line: (0..<dimensions).map { Float(index * 7_919 % 6_053 + $0) }
      case .heavyTail:
        (0..<dimensions).map { _ in
          let value = random.normal()
          return value * value * value
        }
      }
    }
  }

  @Test(arguments: Shape.allCases, IndexParameters.Metric.ofFloats)
  func findsTheNearest(shape: Shape, metric: IndexParameters.Metric) throws {
    let dimensions = 16
    let count = 6_000
    let vectors = Self.vectors(shape, count: count + 50, dimensions: dimensions)
    let parameters = try IndexParameters(dimensions: dimensions, metric: metric)
    let index = try IndexGeneration(
      parameters: parameters, options: IndexOptions(threads: 2))
    let births = vectors[..<count].enumerated().map { testBirth($0.offset, $0.element) }
    for start in stride(from: 0, to: count, by: 700) {
      let end = min(count, start + 700)
      let lsn = UInt64(start + 1)
      try index.apply(lsn: lsn, deaths: [], births: Array(births[start..<end]))
      index.publish(lsn: lsn)
    }
    #expect(index.checkInvariants() == [])
    let queries = Array(vectors[count...]) + vectors[..<50]
    let reached = try recall(index, queries: queries, k: 10, ef: 100)
    #expect(reached >= 0.95, "\(shape) \(metric): \(reached)")
  }

  @Test func allOfManyDuplicatesAreFound() throws {
    let parameters = try IndexParameters(dimensions: 8, metric: .l2)
    let index = try IndexGeneration(parameters: parameters)
    let births = (0..<4_000).map { testBirth($0, [Float](repeating: 1, count: 8)) }
    try index.apply(lsn: 1, deaths: [], births: births)
    index.publish(lsn: 1)
    #expect(index.graphSlotCount == 4_000)
    #expect(index.checkInvariants() == [])
    let hits = try index.search([Float](repeating: 1, count: 8), k: 4_000, ef: 10).hits
    #expect(hits.map(\.slot) == Array(0..<4_000))
    let few = try index.search([Float](repeating: 1, count: 8), k: 5, ef: 4_000).hits
    #expect(few.map(\.slot) == [0, 1, 2, 3, 4])
  }

  @Test(arguments: [1, 3, 784, 65_536])
  func anyDimension(dimensions: Int) throws {
    let count = dimensions == 65_536 ? 1_030 : 2_000
    var random = TestRandom(seed: 4)
    let parameters = try IndexParameters(
      dimensions: dimensions, metric: .l2, degree: 8, efConstruction: 40)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    let base = random.vector(dimensions)
    for lsn in 1...UInt64(count / 10) {
      let births = (0..<10).map { number in
        let shift = random.float()
        return testBirth(
          number, dimensions < 100 ? random.vector(dimensions) : base.map { $0 + shift })
      }
      try index.apply(lsn: lsn, deaths: [], births: births)
      index.publish(lsn: lsn)
    }
    #expect(index.graphSlotCount > 0)
    #expect(index.checkInvariants() == [])
    let queries = (0..<20).compactMap { index.vector($0 * 50) }
    let reached = try recall(index, queries: queries, k: 5, ef: 60)
    #expect(reached >= 0.95, "\(reached)")
    #expect(try index.search(queries[0], k: 5_000, ef: 1).hits.count == count)
  }

  @Test func growsPastItsFirstPages() throws {
    let parameters = try IndexParameters(dimensions: 600, metric: .l2, degree: 4, efConstruction: 8)
    let index = try IndexGeneration(parameters: parameters)
    var random = TestRandom(seed: 9)
    var first: [[Float]] = []
    for lsn in 1...10 as ClosedRange<UInt64> {
      let births = (0..<1_000).map { testBirth($0, random.vector(600)) }
      if lsn == 1 { first = births.map(\.vector) }
      try index.apply(lsn: lsn, deaths: [], births: births)
      index.publish(lsn: lsn)
    }
    for slot in stride(from: 0, to: 1_000, by: 37) { #expect(index.vector(slot) == first[slot]) }
    let limited = try IndexGeneration(
      parameters: parameters, options: IndexOptions(slotLimit: 2_000))
    let births = (0..<5_000).map { testBirth($0, [Float](repeating: Float($0), count: 600)) }
    #expect(throws: IndexError.self) { try limited.apply(lsn: 1, deaths: [], births: births) }
    #expect(limited.assignedSlotCount == 0)
    try limited.apply(lsn: 1, deaths: [], births: Array(births[..<10]))
    #expect(limited.assignedSlotCount == 10)
  }
}
