/// A number of a JSON text: its digits as a decimal, and its conversions, all correctly rounded.
struct JSONNumber {
  /// The first 19 significant digits.
  var mantissa: UInt64 = 0
  /// The power of ten that `mantissa` is to be multiplied by; saturates at ±100,000.
  var exponent = 0
  /// Whether digits other than zero did not fit the mantissa.
  var isTruncated = false
  var isNegative = false
  /// Whether it was written without a point and without an exponent.
  var isInteger = true
  /// The whole token.
  var text: UnsafeRawBufferPointer

  /// Powers of ten that a `Double` holds exactly.
  private static let powers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
  ]

  /// The integer, nil if it was not written as one or does not fit.
  var int64: Int64? {
    guard isInteger, exponent == 0, !isTruncated else { return nil }
    if isNegative { return mantissa == 1 << 63 ? .min : Int64(exactly: mantissa).map { -$0 } }
    return Int64(exactly: mantissa)
  }

  /// The nearest `Double`, nil if that is infinite.
  var double: Double? {
    // Clinger's fast path: both operands are exact, so the one operation rounds correctly.
    if mantissa <= 1 << 53, !isTruncated, -22...22 ~= exponent {
      let magnitude =
        exponent < 0
        ? Double(mantissa) / Self.powers[-exponent] : Double(mantissa) * Self.powers[exponent]
      return isNegative ? -magnitude : magnitude
    }
    guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else {
      return nil
    }
    return value
  }

  /// The nearest `Float`, nil if that is infinite.
  var float: Float? {
    if mantissa == 0 { return isNegative ? -0.0 : 0 }
    if -44...22 ~= exponent {
      // Up to three roundings and the dropped digits leave this within 8 units in the last place
      // of the true value. Rounding that to a Float is right unless a midpoint of two Floats (of
      // whose 53 bits the last 29 are 1 and then zeros) is as near.
      var magnitude = Double(mantissa)
      if exponent >= 0 {
        magnitude *= Self.powers[exponent]
      } else if exponent >= -22 {
        magnitude /= Self.powers[-exponent]
      } else {
        magnitude /= 1e22
        magnitude /= Self.powers[-exponent - 22]
      }
      let tail = Int(magnitude.bitPattern & (1 << 29 - 1))
      if magnitude >= 0x1p-126, magnitude < 0x1p127, abs(tail - 1 << 28) > 8 {
        return isNegative ? -Float(magnitude) : Float(magnitude)
      }
    }
    guard let value = Float(String(decoding: text, as: UTF8.self)), value.isFinite else {
      return nil
    }
    return value
  }
}
