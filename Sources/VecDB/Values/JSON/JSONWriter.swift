/// Writes JSON into a buffer of bytes, in one canonical form: no white space, members in the order
/// in which they are written (metadata: by name), the shortest digits that read back as the same
/// number, and only the escapes that JSON demands. What is exported, imported and exported again
/// is therefore the same bytes.
package struct JSONWriter {
  package private(set) var bytes: [UInt8] = []
  /// Whether the next member or element must be preceded by a comma.
  private var needsComma = false

  package init(reservingCapacity capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// What was written.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  /// Empties the buffer and keeps its memory.
  package mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    needsComma = false
  }

  package mutating func beginObject() { open(UInt8(ascii: "{")) }
  package mutating func endObject() { close(UInt8(ascii: "}")) }
  package mutating func beginArray() { open(UInt8(ascii: "[")) }
  package mutating func endArray() { close(UInt8(ascii: "]")) }

  /// Ends a line of JSON lines.
  package mutating func endLine() {
    bytes.append(UInt8(ascii: "\n"))
    needsComma = false
  }

  /// The name of an object's next member; its value must be written next.
  package mutating func name(_ name: String) {
    write(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func writeNull() { append("null") }

  package mutating func write(_ value: Bool) { append(value ? "true" : "false") }

  package mutating func write(_ value: some BinaryInteger) { append(String(value)) }

  /// The shortest digits that give this `Double` back, always with a point or an exponent, so
  /// that it reads back as a double. A number that is not finite is written as null.
  package mutating func write(_ value: Double) {
    append(value.isFinite ? value.description : "null")
  }

  package mutating func write(_ value: String) {
    separate()
    var value = value
    value.withUTF8 { appendQuoted(UnsafeRawBufferPointer($0)) }
    needsComma = true
  }

  /// An array of single-precision numbers, each with the shortest digits that give it back;
  /// integral ones of up to seven digits without a fraction.
  package mutating func write(vector: UnsafeBufferPointer<Float>) {
    separate()
    bytes.append(UInt8(ascii: "["))
    for index in vector.indices {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      appendFloat(vector[index])
    }
    bytes.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// An array of single-precision numbers; see ``write(vector:)-(UnsafeBufferPointer<Float>)``.
  package mutating func write(vector: [Float]) {
    vector.withUnsafeBufferPointer { write(vector: $0) }
  }

  /// One single-precision number with the shortest digits that give it back.
  package mutating func write(_ value: Float) {
    separate()
    appendFloat(value)
    needsComma = true
  }

  package mutating func write(_ value: MetadataValue) {
    switch value {
    case .null: writeNull()
    case .bool(let value): write(value)
    case .integer(let value): write(value)
    case .double(let value): write(value == 0 ? 0 : value)
    case .string(let value): write(value)
    case .array(let elements):
      beginArray()
      for element in elements { write(element) }
      endArray()
    }
  }

  /// An object of the fields in the order of their names' bytes.
  package mutating func write(_ metadata: Metadata) {
    let sorted = metadata.fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    beginObject()
    for (name, value) in sorted {
      self.name(name)
      write(value)
    }
    endObject()
  }

  /// The same object as ``write(_:)-(Metadata)``, straight from the stored form.
  package mutating func write(canonicalMetadata: UnsafeRawBufferPointer) throws {
    beginObject()
    try CanonicalMetadata.forEachField(in: canonicalMetadata) { name, value in
      guard let value = CanonicalValue(value) else {
        throw CanonicalMetadata.corrupt("field value")
      }
      separate()
      appendQuoted(name)
      bytes.append(UInt8(ascii: ":"))
      needsComma = false
      write(value)
    }
    endObject()
  }

  private mutating func write(_ value: CanonicalValue) {
    switch value {
    case .null: writeNull()
    case .bool(let value): write(value)
    case .integer(let value): write(value)
    case .double(let value): write(value)
    case .string(let bytes):
      separate()
      appendQuoted(bytes)
      needsComma = true
    case .array(let elements):
      beginArray()
      for element in elements { write(element) }
      endArray()
    }
  }
}

extension JSONWriter {
  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  private mutating func open(_ bracket: UInt8) {
    separate()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  private mutating func append(_ text: String) {
    separate()
    bytes.append(contentsOf: text.utf8)
    needsComma = true
  }

  private mutating func appendFloat(_ value: Float) {
    let integer = Int32(truncatingIfNeeded: Int(value.magnitude < 0x1p24 ? value : 0x1p25))
    // A zero may be negative, and must stay so: the general path writes it as "-0.0".
    if integer != 0, Float(integer) == value {
      appendInteger(integer)
    } else if value.bitPattern == 0 {
      bytes.append(UInt8(ascii: "0"))
    } else if value.isFinite {
      var text = value.description
      text.withUTF8 { bytes.append(contentsOf: $0) }
    } else {
      bytes.append(contentsOf: "null".utf8)
    }
  }

  private mutating func appendInteger(_ value: Int32) {
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    var rest = value.magnitude
    var divisor: UInt32 = 1
    while rest / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  /// A string from its UTF-8, escaping the quote, the backslash and control characters only.
  private mutating func appendQuoted(_ utf8: UnsafeRawBufferPointer) {
    bytes.append(UInt8(ascii: "\""))
    var start = 0
    for index in 0..<utf8.count {
      let byte = utf8[index]
      guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
        continue
      }
      bytes.append(contentsOf: utf8[start..<index])
      start = index + 1
      bytes.append(UInt8(ascii: "\\"))
      switch byte {
      case UInt8(ascii: "\n"): bytes.append(UInt8(ascii: "n"))
      case UInt8(ascii: "\r"): bytes.append(UInt8(ascii: "r"))
      case UInt8(ascii: "\t"): bytes.append(UInt8(ascii: "t"))
      case 0x08: bytes.append(UInt8(ascii: "b"))
      case 0x0C: bytes.append(UInt8(ascii: "f"))
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        bytes.append(contentsOf: "u00".utf8)
        bytes.append(digits[Int(byte >> 4)])
        bytes.append(digits[Int(byte & 15)])
      default: bytes.append(byte)
      }
    }
    bytes.append(contentsOf: utf8[start...])
    bytes.append(UInt8(ascii: "\""))
  }
}
