import Testing
import VecDBBytes
import VecDBIndex
import VecDBKernels

@Suite struct DeterminismTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var metric: IndexParameters.Metric
    var isIntegral: Bool
    var testDescription: String { "\(metric) \(isIntegral ? "integers" : "reals")" }

    func value(_ random: inout TestRandom) -> Float {
      guard isIntegral else { return random.normal() * 3 }
      return Float(random.below(metric == .hamming ? 2 : 256))
    }
  }

  static let cases = [
    Case(metric: .l2, isIntegral: true), Case(metric: .l2, isIntegral: false),
    Case(metric: .cosine, isIntegral: false), Case(metric: .dot, isIntegral: false),
    Case(metric: .dot, isIntegral: true), Case(metric: .hamming, isIntegral: true),
  ]

  static func log(_ testCase: Case, dimensions: Int, records: Int) -> TestLog {
    var log = TestLog(seed: 11) { _, random in
      (0..<dimensions).map { _ in
        testCase.value(&random)
      }
    }
    log.appendMixture(records: records)
    return log
  }

  @Test(arguments: cases)
  func threadsAndKernelsChangeNothing(testCase: Case) throws {
    let dimensions = 20
    let log = Self.log(testCase, dimensions: dimensions, records: 4_000)
    var random = TestRandom(seed: 5)
    let queries = (0..<30).map { _ in
      (0..<dimensions).map { _ in
        testCase.value(&random)
      }
    }
    let parameters = try IndexParameters(
      dimensions: dimensions, metric: testCase.metric, degree: 8, efConstruction: 40)
    var expected: (Digest, MultisetDigest, [SearchOutcome])?
    for kernels in KernelSet.available {
      for threads in [1, 2, 4] {
        let index = try IndexGeneration(
          parameters: parameters, options: IndexOptions(threads: threads, kernels: kernels))
        try index.replay(log.batches)
        let outcomes = try queries.map { try index.search($0, k: 10, ef: 40) }
        let digests = (index.graphDigest(), index.dataDigest)
        #expect(index.liveCount == log.live.count)
        if let expected {
          #expect(digests.0 == expected.0, "\(kernels.name), \(threads) threads")
          #expect(digests.1 == expected.1)
          #expect(outcomes == expected.2, "\(kernels.name), \(threads) threads")
        } else {
          #expect(index.graphSlotCount > 3_000)
          #expect(index.checkInvariants() == [])
          expected = (digests.0, digests.1, outcomes)
        }
      }
    }
  }

  /// Beside graph and codes also what threads write of a slot when it is born: in new slots, in
  /// slots that are used again among others, and in a generation that is built from another.
  @Test(arguments: cases)
  func threadsChangeNoByte(testCase: Case) throws {
    var log = Self.log(testCase, dimensions: 20, records: 2_000)
    let parameters = try IndexParameters(
      dimensions: 20, metric: testCase.metric, degree: 8, efConstruction: 40)
    log.append(births: 500)
    let births = log.batches.removeLast().births
    var expected: [[Digest]] = []
    for threads in [1, 2, 3] {
      let index = try IndexGeneration(
        parameters: parameters, options: IndexOptions(threads: threads))
      try index.replay(log.batches)
      let origin = index.appliedLSN
      let built = try IndexGeneration(
        parameters: parameters, options: IndexOptions(threads: threads))
      while try built.adopt(index, at: origin, count: index.assignedSlotCount, limit: 700) {}
      while try built.insertAdopted(at: origin) {}
      index.maintain(lsn: origin + 1, .repair(0..<index.assignedSlotCount))
      index.maintain(lsn: origin + 2, .collect)
      var reused: [UInt32] = []
      while reused.count < 100, let slot = index.freeSlot(after: reused.last) {
        reused.append(slot)
      }
      #expect(!reused.isEmpty)
      try index.apply(lsn: origin + 3, deaths: [], births: births, reusing: reused)
      let digests = [index, built].map { $0.storedDigests }
      if expected.isEmpty { expected = digests }
      #expect(digests == expected, "\(threads) threads")
      #expect(index.checkInvariants() == [] && built.checkInvariants() == [])
    }
  }

  /// The same graph on every machine and from every version that reads the format. A change that is
  /// meant to change graphs puts new values here and says so: it makes old replicas differ.
  @Test(arguments: zip(cases, goldenDigests))
  func graphsAreTheKnownOnes(testCase: Case, digest: String) throws {
    let log = Self.log(testCase, dimensions: 12, records: 2_500)
    let parameters = try IndexParameters(
      dimensions: 12, metric: testCase.metric, efConstruction: 200, codes: .bytes)
    let index = try IndexGeneration(parameters: parameters)
    try index.replay(log.batches)
    #expect(index.graphDigest().hex == digest)
  }

  /// The same for indexes that measure their codes; with twelve dimensions those of real numbers
  /// walk on the float32 rows.
  @Test(arguments: zip(cases, automaticDigests))
  func graphsWithMeasuredCodesAreTheKnownOnes(testCase: Case, digest: String) throws {
    let log = Self.log(testCase, dimensions: 12, records: 2_500)
    let parameters = try IndexParameters(
      dimensions: 12, metric: testCase.metric, efConstruction: 200)
    let index = try IndexGeneration(parameters: parameters)
    try index.replay(log.batches)
    #expect(index.graphDigest().hex == digest)
    #expect(index.usesRows == (!testCase.isIntegral || testCase.metric == .cosine))
  }

  static let automaticDigests = [
    "dfa6e8442f946ce7895e71c89638f29b67c3ec0185970d8d4dd351de7b6066fd",
    "bab5d0b6105ed0d97e64e8978c6a2913de407a436db7d6411616508356ca8d11",
    "bb72493388ffcae2a6225d068ff0596c765b50da873f058ca13eaaf7c689aaad",
    "4d43f7f0c50cf64f8036ce9b65c2d1507956cbf148c7f8a02e6ebdd71f7e90f6",
    "fa332b7a42ead428831287daeea223513e36faf08e64d50bcaa64cc887cfe015",
  ]

  static let goldenDigests = [
    "c0a64cb531f5d13a3fa65037baa69ffd27e4f47d4da80d31978b5ca3cf99b289",
    "72dae91b9370f1d2ac17a724ca2dde742dc71f83994d435435ea4ac5a98350a6",
    "3fdbd327835ce4505b2b118a69d0e1842793a3e2b945cdbf40480192c2f93b73",
    "64f569f051e3c2d99352cae815960eff7f02c8f11a3cc87ddca41ce209116c08",
    "94c45a791e88c6bbbe2f4b37712c983386b0627d6e0328a321efcfe5f121531b",
  ]

  @Test func integralDataNeedsNoFloats() throws {
    let log = Self.log(Case(metric: .l2, isIntegral: true), dimensions: 16, records: 3_000)
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 16, metric: .l2))
    try index.replay(log.batches)
    // Only those from before the training, whose rows are never moved.
    #expect(index.exactRowCount < IndexGeneration.trainingThreshold)
    for (slot, birth) in log.batches.flatMap(\.births).enumerated() {
      #expect(index.vector(slot) == birth.vector)
    }
  }

  @Test func bitsSurviveWhateverTheyAre() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 2, metric: .l2))
    var births = (0..<2_000).map { testBirth($0, [Float($0 % 256), 7]) }
    births[1_500].vector = [-0.0, 7]
    births[1_600].vector = [3.4e38, -3.4e38]
    births[1_700].vector = [.leastNonzeroMagnitude, 0.1]
    // Trained on the first batch, which is whole numbers.
    try index.apply(lsn: 1, deaths: [], births: Array(births[..<1_200]))
    try index.apply(lsn: 2, deaths: [], births: Array(births[1_200...]))
    index.publish(lsn: 2)
    #expect(index.graphSlotCount == 2_000)
    #expect(index.exactRowCount == 3)
    for (slot, birth) in births.enumerated() {
      #expect(index.vector(slot)?.map(\.bitPattern) == birth.vector.map(\.bitPattern))
    }
    #expect(index.clippedCount == 2)
    let far = try index.search([-3.4e38, 3.4e38], k: 2_000, ef: 10).hits
    #expect(far.count == 2_000)
    // Too far for a Float, all of them; what is nearer comes first all the same.
    #expect(Set(far.map(\.slot)).count == 2_000)
    #expect(far.last?.slot == 1_600)
    #expect(far.allSatisfy { $0.distance == .infinity })
  }
}
