/// Norms in one fixed order of double operations: eight running sums, then their tree.
enum VectorNorm {
  /// 1 / |x|; 0 for a zero vector.
  static func inverse(_ vector: UnsafePointer<Float>, dimensions: Int) -> Double {
    var sums = SIMD8<Double>()
    var j = 0
    while j &+ 8 <= dimensions {
      let values = SIMD8<Double>(
        UnsafeRawPointer(vector + j).loadUnaligned(as: SIMD8<Float>.self))
      sums += values * values
      j &+= 8
    }
    var rest = 0.0
    while j < dimensions {
      let value = Double(vector[j])
      rest += value * value
      j &+= 1
    }
    let square = sum(sums) + rest
    return square > 0 ? 1 / square.squareRoot() : 0
  }

  /// |a - b|²
  static func squaredDistance(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, dimensions: Int
  ) -> Double {
    var sums = SIMD8<Double>()
    var j = 0
    while j &+ 8 <= dimensions {
      let difference =
        SIMD8<Double>(UnsafeRawPointer(a + j).loadUnaligned(as: SIMD8<Float>.self))
        - SIMD8<Double>(UnsafeRawPointer(b + j).loadUnaligned(as: SIMD8<Float>.self))
      sums += difference * difference
      j &+= 8
    }
    var rest = 0.0
    while j < dimensions {
      let difference = Double(a[j]) - Double(b[j])
      rest += difference * difference
      j &+= 1
    }
    return sum(sums) + rest
  }

  private static func sum(_ sums: SIMD8<Double>) -> Double {
    let four = sums.lowHalf + sums.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
  }

  /// result[j] = vector[j] * factor, computed in double. Both may be the same memory.
  static func scale(
    _ vector: UnsafePointer<Float>, by factor: Double, dimensions: Int,
    into result: UnsafeMutablePointer<Float>
  ) {
    var j = 0
    while j < dimensions {
      result[j] = Float(Double(vector[j]) * factor)
      j &+= 1
    }
  }
}
