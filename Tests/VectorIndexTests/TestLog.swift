import Testing
import VecDBBytes
import VecDBIndex

/// A batch for an index, as a log would carry it.
struct TestBatch {
  var lsn: UInt64
  var deaths: [UInt32]
  var births: [Birth]
}

/// A log of inserts, updates and deletes, and what should be alive after it.
struct TestLog {
  var batches: [TestBatch] = []
  var live: [UInt32] = []
  private(set) var slotCount = 0
  private var random: TestRandom
  private let makeVector: (Int, inout TestRandom) -> [Float]

  init(seed: UInt64, makeVector: @escaping (Int, inout TestRandom) -> [Float]) {
    random = TestRandom(seed: seed)
    self.makeVector = makeVector
  }

  /// One batch: `deathCount` of the living die, `birthCount` are born.
  mutating func append(births birthCount: Int, deaths deathCount: Int = 0) {
    var deaths: [UInt32] = []
    for _ in 0..<min(deathCount, live.count) {
      deaths.append(live.remove(at: random.below(live.count)))
    }
    let births = (0..<birthCount).map { index in
      let number = slotCount + index
      let columns = [
        ColumnValue(field: Array("group".utf8), value: Array("\(number % 7)".utf8)),
        ColumnValue(field: Array("number".utf8), value: Array("\(number)".utf8)),
      ]
      return testBirth(number, makeVector(number, &random), columns: columns)
    }
    for _ in births {
      live.append(UInt32(slotCount))
      slotCount += 1
    }
    batches.append(
      TestBatch(lsn: UInt64(batches.count + 1), deaths: deaths, births: births))
  }

  /// Batches of all sizes, with deaths, up to about `records` births.
  mutating func appendMixture(records: Int) {
    while slotCount < records {
      let births = random.below(4) == 0 ? 200 + random.below(600) : random.below(90)
      append(births: births, deaths: random.below(20))
    }
  }
}

extension IndexParameters.Metric {
  /// Those that take any numbers.
  static let ofFloats: [Self] = [.l2, .cosine, .dot]
}

extension IndexGeneration {
  func replay(_ batches: some Sequence<TestBatch>) throws {
    for batch in batches {
      try apply(lsn: batch.lsn, deaths: batch.deaths, births: batch.births)
      publish(lsn: batch.lsn)
    }
  }

  /// Of every block of every array.
  var storedDigests: [Digest] {
    var digests: [Digest] = []
    forEachBlock { _, _, _, bytes in digests.append(SHA256.hash(bytes)) }
    return digests
  }
}

/// Fraction of the true `k` nearest that searches find; ties count by distance.
func recall(
  _ index: IndexGeneration, queries: [[Float]], k: Int, ef: Int, filter: SlotBitset? = nil
) throws -> Double {
  var found = 0
  var wanted = 0
  for query in queries {
    let truth = try index.exactSearch(query, k: k, filter: filter).hits
    let hits = try index.search(query, k: k, ef: ef, filter: filter).hits
    #expect(hits.count == truth.count)
    let limit = truth.last?.distance ?? 0
    found += hits.filter { $0.distance <= limit }.count
    wanted += truth.count
  }
  return wanted == 0 ? 1 : Double(found) / Double(wanted)
}

/// Stored bytes of a generation, as checkpoints leave them.
final class TestStore {
  private var blocks: [String: [Int: [UInt8]]] = [:]
  private var lengths: [String: Int] = [:]
  private(set) var state: [UInt8] = []
  private(set) var blocksWritten = 0

  /// Takes a snapshot's dirty blocks; `between` runs before each.
  func take(_ snapshot: IndexSnapshot, between: () throws -> Void = {}) throws {
    state = snapshot.state
    for (number, array) in snapshot.arrays.enumerated() {
      lengths[array.name] = array.lengthBytes
      for block in array.dirtyBlocks {
        try between()
        blocks[array.name, default: [:]][block] = snapshot.read(array: number, block: block)
        blocksWritten += 1
      }
    }
  }

  /// Opens what was taken; `damage` is let at each array then.
  func open(
    options: IndexOptions = IndexOptions(),
    damage: (_ array: String, _ length: Int, UnsafeMutableRawPointer) -> Void = { _, _, _ in }
  ) throws -> IndexGeneration {
    try IndexGeneration(opening: state, options: options) { name, length, base in
      #expect(length == lengths[name])
      var start = 0
      var block = 0
      while start < length {
        let bytes = blocks[name]?[block] ?? []
        let expected = min(1 << 20, length - start)
        // A block that was short when it was written is dirty again once the array has grown.
        #expect(bytes.count == expected, "\(name) block \(block)")
        bytes.withUnsafeBytes {
          base.advanced(by: start).copyMemory(
            from: $0.baseAddress!, byteCount: min(expected, $0.count))
        }
        start += 1 << 20
        block += 1
      }
      damage(name, length, base)
    }
  }
}
