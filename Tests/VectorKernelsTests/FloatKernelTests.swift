import Testing
import VecDBKernels

@Suite struct FloatKernelTests {
  private static let dimensions: [Int] = {
    var random = SeededGenerator(seed: 13)
    return Array(0...66) + [127, 128, 129, 384, 784, 1536]
      + (0..<40).map { _ in Int.random(in: 1...2000, using: &random) } + [65_521, 65_536]
  }()

  /// The float order, as its definition reads.
  private static func ordered(_ terms: [Float]) -> Float {
    var lanes = [Float](repeating: 0, count: 16)
    for (j, term) in terms.enumerated() { lanes[j % 16] += term }
    for half in [8, 4, 2, 1] {
      for l in 0..<half { lanes[l] += lanes[l + half] }
    }
    return lanes[0]
  }

  @Test(arguments: [0, 1, 2, 3])
  func everySetGivesTheSameBits(kind: Int) {
    for dimensions in Self.dimensions {
      let seed = UInt64(dimensions * 10 + kind)
      var random = SeededGenerator(seed: seed)
      func value() -> Float {
        switch kind {
        case 0: return Float.random(in: -1...1, using: &random)
        case 1: return Float(Int.random(in: 0...255, using: &random))
        case 2:  // every magnitude, subnormal squares included, none overflowing
          let exponent = Int.random(in: -70...55, using: &random)
          return Float(
            sign: Bool.random(using: &random) ? .minus : .plus, exponent: exponent,
            significand: Float.random(in: 1..<2, using: &random))
        default: return Bool.random(using: &random) ? -0.0 : 0.0
        }
      }
      let rowCount = 7
      let stride = dimensions * 4 + 4 * Int.random(in: 0...2, using: &random)
      let query = GuardedBuffer(countBytes: dimensions * 4)
      let rows = GuardedBuffer(countBytes: (rowCount - 1) * stride + dimensions * 4)
      let q = query.typed(Float.self)
      for j in 0..<dimensions { q[j] = value() }
      for row in 0..<rowCount {
        let x = (rows.base + row * stride).assumingMemoryBound(to: Float.self)
        for j in 0..<dimensions { x[j] = value() }
      }
      func row(_ id: UInt32) -> UnsafePointer<Float> {
        UnsafePointer((rows.base + Int(id) * stride).assumingMemoryBound(to: Float.self))
      }
      // The last row ends where the guard page begins.
      let ids =
        [UInt32(rowCount - 1)]
        + (0..<12).map { _ in UInt32.random(in: 0..<UInt32(rowCount), using: &random) }
      let squared = ids.map { id in
        Self.ordered(
          (0..<dimensions).map {
            let difference = q[$0] - row(id)[$0]
            return difference * difference
          }
        ).bitPattern
      }
      let inner = ids.map { id in
        Self.ordered((0..<dimensions).map { q[$0] * row(id)[$0] }).bitPattern
      }
      for kernels in KernelSet.available {
        let note: Comment = "\(kernels.name) \(dimensions) seed \(seed)"
        for n in [0, 1, 3, 4, 13] {
          var out = [Float](repeating: 5, count: n + 1)
          kernels.squaredL2Rows(q, rows.base, stride, ids, n, dimensions, &out)
          #expect(out[..<n].map(\.bitPattern) == Array(squared[..<n]), note)
          #expect(out[n] == 5, note)
          kernels.innerProductRows(q, rows.base, stride, ids, n, dimensions, &out)
          #expect(out[..<n].map(\.bitPattern) == Array(inner[..<n]), note)
        }
        for (index, id) in ids.enumerated() {
          #expect(
            kernels.squaredL2(q, row(id), dimensions).bitPattern == squared[index], note)
          #expect(
            kernels.innerProduct(q, row(id), dimensions).bitPattern == inner[index], note)
        }
      }
    }
  }

  @Test func theErrorIsWithinTheStatedBound() {
    for dimensions in Self.dimensions {
      let seed = UInt64(90_000 + dimensions)
      var random = SeededGenerator(seed: seed)
      let a = (0..<dimensions).map { _ in Float.random(in: -1...1, using: &random) }
      let b = (0..<dimensions).map { _ in Float.random(in: -1...1, using: &random) }
      let terms = Double((dimensions + 15) / 16 + 7) * 0x1p-24
      let squares = zip(a, b).map { (Double($0) - Double($1)) * (Double($0) - Double($1)) }
      let products = zip(a, b).map { Double($0) * Double($1) }
      for kernels in KernelSet.available {
        let squared = Double(kernels.squaredL2(a, b, dimensions))
        let inner = Double(kernels.innerProduct(a, b, dimensions))
        let note: Comment = "\(kernels.name) \(dimensions) seed \(seed)"
        #expect(
          abs(squared - squares.reduce(0, +)) <= terms * squares.reduce(0, +), note)
        #expect(
          abs(inner - products.reduce(0, +)) <= terms * products.map(abs).reduce(0, +), note)
      }
    }
  }

  @Test func infinityAndNaNComeThrough() {
    for kernels in KernelSet.available {
      for dimensions in [1, 16, 17, 40] {
        let a = [Float](repeating: 1, count: dimensions)
        var b = a
        b[dimensions - 1] = .infinity
        #expect(kernels.squaredL2(a, b, dimensions) == .infinity)
        #expect(kernels.innerProduct(a, b, dimensions) == .infinity)
        b[dimensions - 1] = .nan
        #expect(kernels.squaredL2(a, b, dimensions).isNaN)
        #expect(kernels.innerProduct(a, b, dimensions).isNaN)
      }
    }
  }
}
