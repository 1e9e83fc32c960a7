import VecDBBytes

/// The affine map between floats and the 8-bit codes that the graph is built and searched on:
/// value = offset + scale * code. One for a whole generation, trained once.
///
/// Training and encoding run in one fixed order of plain float operations without fused
/// multiply-add, so every machine gives the same codes.
package struct Quantizer: Sendable, Hashable {
  package let scale: Float
  package let offset: Float
  /// Under `.dot`: the code that stands for 0.
  let zeroCode: Int32
  /// Under `.dot`: the largest squared norm, in squared code units, of the training records' codes.
  let maximumNorm: UInt32
  let inverseScale: Float

  /// Whether codes are whole numbers one apart, so that a vector of such numbers in range is held
  /// exactly and integer distances are the true ones.
  package var isIntegral: Bool { scale == 1 }

  /// Records looked at for training at most.
  static let sampleLimit = 8_192

  init(scale: Float, offset: Float, zeroCode: Int32, maximumNorm: UInt32) {
    self.scale = scale
    self.offset = offset
    self.zeroCode = zeroCode
    self.maximumNorm = maximumNorm
    inverseScale = 1 / scale
  }

  /// What binary vectors have, whose codes need no range.
  static let binary = Quantizer(scale: 1, offset: 0, zeroCode: 0, maximumNorm: 0)

  // MARK: Training

  /// Trains on `count` vectors; `vector` hands out the i-th as it feeds the codes (normalised for
  /// cosine) and the pointer stays valid until the next call.
  static func train(
    metric: IndexParameters.Metric, dimensions: Int, count: Int,
    vector: (Int) -> UnsafePointer<Float>
  ) -> Quantizer {
    switch metric {
    case .hamming: return .binary
    case .dot: return trainForProducts(dimensions: dimensions, count: count, vector: vector)
    case .l2, .cosine: break
    }
    var minimum = Float.infinity
    var maximum = -Float.infinity
    var isIntegral = metric != .cosine
    var sample: [Float] = []
    let sampleStride = max(1, count * dimensions / rangeSampleLimit)
    // Where in its vector the next value of the sample is.
    var next = 0
    for index in 0..<count {
      let values = vector(index)
      for j in 0..<dimensions {
        let value = values[j]
        minimum = value < minimum ? value : minimum
        maximum = value > maximum ? value : maximum
        if isIntegral, !(abs(value) <= 255 && Float(Int32(value)) == value) { isIntegral = false }
      }
      while next < dimensions {
        sample.append(values[next])
        next += sampleStride
      }
      next -= dimensions
    }
    if !isIntegral { (minimum, maximum) = trimmed(minimum, maximum, sample: &sample) }
    var (scale, offset): (Float, Float)
    if isIntegral, minimum >= 0, maximum <= 255 {
      (scale, offset) = (1, 0)
    } else if isIntegral, minimum >= -128, maximum <= 127 {
      (scale, offset) = (1, -128)
    } else {
      // A little headroom, for records yet to come.
      let headroom = (maximum - minimum) * (1 / 64)
      let low = minimum - headroom
      let high = maximum + headroom
      (scale, offset) = ((high - low) * (1 / 255), low)
    }
    if !(scale >= 1e-30 && scale.isFinite) { (scale, offset) = (1e-30, minimum) }
    return Quantizer(scale: scale, offset: offset, zeroCode: 0, maximumNorm: 0)
  }

  /// Values looked at for the range at most.
  private static let rangeSampleLimit = 1 << 16

  /// Draws a range in to where nearly all values are, so that one outlier does not cost all others
  /// their resolution: to the values between which 998 of 1,000 lie, and half as much again on
  /// either side.
  private static func trimmed(
    _ minimum: Float, _ maximum: Float, sample: inout [Float]
  ) -> (Float, Float) {
    sample.removeAll { !$0.isFinite }
    guard !sample.isEmpty else { return (0, 0) }
    let rank = sample.count / 1_000
    let low = ranked(rank, sample, by: <)
    let high = ranked(rank, sample, by: >)
    let spare = min((high - low) / 2, .greatestFiniteMagnitude)
    guard spare > 0 else { return (max(minimum, -1e30), min(maximum, 1e30)) }
    return (
      max(minimum, max(low - spare, -1e30)), min(maximum, min(high + spare, 1e30))
    )
  }

  /// The value that would be at `rank`, a low one, were the sample sorted.
  @inline(__always)
  private static func ranked(
    _ rank: Int, _ sample: [Float], by precedes: (Float, Float) -> Bool
  ) -> Float {
    // The first ones so far in order: hardly any of the others gets in among them.
    var first: [Float] = []
    first.reserveCapacity(rank + 2)
    for value in sample where first.count <= rank || precedes(value, first[rank]) {
      var place = first.count
      while place > 0, precedes(value, first[place - 1]) { place -= 1 }
      first.insert(value, at: place)
      if first.count > rank + 1 { first.removeLast() }
    }
    return first[rank]
  }

  // MARK: Encoding

  /// What encoding a vector found out.
  struct Encoded {
    /// Σ code
    var sum: UInt32 = 0
    /// Σ code², wrapping
    var squares: UInt32 = 0
    /// Components outside the trained range.
    var clipped: UInt32 = 0
    /// Whether the codes decode to exactly the input's bits.
    var isLossless = false

    /// The term of a row in integer distances: |x|² - 256 Σx, wrapping (see `CodeDistance`).
    var rowTerm: UInt32 { squares &- sum &* 256 }
  }

  /// Adding it to a float in 0..<2^22 leaves the nearest integer in the low bits.
  private static let roundingMagic: Float = 12_582_912

  /// Writes a code per dimension, and zeros up to `paddedTo`.
  func encode(
    _ vector: UnsafePointer<Float>, dimensions: Int, paddedTo: Int,
    into codes: UnsafeMutablePointer<UInt8>
  ) -> Encoded {
    var result = Encoded()
    var differences: UInt32 = 0
    let (scale, offset, inverse, magic) = (scale, offset, inverseScale, Self.roundingMagic)
    var j = 0
    while j < dimensions {
      let value = vector[j]
      let position = (value - offset) * inverse
      var clamped = position > 0 ? position : 0
      clamped = clamped < 255 ? clamped : 255
      let code = (clamped + magic).bitPattern & 0xff
      codes[j] = UInt8(truncatingIfNeeded: code)
      result.sum &+= code
      result.squares &+= code &* code
      result.clipped &+= position >= -0.5 && position <= 255.5 ? 0 : 1
      differences |= (offset + scale * Float(Int32(bitPattern: code))).bitPattern ^ value.bitPattern
      j &+= 1
    }
    while j < paddedTo {
      codes[j] = 0
      j &+= 1
    }
    result.isLossless = differences == 0
    return result
  }

  // MARK: State

  func write(to writer: inout ByteWriter) {
    writer.write(scale)
    writer.write(offset)
    writer.write(zeroCode)
    writer.write(maximumNorm)
  }

  init(reading reader: inout ByteReader) throws {
    scale = try reader.readFloat("quantiser scale")
    offset = try reader.readFloat("quantiser offset")
    zeroCode = try reader.read(Int32.self, "quantiser zero")
    maximumNorm = try reader.read(UInt32.self, "quantiser norm")
    guard scale > 0, scale.isFinite, offset.isFinite, (0...255).contains(zeroCode) else {
      throw reader.failure("quantiser")
    }
    inverseScale = 1 / scale
  }
}
