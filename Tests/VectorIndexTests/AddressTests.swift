import Foundation
import Testing
import VecDBBytes
import VecDBIndex

/// Arrays take the address space that they use, and not what the machine's memory would allow.
@Suite(.serialized) struct AddressTests {
  /// The address space of this process, in bytes.
  private static func virtualBytes() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    let pages = try #require(text.split(separator: " ").first.flatMap { Int($0) })
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  @Test func aThousandIndexesTakeLittle() throws {
    let before = try Self.virtualBytes()
    var indexes: [IndexGeneration] = []
    for number in 0..<1_000 {
      let index = try IndexGeneration(
        parameters: IndexParameters(dimensions: 784, metric: .cosine), options: IndexOptions())
      try index.apply(
        lsn: 1, deaths: [],
        births: [
          Birth(
            key: Array("k\(number)".utf8),
            vector: [Float](repeating: Float(number + 1), count: 784),
            hash: .zero,
            columns: [ColumnValue(field: Array("f".utf8), value: Array("\(number)".utf8))])
        ])
      indexes.append(index)
    }
    let taken = try Self.virtualBytes() - before
    // Each took some 300 GB where space was reserved.
    #expect(taken < 64 << 30, "\(taken >> 20) MiB")
    for (number, index) in indexes.enumerated() {
      #expect(index.vector(0) == [Float](repeating: Float(number + 1), count: 784))
    }
    indexes = []
    #expect(try Self.virtualBytes() - before < 8 << 30)
  }

  /// Arrays that come, grow and go at random keep their bytes and their places.
  @Test(arguments: UInt64(1)...4)
  func arraysGrowInPlace(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    struct Grown {
      var array: RowArray
      var base: UnsafeMutableRawPointer
      var mark: UInt8
    }
    var arrays: [Grown] = []
    for step in 0..<400 {
      if arrays.isEmpty || Int.random(in: 0..<4, using: &random) == 0 {
        let array = try RowArray(
          name: "a\(step)", strideBytes: 64, rowLimit: 1 << 40, maximumBytes: 1 << 46)
        arrays.append(Grown(array: array, base: array.base, mark: UInt8(truncatingIfNeeded: step)))
      } else if Int.random(in: 0..<8, using: &random) == 0 {
        arrays.remove(at: Int.random(in: arrays.indices, using: &random))
      } else {
        let index = Int.random(in: arrays.indices, using: &random)
        let grown = arrays[index]
        let rows = grown.array.count + Int.random(in: 1...200_000, using: &random)
        try grown.array.extend(to: rows)
        (grown.base + (rows - 1) * 64).storeBytes(of: grown.mark, as: UInt8.self)
        #expect((grown.base + (rows - 1) * 64).load(as: UInt8.self) == grown.mark)
      }
      for grown in arrays {
        #expect(grown.array.base == grown.base, "seed \(seed)")
        guard grown.array.count > 0 else { continue }
        let last = (grown.base + (grown.array.count - 1) * 64).load(as: UInt8.self)
        #expect(last == grown.mark, "seed \(seed), step \(step)")
        #expect(grown.array.dirtyBlockCount > 0)
      }
    }
  }
}
