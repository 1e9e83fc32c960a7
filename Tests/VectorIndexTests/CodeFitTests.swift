import Testing
import VecDBBytes
import VecDBIndex
import VecDBKernels
import VecDBShapes

/// Codes are measured while the graph grows, and give way to the float32 rows where they are wrong.
@Suite struct CodeFitTests {
  static func shape(_ name: String) throws -> Shape {
    try #require(Shape.all.first { $0.name == name }, "there is no shape \(name)")
  }

  static func index(
    _ data: [[Float]], metric: IndexParameters.Metric, codes: IndexParameters.Codes = .automatic,
    options: IndexOptions = IndexOptions(), batch: Int = 300
  ) throws -> IndexGeneration {
    let index = try IndexGeneration(
      parameters: IndexParameters(
        dimensions: data.first?.count ?? 1, metric: metric, codes: codes), options: options)
    try append(data, to: index, batch: batch)
    return index
  }

  static func append(_ data: [[Float]], to index: IndexGeneration, batch: Int = 300) throws {
    for start in stride(from: 0, to: data.count, by: batch) {
      let first = index.assignedSlotCount
      let births = data[start..<min(start + batch, data.count)].enumerated().map {
        testBirth(first + $0, $1)
      }
      let lsn = index.appliedLSN + 1
      try index.apply(lsn: lsn, deaths: [], births: births)
      index.publish(lsn: lsn)
    }
  }

  /// Those for which one scale for all components is no good, and those for which it is superb.
  @Test(arguments: [
    ("cities", true), ("two-sites", true), ("units", true), ("price", true), ("time", true),
    ("four-clusters", true), ("tiny", true), ("huge", true),
    ("topics", false), ("images", false), ("bytes", false), ("bits", false), ("wide", false),
  ])
  func codesAreUsedWhereTheyAreRight(name: String, usesRows: Bool) throws {
    // Prices lie so close that codes cannot tell them apart only where there are many.
    let data = ShapeData(try Self.shape(name), count: name == "price" ? 7_000 : 2_400, queries: 1)
    let index = try Self.index(data.base, metric: .l2)
    #expect(index.usesRows == usesRows, "\(index.codeFit)")
    #expect(index.checkInvariants() == [])
    for slot in stride(from: 0, to: data.base.count, by: 97) {
      #expect(index.vector(slot) == data.base[slot])
    }
  }

  /// Records of another range: the change is made at the same batch with any number of threads and
  /// any kernels, also where the index was stored and opened in between, and a generation that is
  /// built from it is the same everywhere.
  @Test(arguments: ["range-moves", "drift", "shrinking", "images"])
  func theChangeIsDeterministic(name: String) throws {
    let data = ShapeData(try Self.shape(name), count: 2_600, queries: 1)
    let parameters = try IndexParameters(dimensions: data.base[0].count, metric: .l2)
    var expected: [[Digest]] = []
    for (threads, kernels) in [(1, KernelSet.portable), (2, .current), (3, .current)] {
      let options = IndexOptions(threads: threads, kernels: kernels)
      var index = try IndexGeneration(parameters: parameters, options: options)
      let store = TestStore()
      for (number, start) in stride(from: 0, to: data.base.count, by: 200).enumerated() {
        try Self.append(Array(data.base[start..<min(start + 200, data.base.count)]), to: index)
        if threads == 2, number % 4 == 3 {
          // Whoever reopens goes on where the other was.
          try store.take(index.beginCheckpoint())
          index = try store.open(options: options)
        }
      }
      try Self.append(data.late, to: index)
      #expect(index.usesRows, "\(name) \(index.codeFit)")
      let built = try IndexGeneration(parameters: parameters, options: options)
      let origin = index.appliedLSN
      while try built.adopt(index, at: origin, count: index.assignedSlotCount, limit: 700) {}
      while try built.insertAdopted(at: origin) {}
      #expect(index.checkInvariants() == [] && built.checkInvariants() == [])
      let digests = [
        [index.graphDigest()], [built.graphDigest()], index.storedDigests, built.storedDigests,
      ]
      if expected.isEmpty { expected = digests }
      if threads == 2 {
        // Reopened arrays have other free bytes behind their ends; the graph is the same.
        #expect(Array(digests.prefix(2)) == Array(expected.prefix(2)), "\(name)")
      } else {
        #expect(digests == expected, "\(name), \(threads) threads")
      }
    }
  }

  /// From the first record of the new range on, search is right: before the change is made, while it
  /// is, and after it. Whoever searches has the truth by brute force.
  @Test(arguments: ["topics", "images", "gaussian-48", "intrinsic-12"])
  func recallHoldsWhileDataDrifts(name: String) throws {
    let shape = try Self.shape(name)
    let data = ShapeData(shape, count: 2_600, queries: 20)
    let index = try Self.index(data.base, metric: .l2)
    let start = index.usesRows
    var changedAfter: Int?
    for first in stride(from: 0, to: data.late.count, by: 40) {
      try Self.append(Array(data.late[first..<min(first + 40, data.late.count)]), to: index)
      if !start, changedAfter == nil, index.usesRows { changedAfter = first + 40 }
      guard first % 200 == 0 else { continue }
      let recall = try VectorIndexTests.recall(
        index, queries: data.queries + data.lateQueries, k: 10, ef: 64)
      #expect(recall >= 0.9, "\(name): \(recall) after \(first + 40) records of another range")
    }
    if let changedAfter { #expect(changedAfter <= 1_000, "noticed after \(changedAfter)") }
    #expect(index.checkInvariants() == [])
  }

  /// A few odd records are no reason to give codes up for all others.
  @Test func singleOutliersChangeNothing() throws {
    var data = ShapeData(try Self.shape("topics"), count: 3_000, queries: 20)
    for number in stride(from: 1_200, to: 3_000, by: 300) {
      data.base[number] = data.base[number].map { $0 * 1_000 }
    }
    let index = try Self.index(data.base, metric: .l2)
    #expect(!index.usesRows, "\(index.codeFit)")
    let queries = data.queries + stride(from: 1_200, to: 3_000, by: 300).map { data.base[$0] }
    #expect(try VectorIndexTests.recall(index, queries: queries, k: 10, ef: 64) >= 0.99)
  }

  /// Whole numbers have a range without headroom, so noise takes any of their copies out of it. The
  /// copies are still where codes say, and so are queries with noise.
  @Test(arguments: [Float(1), 10])
  func noiseAtTheEndOfTheRangeChangesNothing(noise: Float) throws {
    var generator = TestRandom(seed: 20)
    // Half of the components are at the lower end, as the ground of an image is.
    let centres = (0..<12).map { _ in
      (0..<196).map { _ in
        Bool.random(using: &generator) ? Float(Int.random(in: 30...255, using: &generator)) : 0
      }
    }
    let base = (0..<2_400).map { number in
      centres[number % 12].map { value in
        value == 0
          ? 0 : min(255, max(0, value + Float(Int.random(in: -30...30, using: &generator))))
      }
    }
    func noisy(_ vector: [Float]) -> [Float] {
      vector.map { $0 + Float.random(in: -noise...noise, using: &generator) }
    }
    let index = try Self.index(base, metric: .l2)
    let codes = index.codesInUse
    try Self.append(base.prefix(600).map(noisy), to: index)
    #expect(!index.usesRows && index.codesInUse == codes, "\(index.codeFit)")
    #expect(index.checkInvariants() == [])
    let queries = base.suffix(20).map(noisy)
    #expect(try VectorIndexTests.recall(index, queries: queries, k: 10, ef: 64) >= 0.99)
  }

  /// A query far outside of what codes can say is answered by the vectors.
  @Test(arguments: [IndexParameters.Metric.l2, .cosine, .dot])
  func queriesOutsideOfTheRangeAreRight(metric: IndexParameters.Metric) throws {
    let data = ShapeData(try Self.shape("topics"), count: 3_000, queries: 30)
    let index = try Self.index(data.base, metric: metric)
    let far = data.queries.enumerated().map { number, query in
      query.enumerated().map { $0 == number % 8 ? Float(40) : $1 * 3 }
    }
    #expect(try VectorIndexTests.recall(index, queries: far, k: 10, ef: 64) >= 0.9)
  }

  /// What was asked for is what is used.
  @Test func codesCanBeGiven() throws {
    let data = ShapeData(try Self.shape("cities"), count: 2_000, queries: 1)
    #expect(try !Self.index(data.base, metric: .l2, codes: .bytes).usesRows)
    let images = ShapeData(try Self.shape("images"), count: 2_000, queries: 20)
    let rows = try Self.index(images.base, metric: .l2, codes: .rows)
    #expect(rows.usesRows && rows.codesInUse == "float32" && rows.checkInvariants() == [])
    #expect(try VectorIndexTests.recall(rows, queries: images.queries, k: 10, ef: 64) >= 0.95)
  }

  /// Parameters of every kind, and those of version 0.1, come back as they were.
  @Test func parametersKeepTheirCodes() throws {
    for codes in IndexParameters.Codes.allCases {
      let parameters = try IndexParameters(dimensions: 7, metric: .dot, codes: codes)
      #expect(try IndexParameters(decoding: parameters.encode()) == parameters)
      #expect(parameters.encode().count == (codes == .bytes ? 31 : 32))
    }
  }
}
