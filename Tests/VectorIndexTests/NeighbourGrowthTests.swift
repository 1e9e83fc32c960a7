import Glibc
import Testing
import VectorIndex

@Suite struct NeighbourGrowthTests {
  @Test func logarithmsAndPowersAreThoseOfTheLibrary() {
    for value in [1, 2, 3, 7, 10, 100, 65_535, 1 << 20, 4_294_967_295, 1 << 47] as [UInt64] {
      let own = Double(NeighbourGrowth.log2(value)) / 65_536
      #expect(abs(own - log2(Double(value))) < 2e-5, "\(value)")
    }
    for step in 0..<640 {
      let power = Double(step) / 20.5
      let own = Double(NeighbourGrowth.exp2(UInt64(power * 65_536))) / 65_536
      #expect(abs(own / exp2(power) - 1) < 1e-4, "2^\(power)")
    }
    #expect(NeighbourGrowth.exp2(32 << 16) == .max)
  }

  @Test func theFactorFollowsTheExponent() {
    // Rank grows with the sixth power of the squared distance.
    let exponent: UInt64 = 6 << 16
    #expect(NeighbourGrowth.distanceFactor(from: 10, to: 10, exponent: exponent) == 1 << 16)
    #expect(NeighbourGrowth.distanceFactor(from: 10, to: 5, exponent: exponent) == 1 << 16)
    let factor = NeighbourGrowth.distanceFactor(from: 10, to: 640, exponent: exponent)
    #expect(abs(Double(factor) / 65_536 - 2) < 1e-3)
    let growth = NeighbourGrowth(rankLogs: 12 << 16, distanceLogs: 2 << 16)
    #expect(growth.exponent == exponent)
    #expect(NeighbourGrowth(rankLogs: 5, distanceLogs: 0).exponent == 0)
  }

  /// Vectors in general position in d dimensions: about d / 2 is found, and survives reopening with
  /// every answer and its cost.
  @Test func theGraphLearnsTheDimensionOfItsVectors() throws {
    for dimensions in [4, 12] {
      let parameters = try IndexParameters(
        dimensions: dimensions, metric: .l2, degree: 8, efConstruction: 80)
      let index = try IndexGeneration(parameters: parameters)
      var random = TestRandom(seed: 77)
      let births = (0..<6_000).map { number in
        testBirth(number, (0..<dimensions).map { _ in random.normal() })
      }
      try index.apply(lsn: 1, deaths: [], births: births)
      index.publish(lsn: 1)
      let exponent = Double(index.growth.exponent) / 65_536
      #expect(exponent > Double(dimensions) * 0.25 && exponent < Double(dimensions) * 0.75)

      let store = TestStore()
      let snapshot = index.beginCheckpoint()
      try store.take(snapshot)
      snapshot.finish()
      let reopened = try store.open()
      for _ in 0..<50 {
        let query = (0..<dimensions).map { _ in random.normal() }
        let found = try index.search(query, k: 10, ef: 40)
        #expect(found.hits.count == 10)
        #expect(try reopened.search(query, k: 10, ef: 40) == found)
        // Even from ef = k on the settled half is expanded, and more work finds no less near.
        let near = try index.search(query, k: 10, ef: 400).hits
        for (one, other) in zip(near, found.hits) { #expect(one.distance <= other.distance) }
      }
    }
  }

  /// Equal vectors in thousands: every distance is 0, and so is what there is to learn.
  @Test func equalVectorsTeachNothing() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 3, metric: .l2))
    try index.apply(lsn: 1, deaths: [], births: (0..<3_000).map { testBirth($0, [1, 2, 3]) })
    index.publish(lsn: 1)
    #expect(index.growth.exponent == 0)
    #expect(try index.search([1, 2, 3], k: 100, ef: 10).hits.count == 100)
  }
}
