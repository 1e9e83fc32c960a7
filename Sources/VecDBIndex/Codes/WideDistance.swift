/// Distances between vectors of so large or so small values that float sums overflow, or lose all.
///
/// They are computed in double. What orders them, where 32 bits are kept of a distance, has an
/// exponent wide enough for them. A query decides by its own values, so all distances of one query
/// are of one kind.
extension IndexGeneration {
  /// Values between which float sums of squares are safe: with 65,536 dimensions the largest stay
  /// below 2¹²⁷, and the smallest squares keep all their bits.
  private static let safeBits = (0x1p-45 as Float).bitPattern...(0x1p55 as Float).bitPattern

  /// Whether distances from a vector are to be computed in double. Angles never are.
  func isWide(_ vector: UnsafePointer<Float>) -> Bool {
    guard parameters.metric == .l2 || parameters.metric == .dot else { return false }
    // The bits of floats above zero order as the floats do; as integers they are compared in lanes.
    var largest: UInt32 = 0
    var j = 0
    while j < parameters.dimensions {
      let bits = vector[j].bitPattern & 0x7fff_ffff
      largest = bits > largest ? bits : largest
      j &+= 1
    }
    return largest > 0 && !Self.safeBits.contains(largest)
  }

  /// The distance of a slot from a query in double: for whoever must tell distances apart that are
  /// one float. Under cosine the query needs no length. Costs a pass over both.
  package func doubleDistance(of slot: Int, from query: [Float]) -> Double {
    query.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress, values.count == parameters.dimensions else {
        return .infinity
      }
      let inverse =
        parameters.metric == .cosine
        ? VectorNorm.inverse(base, dimensions: parameters.dimensions) : 1
      return wideDistance(slot, from: base, inverseNorm: inverse)
    }
  }

  /// What orders the distance of a slot from a query.
  func key(
    _ slot: Int, from query: UnsafePointer<Float>, inverseNorm: Double = 1, isWide: Bool
  ) -> UInt32 {
    guard !isWide else {
      return Self.wideKey(
        wideDistance(slot, from: query, inverseNorm: inverseNorm), parameters.metric)
    }
    let dimensions = parameters.dimensions
    let value = withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) {
      vector -> Float in
      let kernel = parameters.metric.countsDifferences ? kernels.squaredL2 : kernels.innerProduct
      if let row = exactVector(slot) { return kernel(query, row, dimensions) }
      guard let base = vector.baseAddress, copyVector(slot, to: vector) else { return .nan }
      return kernel(query, UnsafePointer(base), dimensions)
    }
    guard value.isFinite else {
      return Self.sortableBits(
        Float(wideDistance(slot, from: query, inverseNorm: inverseNorm)))
    }
    switch parameters.metric {
    case .l2, .hamming: return Self.sortableBits(value)
    case .dot: return Self.sortableBits(0 - value)
    case .cosine:
      let inverse = (arrays.inverseNorms?.row(slot).load(as: Double.self) ?? 1) * inverseNorm
      return Self.sortableBits(Float(min(2, max(0, 1 - Double(value) * inverse))))
    }
  }

  /// A distance in double arithmetic, eight sums and then their tree.
  func wideDistance(
    _ slot: Int, from query: UnsafePointer<Float>, inverseNorm: Double = 1
  ) -> Double {
    let dimensions = parameters.dimensions
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { buffer in
      var row = exactVector(slot)
      if row == nil, copyVector(slot, to: buffer) { row = UnsafePointer(buffer.baseAddress) }
      guard let row else { return .infinity }
      let isDifference = parameters.metric.countsDifferences
      var sums = SIMD8<Double>()
      var j = 0
      while j &+ 8 <= dimensions {
        let a = SIMD8<Double>(UnsafeRawPointer(query + j).loadUnaligned(as: SIMD8<Float>.self))
        let b = SIMD8<Double>(UnsafeRawPointer(row + j).loadUnaligned(as: SIMD8<Float>.self))
        if isDifference {
          let difference = a - b
          sums += difference * difference
        } else {
          sums += a * b
        }
        j &+= 8
      }
      var rest = 0.0
      while j < dimensions {
        let (a, b) = (Double(query[j]), Double(row[j]))
        let term = isDifference ? (a - b) * (a - b) : a * b
        rest += term
        j &+= 1
      }
      let four = sums.lowHalf + sums.highHalf
      let two = four.lowHalf + four.highHalf
      let sum = two.x + two.y + rest
      switch parameters.metric {
      case .l2, .hamming: return sum
      case .dot: return 0 - sum
      case .cosine:
        let inverse = (arrays.inverseNorms?.row(slot).load(as: Double.self) ?? 0) * inverseNorm
        return min(2, max(0, 1 - sum * inverse))
      }
    }
  }

  /// Products of two floats are 2⁻²⁹⁸ or more, and sums of them below 2²⁷²: ten bits tell all of their
  /// exponents apart, counted from 2⁻³⁰¹.
  private static let leastExponent: UInt64 = 722

  /// Bits that order as the distances do, as far as 32 bits can: ten of the exponent and 22 behind
  /// the point, or 21 and a sign where distances may be negative. NaN last.
  package static func wideKey(_ distance: Double, _ metric: IndexParameters.Metric) -> UInt32 {
    guard distance == distance else { return .max }
    let bits = distance.magnitude.bitPattern
    let least = leastExponent << 52
    let shift: UInt64 = metric == .dot ? 31 : 30
    let limit: UInt64 = metric == .dot ? 0x7fff_fffe : 0xffff_fffe
    let size = UInt32(truncatingIfNeeded: bits > least ? min((bits - least) >> shift, limit) : 0)
    guard metric == .dot else { return size }
    return distance < 0 ? 0x7fff_ffff - size : size | 0x8000_0000
  }

  /// The distance that a key stands for, rounded towards zero.
  package static func distance(wideKey key: UInt32, _ metric: IndexParameters.Metric) -> Double {
    guard metric == .dot else {
      return key == 0 ? 0 : Double(bitPattern: UInt64(key) << 30 + leastExponent << 52)
    }
    let size = key >> 31 == 1 ? key & 0x7fff_ffff : 0x7fff_ffff - key
    guard size > 0 else { return 0 }
    let magnitude = Double(bitPattern: UInt64(size) << 31 + leastExponent << 52)
    return key >> 31 == 1 ? magnitude : -magnitude
  }
}
