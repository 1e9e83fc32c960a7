import Testing
import VecDBIndex

@Suite struct ColumnTests {
  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private static func slots(_ set: SlotBitset) -> [Int] {
    var result: [Int] = []
    set.visit { result.append($0) }
    return result
  }

  @Test func selectsByPredicate() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 2, metric: .l2))
    let long = String(repeating: "x", count: 65)
    let values: [String?] = ["a", "b", nil, "a", long, "b", "c", nil]
    for (number, value) in values.enumerated() {
      let columns = value.map { [ColumnValue(field: Self.bytes("f"), value: Self.bytes($0))] } ?? []
      let birth = testBirth(number, [1, 2], columns: columns)
      try index.apply(lsn: UInt64(number + 1), deaths: [], births: [birth])
    }
    index.publish(lsn: 8)
    let view = index.view()
    var asked: [String?] = []
    let selection = index.columnSelection(field: Self.bytes("f"), at: view) { value in
      asked.append(value.map { String(decoding: $0, as: UTF8.self) })
      return value.map { $0.elementsEqual(Self.bytes("a")) } ?? true
    }
    #expect(Self.slots(selection.matching) == [0, 2, 3, 7])
    #expect(Self.slots(selection.undecided) == [4])
    #expect(asked.count == 4)  // Once per value and once for its absence.
    let unknown = index.columnSelection(field: Self.bytes("g"), at: view) { $0 == nil }
    #expect(unknown.matching.population == 8)
    #expect(unknown.undecided.isEmpty)
  }

  @Test func columnsAreLimited() throws {
    let index = try IndexGeneration(parameters: IndexParameters(dimensions: 1, metric: .l2))
    let columns = (0..<70).map { ColumnValue(field: Self.bytes("f\($0)"), value: [UInt8($0)]) }
    try index.apply(lsn: 1, deaths: [], births: [testBirth(0, [0], columns: columns)])
    try index.apply(lsn: 2, deaths: [], births: [testBirth(1, [0], columns: columns.reversed())])
    index.publish(lsn: 2)
    #expect(index.columnFields == (0..<64).map { Self.bytes("f\($0)") })
    let view = index.view()
    let inside = index.columnSelection(field: Self.bytes("f63"), at: view) { $0?.first == 63 }
    #expect(inside.matching.population == 2)
    let outside = index.columnSelection(field: Self.bytes("f64"), at: view) { _ in true }
    #expect(outside.matching.isEmpty)
    #expect(outside.undecided.population == 2)
  }

  @Test func columnsSurviveReopening() throws {
    var log = TestLog(seed: 2) { _, random in random.vector(3) }
    log.appendMixture(records: 2_500)
    let half = log.batches.count / 2
    let whole = try IndexGeneration(parameters: IndexParameters(dimensions: 3, metric: .l2))
    try whole.replay(log.batches[..<half])
    let store = TestStore()
    let snapshot = whole.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    let reopened = try store.open()
    try whole.replay(log.batches[half...])
    try reopened.replay(log.batches[half...])
    #expect(reopened.columnFields == whole.columnFields)
    for group in 0..<7 {
      let select = { (index: IndexGeneration) in
        index.columnSelection(field: Self.bytes("group"), at: index.view()) {
          $0?.elementsEqual("\(group)".utf8) ?? false
        }.matching
      }
      #expect(select(whole) == select(reopened))
      #expect(
        Self.slots(select(whole)) == (0..<log.slotCount).filter { $0 % 7 == group })
    }
    #expect(reopened.checkInvariants() == [])
    #expect(reopened.encodeState() == whole.encodeState())
  }

  @Test func bitsetsFollowSetAlgebra() {
    var random = TestRandom(seed: 1)
    for count in [0, 1, 63, 64, 65, 200] {
      var (a, b) = (SlotBitset(count: count), SlotBitset(count: count))
      var (setA, setB) = (Set<Int>(), Set<Int>())
      for slot in 0..<count {
        if random.below(2) == 0 {
          setA.insert(slot)
          a[slot] = true
        }
        if random.below(2) == 0 {
          setB.insert(slot)
          b[slot] = true
        }
      }
      func check(_ set: Set<Int>, _ operation: (inout SlotBitset) -> Void) {
        var result = a
        operation(&result)
        #expect(Self.slots(result) == set.sorted())
        #expect(result.population == set.count)
        #expect(result.isEmpty == set.isEmpty)
      }
      check(setA.intersection(setB)) { $0.formIntersection(b) }
      check(setA.union(setB)) { $0.formUnion(b) }
      check(setA.subtracting(setB)) { $0.subtract(b) }
      check(Set(0..<count).subtracting(setA)) { $0.invert() }
      #expect(SlotBitset(count: count, filled: true).population == count)
      #expect(!a[count])
    }
  }

  /// Visiting passes over runs of empty words, which may begin and end anywhere.
  @Test func sparseBitsetsAreVisitedWhole() {
    var random = TestRandom(seed: 2)
    for count in [64, 255, 256, 257, 320, 1_000, 4_096, 5_001] {
      for members in [0, 1, 2, 7, 40] {
        var set = SlotBitset(count: count)
        let slots = Set((0..<members).map { _ in random.below(count) })
        for slot in slots { set[slot] = true }
        var visited: [Int] = []
        set.visit { visited.append($0) }
        #expect(visited == slots.sorted(), "\(count) slots")
      }
      var ends = SlotBitset(count: count)
      ends[0] = true
      ends[count - 1] = true
      let found = Self.slots(ends)
      #expect(found == [0, count - 1])
    }
  }
}
