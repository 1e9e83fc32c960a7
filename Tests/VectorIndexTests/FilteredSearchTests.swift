import Dispatch
import Foundation
import Synchronization
import Testing
import VecDBIndex
import VecDBKernels

/// Filtered searches against the brute force, whatever the plan.
@Suite struct FilteredSearchTests {
  enum Shape: CaseIterable, Sendable { case random, nearTheQuery, farFromTheQuery }

  static let dimensions = 16

  /// Points in clusters; slot `i` belongs to cluster `i % 20`.
  static func births(_ count: Int, isIntegral: Bool) -> [Birth] {
    var random = TestRandom(seed: 91)
    let centres = (0..<20).map { _ in (0..<dimensions).map { _ in random.normal() * 2 } }
    return (0..<count).map { number in
      testBirth(
        number,
        centres[number % 20].map { centre in
          let value = centre + random.normal()
          return isIntegral ? min(255, max(0, (128 + value * 20).rounded())) : value
        })
    }
  }

  /// 9,000 slots of which 500 are dead and 120 not in the graph.
  static func index(
    _ metric: IndexParameters.Metric, isIntegral: Bool = false, kernels: KernelSet = .current
  ) throws -> IndexGeneration {
    let index = try IndexGeneration(
      parameters: IndexParameters(dimensions: dimensions, metric: metric),
      options: IndexOptions(threads: 2, kernels: kernels))
    let births = births(9_000, isIntegral: isIntegral)
    try index.apply(lsn: 1, deaths: [], births: Array(births[..<8_880]))
    let dead = (0..<500).map { UInt32($0 * 17) }
    try index.apply(lsn: 2, deaths: dead, births: Array(births[8_880...]))
    index.publish(lsn: 2)
    #expect(index.graphSlotCount == 8_880)
    return index
  }

  static func filter(
    _ shape: Shape, matching: Int, query: [Float], _ index: IndexGeneration
  ) throws -> SlotBitset {
    let count = index.assignedSlotCount
    var filter = SlotBitset(count: count)
    guard matching > 0 else { return filter }
    if shape == .random {
      var random = TestRandom(seed: UInt64(matching))
      while filter.population < matching { filter[random.below(count)] = true }
      return filter
    }
    let order = try index.exactSearch(query, k: count).hits
    let hits = shape == .nearTheQuery ? order.prefix(matching) : order.suffix(matching)
    for hit in hits { filter[Int(hit.slot)] = true }
    return filter
  }

  struct Case: CustomTestStringConvertible, Sendable {
    var shape: Shape
    var metric: IndexParameters.Metric
    var isIntegral = false
    var testDescription: String { "\(shape) \(metric) \(isIntegral ? "integers" : "reals")" }
  }

  static let cases =
    Shape.allCases.flatMap { shape in
      IndexParameters.Metric.ofFloats.map { Case(shape: shape, metric: $0) }
    } + Shape.allCases.map { Case(shape: $0, metric: .l2, isIntegral: true) }

  @Test(arguments: cases)
  func agreesWithTheBruteForce(testCase: Case) throws {
    let index = try Self.index(testCase.metric, isIntegral: testCase.isIntegral)
    var plans = Set<SearchOutcome.Plan>()
    let queries = Self.births(9_030, isIntegral: testCase.isIntegral)[9_000...].map(\.vector)
    for matching in [0, 9, 90, 900, 2_000, 4_500] {
      var (found, wanted) = (0, 0)
      for query in queries {
        let filter = try Self.filter(testCase.shape, matching: matching, query: query, index)
        let truth = try index.exactSearch(query, k: 10, filter: filter).hits
        let outcome = try index.search(query, k: 10, ef: 32, filter: filter)
        plans.insert(outcome.plan)
        #expect(outcome.hits.count == truth.count)
        #expect(outcome.hits.allSatisfy { filter[Int($0.slot)] })
        #expect(Set(outcome.hits.map(\.slot)).count == outcome.hits.count)
        let exact = Dictionary(
          uniqueKeysWithValues: try index.exactSearch(query, k: 200, filter: filter).hits.map {
            ($0.slot, $0.distance)
          })
        for hit in outcome.hits { #expect(exact[hit.slot].map { $0 == hit.distance } ?? true) }
        let limit = truth.last?.distance ?? 0
        found += outcome.hits.count { $0.distance <= limit }
        wanted += truth.count
        if matching <= 64 { #expect(outcome.hits == truth) }
        #expect(try index.search(query, k: 10, ef: 32, filter: filter) == outcome)
      }
      let reached = wanted == 0 ? 1 : Double(found) / Double(wanted)
      #expect(reached >= 0.95, "\(testCase.testDescription), \(matching) match: \(reached)")
    }
    #expect(plans.contains(.scan))
  }

  /// Many long vectors, so that walking pays.
  @Test(arguments: [false, true])
  func walksAgreeWithTheBruteForce(isIntegral: Bool) throws {
    let (dimensions, count) = (512, 14_000)
    var random = TestRandom(seed: 17)
    let centres = (0..<25).map { _ in (0..<8).map { _ in random.normal() * 3 } }
    let mixing = (0..<8).map { _ in (0..<dimensions).map { _ in random.normal() } }
    func vector() -> [Float] {
      var result = [Float](repeating: 0, count: dimensions)
      for (axis, centre) in centres[random.below(25)].enumerated() {
        let weight = centre + random.normal() * 2
        for j in 0..<dimensions { result[j] += weight * mixing[axis][j] }
      }
      return isIntegral ? result.map { min(255, max(0, (128 + $0 * 4).rounded())) } : result
    }
    let index = try IndexGeneration(
      parameters: IndexParameters(dimensions: dimensions, metric: .l2, efConstruction: 60),
      options: IndexOptions(threads: 2))
    try index.apply(
      lsn: 1, deaths: [], births: (0..<count).map { testBirth($0, vector()) })
    index.publish(lsn: 1)
    let queries = (0..<12).map { _ in vector() }
    var plans = Set<SearchOutcome.Plan>()
    for shape in Shape.allCases {
      for matching in [1_820, 7_000] {
        var (found, wanted) = (0, 0)
        for query in queries {
          let filter = try Self.filter(shape, matching: matching, query: query, index)
          let truth = try index.exactSearch(query, k: 10, filter: filter).hits
          let outcome = try index.search(query, k: 10, ef: 14, filter: filter)
          plans.insert(outcome.plan)
          #expect(outcome.hits.count == 10)
          #expect(outcome.hits.allSatisfy { filter[Int($0.slot)] })
          #expect(outcome.distanceCount <= 2 * matching + 300)
          #expect(try index.search(query, k: 10, ef: 14, filter: filter) == outcome)
          found += outcome.hits.count { $0.distance <= truth[9].distance }
          wanted += 10
        }
        let reached = Double(found) / Double(wanted)
        #expect(reached >= 0.9, "\(shape), \(matching) match: \(reached)")
      }
    }
    #expect(plans.contains(.twoHop) && plans.contains(.filteredGraph), "\(plans)")
  }

  /// A walk that leads nowhere gives way soon: what is computed stays near what a scan computes.
  @Test func noPlanCostsMuchMoreThanTheScan() throws {
    let index = try Self.index(.l2, isIntegral: true)
    let queries = Self.births(9_020, isIntegral: true)[9_000...].map(\.vector)
    for matching in [100, 300, 900, 2_000, 4_500] {
      for ef in [10, 64, 400] {
        for query in queries {
          let filter = try Self.filter(.farFromTheQuery, matching: matching, query: query, index)
          let outcome = try index.search(query, k: 10, ef: ef, filter: filter)
          #expect(outcome.distanceCount <= 2 * matching + 600, "\(matching), ef \(ef)")
        }
      }
    }
  }

  @Test func kernelsChangeNothing() throws {
    var expected: [SearchOutcome]?
    for kernels in KernelSet.available {
      let index = try Self.index(.cosine, kernels: kernels)
      let query = Self.births(9_001, isIntegral: false)[9_000].vector
      let outcomes = try Shape.allCases.flatMap { shape in
        try [90, 900, 2_000, 4_500].map { matching in
          let filter = try Self.filter(shape, matching: matching, query: query, index)
          return try index.search(query, k: 10, ef: 24, filter: filter)
        }
      }
      #expect(expected == nil || expected == outcomes, "\(kernels.name)")
      expected = outcomes
    }
  }

  @Test func anyWidthAndNumber() throws {
    let index = try Self.index(.l2)
    let query = Self.births(9_001, isIntegral: false)[9_000].vector
    for matching in [70, 900, 4_500] {
      let filter = try Self.filter(.random, matching: matching, query: query, index)
      for k in [1, 63, 1_000, 9_000] {
        let truth = try index.exactSearch(query, k: k, filter: filter).hits
        let hits = try index.search(query, k: k, ef: 1, filter: filter).hits
        #expect(hits.count == truth.count)
        #expect(zip(hits, truth).allSatisfy { $0.distance >= $1.distance })
      }
    }
    // A filter of an earlier moment speaks of fewer slots.
    var early = SlotBitset(count: 4_000, filled: true)
    early.countMembers()
    #expect(
      try index.search(query, k: 10, ef: 30, filter: early).hits.allSatisfy { $0.slot < 4_000 })
  }

  /// More records as near as the k-th than a scan keeps in mind: the lowest slots win.
  @Test(arguments: IndexParameters.Metric.ofFloats)
  func thousandsAsNear(metric: IndexParameters.Metric) throws {
    let births = (0..<12_000).map { number -> Birth in
      var vector = [Float](repeating: 3, count: Self.dimensions)
      if number % 3 == 0 { vector[number % 16] = Float(4 + number % 7) }
      return testBirth(number, vector)
    }
    let index = try IndexGeneration(
      parameters: IndexParameters(
        dimensions: Self.dimensions, metric: metric, efConstruction: 40))
    try index.apply(lsn: 1, deaths: [], births: births)
    index.publish(lsn: 1)
    var filter = SlotBitset(count: births.count, filled: true)
    filter[5] = false
    for k in [10, 200] {
      for offset in [Float(0), 0.25] {
        let query = [Float](repeating: 3 + offset, count: Self.dimensions)
        let truth = try index.exactSearch(query, k: k, filter: filter).hits
        let outcome = try index.search(query, k: k, ef: 4_000, filter: filter)
        #expect(outcome.plan == .scan)
        #expect(outcome.hits == truth, "\(metric), k \(k), offset \(offset)")
      }
    }
  }

  @Test func besideTheWriter() throws {
    let births = Self.births(6_000, isIntegral: false)
    let index = try IndexGeneration(
      parameters: IndexParameters(dimensions: Self.dimensions, metric: .l2, efConstruction: 40))
    try index.apply(lsn: 1, deaths: [], births: Array(births[..<1_500]))
    index.publish(lsn: 1)
    let isDone = Atomic<Bool>(false)
    let failures = Atomic<Int>(0)
    let group = DispatchGroup()
    group.enter()
    Thread {
      for lsn in 2...46 as ClosedRange<UInt64> {
        let first = 1_500 + (Int(lsn) - 2) * 100
        // Every multiple of 30 dies sooner or later.
        let deaths = (0..<3).map { UInt32((Int(lsn) - 2) * 90 + $0 * 30) }
        if (try? index.apply(
          lsn: lsn, deaths: deaths, births: Array(births[first..<(first + 100)]))) == nil
        {
          failures.add(1, ordering: .relaxed)
        }
        index.publish(lsn: lsn)
      }
      isDone.store(true, ordering: .releasing)
      group.leave()
    }.start()
    var random = TestRandom(seed: 3)
    var searches = 0
    while !isDone.load(ordering: .acquiring) || searches < 100 {
      let view = index.view()
      var filter = SlotBitset(count: view.slotCount)
      let step = [2, 10, 30][searches % 3]
      for slot in stride(from: 0, to: view.slotCount, by: step) { filter[slot] = true }
      let visible = (0..<view.slotCount).count { filter[$0] && index.isVisible($0, in: view) }
      let query = births[random.below(births.count)].vector
      let hits = try index.search(query, k: 20, ef: 20, filter: filter, at: view).hits
      #expect(hits.count == min(20, visible))
      #expect(hits.allSatisfy { filter[Int($0.slot)] && index.isVisible(Int($0.slot), in: view) })
      searches += 1
    }
    group.wait()
    #expect(failures.load(ordering: .relaxed) == 0)
  }
}
