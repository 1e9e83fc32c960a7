import Testing
import VecDBKernels

@Suite struct CodeKernelTests {
  private static let dimensions: [Int] = {
    var random = SeededGenerator(seed: 7)
    return [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 384, 784, 1536, 2000]
      + (0..<40).map { _ in Int.random(in: 1...2000, using: &random) }
      + [4096, 32_767, 65_535, 65_536]
  }()

  enum Fill: CaseIterable { case random, lowest, highest, alternating }

  @Test(arguments: KernelSet.available.map(\.name), Fill.allCases)
  func everySetGivesTheDefinition(name: String, fill: Fill) throws {
    let kernels = try #require(KernelSet.named(name))
    for (index, dimensions) in Self.dimensions.enumerated() {
      let seed = UInt64(1000 + index)
      var random = SeededGenerator(seed: seed)
      let padded = CodeDistance.padded(dimensions)
      let stride = padded + Int.random(in: 0...3, using: &random)
      let rowCount = dimensions > 4000 ? 3 : Int.random(in: 1...23, using: &random)
      let query = GuardedBuffer(countBytes: padded)
      let rows = GuardedBuffer(countBytes: (rowCount - 1) * stride + padded)
      let q = query.typed(Int8.self)
      let x = rows.typed(UInt8.self)
      q.update(repeating: 0, count: padded)
      x.update(repeating: 0, count: (rowCount - 1) * stride + padded)
      for j in 0..<dimensions {
        q[j] =
          switch fill {
          case .random: Int8.random(in: .min ... .max, using: &random)
          case .lowest: .min
          case .highest: .max
          case .alternating: j % 2 == 0 ? .min : .max
          }
        for row in 0..<rowCount {
          x[row * stride + j] = fill == .random ? UInt8.random(in: 0...255, using: &random) : 255
        }
      }
      let truth = (0..<rowCount).map { row in
        (0..<dimensions).reduce(0) { $0 + Int(x[row * stride + $1]) * Int(q[$1]) }
      }

      let n = Int.random(in: 0...40, using: &random)
      let ids = (0..<n).map { _ in UInt32.random(in: 0..<UInt32(rowCount), using: &random) }
      var out = [Int32](repeating: 77, count: n + 1)
      kernels.dotCodes(q, rows.base, stride, ids, n, padded, &out)
      #expect(out == ids.map { Int32(truth[Int($0)]) } + [77], "\(dimensions) seed \(seed)")

      let first = Int.random(in: 0..<rowCount, using: &random)
      let count = Int.random(in: 0...(rowCount - first), using: &random)
      out = [Int32](repeating: 77, count: count + 1)
      kernels.dotCodesRange(q, rows.base, stride, first, count, padded, &out)
      #expect(
        out == truth[first..<(first + count)].map { Int32($0) } + [77],
        "\(dimensions) seed \(seed)")
    }
  }

  @Test func identitiesGiveExactDistances() {
    for dimensions in Self.dimensions {
      for fill in [0, 1, 2] {
        let seed = UInt64(dimensions * 3 + fill)
        var random = SeededGenerator(seed: seed)
        let padded = CodeDistance.padded(dimensions)
        var x = [UInt8](repeating: 0, count: padded)
        var y = x
        for j in 0..<dimensions {
          x[j] = fill == 0 ? UInt8.random(in: 0...255, using: &random) : 255
          y[j] = fill == 0 ? UInt8.random(in: 0...255, using: &random) : fill == 1 ? 0 : 255
        }
        let squared = (0..<dimensions).reduce(0) {
          let difference = Int(x[$1]) - Int(y[$1])
          return $0 + difference * difference
        }
        let inner = (0..<dimensions).reduce(0) { $0 + Int(x[$1]) * Int(y[$1]) }

        var query = [Int8](repeating: 1, count: padded)
        CodeDistance.makeQuery(y, dimensions, paddedDimensions: padded, &query)
        for kernels in KernelSet.available {
          var dot: [Int32] = [0]
          kernels.dotCodesRange(query, x, padded, 0, 1, padded, &dot)
          let distance = CodeDistance.squaredL2(
            dot: dot[0], rowTerm: CodeDistance.rowTerm(x, dimensions),
            queryTerm: CodeDistance.queryTerm(y, dimensions))
          let product = CodeDistance.innerProduct(
            dot: dot[0], rowSum: CodeDistance.sum(x, dimensions))
          #expect(Int(distance) == squared, "\(kernels.name) \(dimensions) seed \(seed)")
          #expect(Int(product) == inner, "\(kernels.name) \(dimensions) seed \(seed)")
        }
      }
    }
  }

  @Test func decodingRoundsTwiceInEverySet() {
    var random = SeededGenerator(seed: 11)
    for n in [0, 1, 7, 8, 9, 15, 16, 17, 100, 784, 1000] {
      let codes = GuardedBuffer(countBytes: n)
      for j in 0..<n { codes.typed(UInt8.self)[j] = UInt8.random(in: 0...255, using: &random) }
      let scale = Float.random(in: -3...3, using: &random)
      let offset = Float.random(in: -500...500, using: &random)
      let truth = (0..<n).map { j in
        let product = scale * Float(codes.typed(UInt8.self)[j])
        return (offset + product).bitPattern
      }
      for kernels in KernelSet.available {
        let out = GuardedBuffer(countBytes: n * 4)
        kernels.decodeCodes(codes.typed(UInt8.self), n, scale, offset, out.typed(Float.self))
        let bits = (0..<n).map { out.typed(Float.self)[$0].bitPattern }
        #expect(bits == truth, "\(kernels.name) \(n)")
      }
    }
  }
}
