/// The integer arithmetic of distances between u8 codes.
///
/// One kernel serves every metric: the query's codes are taken as signed bytes, code - 128, and
/// Σ x·(q - 128) = x·q - 128·Σx. With the row term |x|² - 256·Σx (stored per row), the query term
/// |q|² and the kernel's dot product d, the squared L2 distance is
/// |x|² + |q|² - 2·x·q = rowTerm + queryTerm - 2·d. The parts wrap modulo 2³²; the distance, at
/// most 255²·65,536 < 2³², is exact.
package enum CodeDistance {
  /// Codes in a row are padded with zeros to a multiple of this.
  package static let paddingMultiple = 64

  /// The most dimensions for which every result is exact.
  package static let maximumDimensions = 65_536

  /// `dimensions` rounded up to a multiple of 64.
  @inlinable
  package static func padded(_ dimensions: Int) -> Int { (dimensions &+ 63) & ~63 }

  /// |x|² - 256·Σx, wrapping.
  package static func rowTerm(_ codes: UnsafePointer<UInt8>, _ dimensions: Int) -> UInt32 {
    var term: UInt32 = 0
    var j = 0
    while j < dimensions {
      let x = UInt32(codes[j])
      term &+= x &* x &- x &* 256
      j &+= 1
    }
    return term
  }

  /// |q|² of a query's codes.
  package static func queryTerm(_ codes: UnsafePointer<UInt8>, _ dimensions: Int) -> UInt32 {
    var term: UInt32 = 0
    var j = 0
    while j < dimensions {
      let x = UInt32(codes[j])
      term &+= x &* x
      j &+= 1
    }
    return term
  }

  /// Σx of codes, for inner products: x·q = dot + 128·Σx.
  package static func sum(_ codes: UnsafePointer<UInt8>, _ dimensions: Int) -> UInt32 {
    var sum: UInt32 = 0
    var j = 0
    while j < dimensions {
      sum &+= UInt32(codes[j])
      j &+= 1
    }
    return sum
  }

  /// Writes code - 128 for every code and zero for the padding, which is how a query, or a stored
  /// row taken as one, enters the kernels.
  package static func makeQuery(
    _ codes: UnsafePointer<UInt8>, _ dimensions: Int, paddedDimensions: Int,
    _ query: UnsafeMutablePointer<Int8>
  ) {
    var j = 0
    while j < dimensions {
      query[j] = Int8(bitPattern: codes[j] ^ 0x80)
      j &+= 1
    }
    while j < paddedDimensions {
      query[j] = 0
      j &+= 1
    }
  }

  /// The exact squared L2 distance between codes from a kernel's dot product.
  @inlinable
  package static func squaredL2(dot: Int32, rowTerm: UInt32, queryTerm: UInt32) -> UInt32 {
    let twice = UInt32(bitPattern: dot) &* 2
    return rowTerm &+ queryTerm &- twice
  }

  /// The exact inner product of codes from a kernel's dot product and the row's sum of codes.
  @inlinable
  package static func innerProduct(dot: Int32, rowSum: UInt32) -> UInt32 {
    UInt32(bitPattern: dot) &+ rowSum &* 128
  }
}
