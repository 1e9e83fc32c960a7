import Testing
import VecDBBytes
import VecDBIndex

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

  /// What is logged can be applied: applying asks the system for nothing more, whatever a batch
  /// brings: nodes of upper layers, and fields that have no column yet.
  @Test(arguments: UInt64(1)...4)
  func whatWasAskedForSuffices(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let index = try IndexGeneration(
      parameters: IndexParameters(dimensions: 4, metric: .l2), options: IndexOptions())
    for lsn in UInt64(1)...12 {
      let count = [1, 40, 3_000, 20_000].randomElement(using: &random) ?? 1
      let first = Int.random(in: 0..<80, using: &random)
      let fields = (first..<first + Int.random(in: 0..<30, using: &random)).map {
        Array("field \($0)".utf8)
      }
      let births = (0..<count).map { number in
        Birth(
          key: Array("k\(lsn)-\(number)".utf8),
          vector: (0..<4).map { _ in Float.random(in: 0...1, using: &random) }, hash: .zero,
          columns: fields.map { ColumnValue(field: $0, value: Array("\(number % 1_000)".utf8)) })
      }
      let new = fields.filter { field in !field.withUnsafeBytes { index.knows(field: $0) } }
      try index.requireRoom(
        slots: index.assignedSlotCount + count, births: count, newFields: new.count)
      let reserved = index.reservedBytes
      try index.apply(lsn: lsn, deaths: [], births: births)
      #expect(index.reservedBytes == reserved, "LSN \(lsn), \(count) births, \(new.count) fields")
    }
    #expect(index.columnFields.count > 30)
  }
}
