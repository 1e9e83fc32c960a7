/// How a binary file stores one component of a vector. All are little-endian.
enum ComponentType {
  case uint8, int8, float16, float32, float64

  var sizeBytes: Int {
    switch self {
    case .uint8, .int8: 1
    case .float16: 2
    case .float32: 4
    case .float64: 8
    }
  }

  /// The components of one row as float32; float64 is rounded to the nearest.
  func decode(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { target, filled in
      switch self {
      case .uint8:
        for index in 0..<count { target.initializeElement(at: index, to: Float(bytes[index])) }
      case .int8:
        for index in 0..<count {
          target.initializeElement(at: index, to: Float(Int8(bitPattern: bytes[index])))
        }
      case .float16:
        for index in 0..<count {
          let bits = bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
          let value = Float(Float16(bitPattern: UInt16(littleEndian: bits)))
          target.initializeElement(at: index, to: value)
        }
      case .float32:
        for index in 0..<count {
          let bits = bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
          target.initializeElement(at: index, to: Float(bitPattern: UInt32(littleEndian: bits)))
        }
      case .float64:
        for index in 0..<count {
          let bits = bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
          let value = Float(Double(bitPattern: UInt64(littleEndian: bits)))
          target.initializeElement(at: index, to: value)
        }
      }
      filled = count
    }
  }
}
