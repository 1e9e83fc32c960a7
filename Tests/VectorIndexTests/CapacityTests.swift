import Bytes
import Testing
import VectorIndex

/// An index says that it is full before a batch that it could not take is logged.
@Suite struct CapacityTests {
  @Test func refusesBeforeItIsFull() throws {
    let index = try IndexGeneration(
      parameters: IndexParameters(dimensions: 64, metric: .l2),
      options: IndexOptions(slotLimit: 70_000))
    try index.requireRoom(slots: 65_536, births: 65_536)
    #expect(throws: IndexError.self) { try index.requireRoom(slots: 100_000_000, births: 9) }
    let births = (0..<100).map { number in
      Birth(
        key: Array("k\(number)".utf8), vector: [Float](repeating: Float(number), count: 64),
        hash: .zero)
    }
    try index.apply(lsn: 1, deaths: [], births: births)
    try index.requireRoom(slots: 65_536, births: 65_536)
    #expect(throws: IndexError.self) { try index.requireRoom(slots: Int(Int32.max), births: 9) }
  }
}
