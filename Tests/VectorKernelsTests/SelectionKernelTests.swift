import Testing
import VecDBKernels

/// Kernels over bits: every set gives what counting one by one gives.
@Suite struct SelectionKernelTests {
  @Test(arguments: KernelSet.available.map(\.name))
  func differingBits(name: String) throws {
    let kernels = try #require(KernelSet.named(name))
    var random = SeededGenerator(seed: 3)
    for bytes in [64, 128, 192, 8_192] {
      let rowCount = bytes > 1_000 ? 5 : 37
      let rows = GuardedBuffer(countBytes: rowCount * bytes)
      let query = GuardedBuffer(countBytes: bytes)
      let (x, q) = (rows.typed(UInt8.self), query.typed(UInt8.self))
      for j in 0..<bytes { q[j] = UInt8.random(in: 0...255, using: &random) }
      for j in 0..<rowCount * bytes { x[j] = UInt8.random(in: 0...255, using: &random) }
      // All bits differ in the first row.
      for j in 0..<bytes { x[j] = ~q[j] }
      let ids = (0..<rowCount).map { UInt32(rowCount - 1 - $0) }
      var gathered = [Int32](repeating: 7, count: rowCount)
      var ranged = gathered
      let signed = query.typed(Int8.self)
      kernels.differingBits(signed, x, bytes, ids, rowCount, bytes, &gathered)
      kernels.differingBitsRange(signed, x, bytes, 0, rowCount, bytes, &ranged)
      for row in 0..<rowCount {
        let count = (0..<bytes).reduce(0) { $0 + (q[$1] ^ x[row * bytes + $1]).nonzeroBitCount }
        #expect(ranged[row] == Int32(-count))
        #expect(gathered[rowCount - 1 - row] == Int32(-count))
      }
      #expect(ranged[0] == Int32(-8 * bytes))
    }
  }

  @Test(arguments: KernelSet.available.map(\.name))
  func selectedIDs(name: String) throws {
    let kernels = try #require(KernelSet.named(name))
    var random = SeededGenerator(seed: 4)
    for limit in [1, 2, 31, 32, 33, 1_000, 70_000] as [UInt32] {
      let words = 9
      let buffer = GuardedBuffer(countBytes: words * 256)
      let ids = buffer.typed(UInt32.self)
      for place in 0..<words * 64 {
        // Some beyond the limit, which count as the limit.
        ids[place] = UInt32.random(in: 0...limit + limit / 8 + 1, using: &random)
      }
      ids[5] = .max
      let table = GuardedBuffer(countBytes: (Int(limit) / 32 + 1) * 4)
      let bits = table.typed(UInt32.self)
      for cell in 0...Int(limit) / 32 { bits[cell] = UInt32.random(in: 0 ... .max, using: &random) }
      var found = [UInt64](repeating: 0, count: words)
      kernels.selectIDs(ids, words, bits, limit, &found)
      for place in 0..<words * 64 {
        let id = min(ids[place], limit)
        let expected = bits[Int(id / 32)] >> (id % 32) & 1
        #expect(found[place / 64] >> UInt64(place % 64) & 1 == UInt64(expected))
      }
    }
  }
}
