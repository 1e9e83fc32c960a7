// Vectors in other types than Float. All values of these types are floats too, so that nothing is
// lost: a record's `vector` has exactly the values that were given.

extension VectorRecord {
  #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
    /// A record with a vector of half-precision components.
    public init(key: String, float16 vector: [Float16], metadata: Metadata = [:]) {
      self.init(key: key, vector: vector.map { Float($0) }, metadata: metadata)
    }

    /// The vector in half precision; rounds components that need more precision.
    public var float16Vector: [Float16] { vector.map { Float16($0) } }
  #endif

  /// A record with a vector of whole numbers from -128 to 127.
  public init(key: String, int8 vector: [Int8], metadata: Metadata = [:]) {
    self.init(key: key, vector: vector.map { Float($0) }, metadata: metadata)
  }

  /// The vector as bytes; nil if a component is not a whole number from -128 to 127.
  public var int8Vector: [Int8]? {
    let bytes = vector.compactMap { Int8(exactly: $0) }
    return bytes.count == vector.count ? bytes : nil
  }

  /// A record with a binary vector, for collections with the metric ``Metric/hamming``.
  ///
  /// - Parameter bits: eight components a byte, the first in the highest bit, as `numpy.packbits`
  ///   has them; the collection has eight times as many dimensions as there are bytes.
  public init(key: String, bits: [UInt8], metadata: Metadata = [:]) {
    self.init(key: key, vector: PackedBits.unpack(bits), metadata: metadata)
  }

  /// The vector as packed bits: 1 for each component that is not 0. Zeros fill up the last byte.
  public var bits: [UInt8] { PackedBits.pack(vector) }
}

/// Eight components a byte, the first in the highest bit.
package enum PackedBits {
  package static func unpack(_ bits: [UInt8]) -> [Float] {
    [Float](unsafeUninitializedCapacity: bits.count * 8) { vector, count in
      for (place, byte) in bits.enumerated() {
        for bit in 0..<8 {
          vector.initializeElement(at: place * 8 + bit, to: Float(byte >> UInt8(7 - bit) & 1))
        }
      }
      count = bits.count * 8
    }
  }

  package static func pack(_ vector: [Float]) -> [UInt8] {
    var bits = [UInt8](repeating: 0, count: (vector.count + 7) / 8)
    for (place, value) in vector.enumerated() where value != 0 {
      bits[place >> 3] |= 0x80 >> UInt8(place & 7)
    }
    return bits
  }
}
