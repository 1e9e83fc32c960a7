/// Codes for inner products, where norms may differ by orders of magnitude and the longest vectors
/// are the likeliest answers, so that one scale for all rows would spoil either those or the rest.
///
/// A row's value is (code - 128) * weight * unit: the weight, a whole number of its own, makes its
/// largest component 127, and `scale` is 2²⁹ units, the scale of the longest training records.
/// Longer ones to come have three bits of room. Records of whole numbers that fit in codes are held
/// exactly: value = code - zeroCode, with weight 1.
extension Quantizer {
  /// The weight of the longest training records.
  private static let trainedWeight = 536_870_912.0

  /// What encoding a row found out.
  struct EncodedRow {
    var weight: UInt32 = 1
    /// (zeroCode - 128) Σ code, wrapping: what a dot product of codes is to be corrected by.
    var term: UInt32 = 0
    /// Σ (code - zeroCode)²
    var norm: UInt32 = 0
    var clipped: UInt32 = 0
    var isLossless = false
  }

  static func trainForProducts(
    dimensions: Int, count: Int, vector: (Int) -> UnsafePointer<Float>
  ) -> Quantizer {
    var (minimum, maximum) = (Float.infinity, -Float.infinity)
    var isIntegral = true
    var lengths: [Float] = []
    for index in 0..<count {
      let values = vector(index)
      for j in 0..<dimensions {
        minimum = min(minimum, values[j])
        maximum = max(maximum, values[j])
        if isIntegral, !(abs(values[j]) <= 255 && Float(Int32(values[j])) == values[j]) {
          isIntegral = false
        }
      }
      lengths.append(largest(values, dimensions: dimensions))
    }
    var untilNorm: Quantizer
    if isIntegral, minimum >= -128, maximum <= 127 {
      untilNorm = Quantizer(scale: 1, offset: -128, zeroCode: 128, maximumNorm: 0)
    } else if isIntegral, minimum >= 0, dimensions <= integralDimensionsLimit {
      untilNorm = Quantizer(scale: 1, offset: 0, zeroCode: 0, maximumNorm: 0)
    } else {
      // One record far beyond all others must not cost these their weights.
      lengths.sort()
      let usual = lengths.isEmpty ? 0 : lengths[lengths.count - 1 - lengths.count / 1_000]
      var scale = min(lengths.last ?? 0, usual * 8, 1e36) * (1 / 127)
      if !(scale >= 1e-30) { scale = 1e-30 }
      if scale == 1 { scale = scale.nextUp }
      untilNorm = Quantizer(scale: scale, offset: -128 * scale, zeroCode: 128, maximumNorm: 0)
    }
    var maximumNorm: UInt32 = 0
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: dimensions) { codes in
      guard let base = codes.baseAddress else { return }
      for index in 0..<count {
        let row = untilNorm.encodeRow(
          vector(index), dimensions: dimensions, paddedTo: dimensions, into: base)
        maximumNorm = max(maximumNorm, row.norm)
      }
    }
    return Quantizer(
      scale: untilNorm.scale, offset: untilNorm.offset, zeroCode: untilNorm.zeroCode,
      maximumNorm: maximumNorm)
  }

  /// Beyond it products of codes up to 255 do not fit in 31 bits.
  private static let integralDimensionsLimit = 33_000

  /// How far products are shifted down once they are weighted, so that the largest fit in 31 bits.
  func weightShift(dimensions: Int) -> Int64 {
    isIntegral ? 0 : 2 + Int64(Double(dimensions * 127 * 127).exponent)
  }

  /// Writes a code per dimension, and zeros up to `paddedTo`.
  func encodeRow(
    _ vector: UnsafePointer<Float>, dimensions: Int, paddedTo: Int,
    into codes: UnsafeMutablePointer<UInt8>
  ) -> EncodedRow {
    var row = EncodedRow()
    if isIntegral {
      let encoded = encode(vector, dimensions: dimensions, paddedTo: paddedTo, into: codes)
      row.term = encoded.sum &* UInt32(bitPattern: zeroCode - 128)
      row.clipped = encoded.clipped
      row.isLossless = encoded.isLossless
    } else {
      let wanted = Double(Self.largest(vector, dimensions: dimensions)) / 127
      let unit = Double(scale) / Self.trainedWeight
      let weight = min(max((wanted / unit).rounded(.up), 1), Double(UInt32.max))
      row.weight = UInt32(weight)
      let inverse = 1 / (weight * unit)
      for j in 0..<dimensions {
        let position = (Double(vector[j]) * inverse).rounded(.toNearestOrEven)
        row.clipped &+= abs(position) > 127 ? 1 : 0
        codes[j] = UInt8(128 + Int(min(max(position, -127), 127)))
      }
      for j in dimensions..<max(dimensions, paddedTo) { codes[j] = 0 }
    }
    for j in 0..<dimensions {
      let value = Int32(codes[j]) &- zeroCode
      row.norm &+= UInt32(bitPattern: value &* value)
    }
    return row
  }

  private static func largest(_ vector: UnsafePointer<Float>, dimensions: Int) -> Float {
    var largest: Float = 0
    for j in 0..<dimensions { largest = max(largest, abs(vector[j])) }
    return largest
  }
}
