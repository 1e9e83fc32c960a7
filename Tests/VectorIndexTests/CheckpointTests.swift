import Testing
import VecDBBytes
import VecDBIndex

@Suite struct CheckpointTests {
  static let parameters = Result {
    try IndexParameters(dimensions: 24, metric: .l2, degree: 6, efConstruction: 30)
  }

  static func log(records: Int, seed: UInt64 = 3) -> TestLog {
    var log = TestLog(seed: seed) { _, random in (0..<24).map { _ in random.normal() } }
    log.appendMixture(records: records)
    return log
  }

  @Test func reopeningAnywhereEqualsNeverClosing() throws {
    let log = Self.log(records: 5_000)
    let whole = try IndexGeneration(parameters: Self.parameters.get())
    try whole.replay(log.batches)
    var random = TestRandom(seed: 21)
    for _ in 0..<8 {
      let store = TestStore()
      var index = try IndexGeneration(parameters: Self.parameters.get())
      var start = 0
      while start < log.batches.count {
        let end = min(log.batches.count, start + 1 + random.below(log.batches.count / 2))
        try index.replay(log.batches[start..<end])
        start = end
        let snapshot = index.beginCheckpoint()
        try store.take(snapshot)
        snapshot.finish()
        #expect(index.dirtyBlockCount == 0)
        index = try store.open()
      }
      #expect(index.graphDigest() == whole.graphDigest())
      #expect(index.dataDigest == whole.dataDigest)
      #expect(index.encodeState() == whole.encodeState())
      #expect(index.checkInvariants() == [])
      let query = log.batches[0].births.first?.vector ?? [Float](repeating: 0.5, count: 24)
      #expect(
        try index.search(query, k: 10, ef: 50) == whole.search(query, k: 10, ef: 50))
      for slot in stride(from: 0, to: log.slotCount, by: 97) {
        #expect(index.vector(slot) == whole.vector(slot))
        #expect(index.key(slot) == whole.key(slot))
      }
    }
  }

  @Test func skipsWhatItHas() throws {
    let log = Self.log(records: 1_500)
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches)
    let digest = index.graphDigest()
    let state = index.encodeState()
    for batch in log.batches {
      #expect(try index.apply(lsn: batch.lsn, deaths: batch.deaths, births: batch.births).isEmpty)
    }
    #expect(index.graphDigest() == digest)
    #expect(index.encodeState() == state)
  }

  @Test func snapshotStandsStillWhileWritesGoOn() throws {
    let log = Self.log(records: 9_000)
    let index = try IndexGeneration(
      parameters: Self.parameters.get(), options: IndexOptions(threads: 2))
    let half = log.batches.count / 2
    try index.replay(log.batches[..<half])
    let frozen = (index.graphDigest(), index.dataDigest)
    var next = half
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot) {
      // Between any two blocks the writer goes on and dirties them all.
      guard next < log.batches.count else { return }
      try index.replay(log.batches[next..<min(next + 9, log.batches.count)])
      next += 9
    }
    snapshot.finish()
    let opened = try store.open()
    #expect(opened.graphDigest() == frozen.0)
    #expect(opened.dataDigest == frozen.1)
    #expect(opened.checkInvariants() == [])

    // What was written meanwhile is dirty for the next checkpoint, which makes the store whole.
    try index.replay(log.batches[min(next, log.batches.count)...])
    let second = index.beginCheckpoint()
    try store.take(second)
    second.finish()
    #expect(try store.open().graphDigest() == index.graphDigest())
  }

  @Test func abandonedCheckpointIsWrittenAgain() throws {
    let log = Self.log(records: 3_000)
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches.dropLast())
    let dirty = index.dirtyBlockCount
    let abandoned = index.beginCheckpoint()
    #expect(index.dirtyBlockCount == 0)
    try index.replay(log.batches.suffix(1))
    abandoned.abandon()
    #expect(index.dirtyBlockCount >= dirty)
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    #expect(try store.open().graphDigest() == index.graphDigest())
  }

  @Test func damagedStatesAreRefused() throws {
    let log = Self.log(records: 1_400)
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches)
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    let state = store.state
    for length in stride(from: 0, to: state.count, by: 3) {
      #expect(throws: (any Error).self) {
        try IndexGeneration(opening: Array(state[..<length])) { _, _, _ in }
      }
    }
    var unknown = state
    unknown[4] = 99
    #expect(throws: IndexError.unknownVersion(99)) {
      try IndexGeneration(opening: unknown) { _, _, _ in }
    }
    // Any flipped byte is either refused or leaves something that answers without a crash.
    for position in 0..<state.count {
      var damaged = state
      damaged[position] ^= 0x81
      if let opened = try? IndexGeneration(opening: damaged, load: { _, _, _ in }) {
        _ = try? opened.search(
          [Float](repeating: 0, count: opened.parameters.dimensions), k: 5, ef: 10)
      }
    }
  }

  @Test func damagedArraysNeverCrashASearch() throws {
    let log = Self.log(records: 1_800)
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches)
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    var random = TestRandom(seed: 77)
    for _ in 0..<40 {
      let opened = try IndexGeneration(opening: store.state) { _, length, base in
        for position in 0..<length {
          base.storeBytes(
            of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: position, as: UInt8.self)
        }
      }
      for _ in 0..<3 {
        _ = try opened.search((0..<24).map { _ in random.normal() }, k: 10, ef: 40)
      }
      _ = opened.key(3)
      _ = opened.vector(5)
      #expect(!opened.checkInvariants().isEmpty)
    }
  }

  /// Arrays are mapped and not read when a database is opened: whoever inserts meets damage that
  /// nobody has found yet. It may cost links, and nothing else.
  @Test(arguments: ["links", "upperLinks", "parents"])
  func damagedLinksNeverCrashAnInsertion(array damaged: String) throws {
    let log = Self.log(records: 2_600)
    let half = log.batches.count / 2
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches[..<half])
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    var random = TestRandom(seed: 78)
    for turn in 0..<12 {
      let opened = try store.open { name, length, base in
        guard name == damaged else { return }
        for _ in 0..<(turn < 6 ? 40 : length / 8) {
          base.storeBytes(
            of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: random.below(length),
            as: UInt8.self)
        }
      }
      try opened.replay(log.batches[half...])
      _ = try opened.search((0..<24).map { _ in random.normal() }, k: 10, ef: 40)
    }
  }

  /// Children and parents in circles: neither insertions nor repairs follow them for ever.
  @Test(.timeLimit(.minutes(1)), arguments: [UInt64](1...8))
  func damagedParentsInACircleEndAnInsertion(seed: UInt64) throws {
    let log = Self.log(records: 2_600)
    let half = log.batches.count / 2
    let index = try IndexGeneration(parameters: Self.parameters.get())
    try index.replay(log.batches[..<half])
    let store = TestStore()
    let snapshot = index.beginCheckpoint()
    try store.take(snapshot)
    snapshot.finish()
    var random = TestRandom(seed: seed)
    let circle = 2 + random.below(6)
    let opened = try store.open { name, length, base in
      guard name == "links" || name == "parents" else { return }
      for word in 0..<length / 4 {
        base.storeBytes(
          of: UInt32(1 + random.below(circle)), toByteOffset: 4 * word, as: UInt32.self)
      }
    }
    try opened.replay(log.batches[half...])
    let slots = opened.assignedSlotCount
    opened.maintain(lsn: opened.appliedLSN + 1, .repair(0..<slots))
    opened.maintain(lsn: opened.appliedLSN + 1, .collect)
    _ = try opened.search((0..<24).map { _ in random.normal() }, k: 10, ef: 40)
  }
}
