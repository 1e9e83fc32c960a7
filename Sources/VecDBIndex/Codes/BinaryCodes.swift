/// Codes of binary vectors: component j is bit j mod 8 of byte j / 8, and the padding is zero.
enum BinaryCodes {
  /// Packs a vector of zeros and ones. Says whether the bits give its floats back exactly (-0 is
  /// a zero of its own).
  static func pack(
    _ vector: UnsafePointer<Float>, dimensions: Int, paddedTo bytes: Int,
    into codes: UnsafeMutablePointer<UInt8>
  ) -> Bool {
    codes.update(repeating: 0, count: bytes)
    var isLossless = true
    for j in 0..<dimensions {
      let isSet = vector[j] != 0
      if isSet { codes[j >> 3] |= 1 << UInt8(j & 7) }
      if vector[j].bitPattern != (isSet ? Float(1) : 0).bitPattern { isLossless = false }
    }
    return isLossless
  }

  static func unpack(
    _ codes: UnsafePointer<UInt8>, dimensions: Int, into vector: UnsafeMutablePointer<Float>
  ) {
    for j in 0..<dimensions { vector[j] = Float(codes[j >> 3] >> UInt8(j & 7) & 1) }
  }

  /// Whether a vector can be packed.
  static func holds(_ vector: UnsafePointer<Float>, dimensions: Int) -> Bool {
    (0..<dimensions).allSatisfy { vector[$0] == 0 || vector[$0] == 1 }
  }
}

extension IndexGeneration {
  /// A query of packed bits.
  func binaryQuery(_ bits: UnsafePointer<Int8>) -> CodedQuery {
    CodedQuery(
      kernel: kernels.differingBits, rangeKernel: kernels.differingBitsRange, query: bits,
      codes: UnsafeRawPointer(arrays.codes.base), strideBytes: arrays.codes.strideBytes,
      rowTerms: UnsafePointer(arrays.rowTerms.base.assumingMemoryBound(to: UInt32.self)),
      base: 0, termMask: 0, shift: 0)
  }
}
