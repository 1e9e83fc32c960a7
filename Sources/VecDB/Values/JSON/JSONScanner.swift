/// A strict reader of JSON over bytes, one token at a time, for callers who know what should come
/// next. Nothing is copied but strings. What RFC 8259 does not allow is refused with the position:
/// trailing commas, comments, control characters in strings, half surrogate pairs, bytes that are
/// not UTF-8, numbers with leading zeros.
package struct JSONScanner {
  /// Deepest nesting of arrays and objects.
  package static let depthMax = 64

  private let bytes: UnsafeRawBufferPointer
  /// Where the scanner is, in bytes.
  package private(set) var offset = 0

  /// The bytes must outlive the scanner.
  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  package func failure(_ message: String, at offset: Int? = nil) -> JSONFailure {
    JSONFailure(message, offsetBytes: offset ?? self.offset)
  }

  /// The failure that says what should be here, and what is.
  package func expected(_ what: String) -> JSONFailure {
    failure("expected \(what), found \(found)")
  }

  private var found: String {
    guard offset < bytes.count else { return "the end of the text" }
    let byte = bytes[offset]
    if byte == 0xEF, offset == 0 { return "a byte order mark" }
    return 0x21...0x7E ~= byte
      ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x\(String(byte, radix: 16, uppercase: true))"
  }

  /// The next byte that is not white space, without consuming it; nil at the end.
  package mutating func peek() -> UInt8? {
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
        offset &+= 1
      case let byte: return byte
      }
    }
    return nil
  }

  /// Consumes this character if it comes next.
  package mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(truncatingIfNeeded: character.value) else { return false }
    offset &+= 1
    return true
  }

  /// Consumes this character, which must come next.
  package mutating func expect(_ character: Unicode.Scalar, _ what: String) throws {
    guard skip(character) else { throw expected(what) }
  }

  /// Checks that nothing but white space is left.
  package mutating func expectEnd() throws {
    guard peek() == nil else { throw expected("the end of the text") }
  }

  /// Reads an object: `member` is called with each name, and must consume the value. A name that
  /// comes twice is refused by whoever collects the members (see `duplicate(_:at:)`).
  package mutating func object(
    _ member: (_ name: String, _ nameOffset: Int, inout JSONScanner) throws -> Void
  ) throws {
    try expect("{", "an object")
    if skip("}") { return }
    repeat {
      guard peek() == UInt8(ascii: "\"") else { throw expected("a member's name in quotes") }
      let nameOffset = offset
      let name = try string()
      try expect(":", "':' after the name \"\(name.abbreviated)\"")
      try member(name, nameOffset, &self)
    } while skip(",")
    try expect("}", "',' or '}'")
  }

  /// The failure for a member's name that was there before.
  package func duplicate(_ name: String, at offset: Int) -> JSONFailure {
    failure("the name \"\(name.abbreviated)\" appears twice in one object", at: offset)
  }

  /// Reads an array: `element` must consume one value.
  package mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
    try expect("[", "an array")
    if skip("]") { return }
    repeat { try element(&self) } while skip(",")
    try expect("]", "',' or ']'")
  }

  /// Appends an array of numbers, each rounded to the nearest `Float`.
  package mutating func vector(into vector: inout [Float]) throws {
    try expect("[", "an array of numbers")
    if skip("]") { return }
    repeat {
      let start = offset
      let number = try self.number()
      guard let value = number.float else {
        throw failure("\(Self.text(number.text)) does not fit single precision", at: start)
      }
      vector.append(value)
    } while skip(",")
    try expect("]", "',' or ']' in a vector")
  }

  /// Reads an integer that fits 64 bits.
  package mutating func int64(_ what: String) throws -> Int64 {
    let start = offset
    guard let value = try number().int64 else {
      throw failure("expected \(what), a 64-bit integer", at: start)
    }
    return value
  }

  /// Reads null, a boolean or a number: an integer if it is written as one, otherwise a double.
  ///
  /// An integer that does not fit `Int64` is refused: as a double it would be another number, and
  /// equal to others that differ from it.
  package mutating func scalar() throws -> MetadataValue {
    switch peek() {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
      let start = offset
      let number = try number()
      if let value = number.int64 { return .integer(value) }
      guard !number.isInteger else {
        throw failure(
          "the integer \(Self.text(number.text)) does not fit 64 bits; write it in quotes, or with "
            + "a point if a double will do", at: start)
      }
      guard let value = number.double else {
        throw failure("\(Self.text(number.text)) does not fit double precision", at: start)
      }
      return .double(value)
    default: throw expected("a value")
    }
  }

  private mutating func word(_ word: StaticString, _ value: MetadataValue) throws -> MetadataValue {
    let size = word.utf8CodeUnitCount
    let text = UnsafeRawBufferPointer(start: word.utf8Start, count: size)
    guard bytes.count - offset >= size,
      UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size]).hasSameBytes(as: text)
    else {
      throw failure("expected \(word)")
    }
    offset += size
    return value
  }

  private static func text(_ token: UnsafeRawBufferPointer) -> String {
    String(decoding: token, as: UTF8.self).abbreviated
  }
}

extension JSONScanner {
  /// Reads a number.
  mutating func number() throws -> JSONNumber {
    _ = peek()
    let start = offset
    var position = offset
    let count = bytes.count
    var mantissa: UInt64 = 0
    var digitCount = 0  // of the mantissa, leading zeros not counted
    var exponent = 0
    var isTruncated = false
    var isInteger = true

    func digit(_ at: Int) -> UInt8? {
      guard at < count else { return nil }
      let value = bytes[at] &- UInt8(ascii: "0")
      return value < 10 ? value : nil
    }

    let isNegative = position < count && bytes[position] == UInt8(ascii: "-")
    if isNegative { position &+= 1 }
    guard let first = digit(position) else {
      offset = position
      throw expected(isNegative ? "a digit" : "a number")
    }
    if first == 0, digit(position &+ 1) != nil {
      throw failure("a number with a leading zero", at: start)
    }
    while let digit = digit(position) {
      if digitCount < 19 {
        mantissa = mantissa &* 10 &+ UInt64(digit)
        if mantissa != 0 { digitCount &+= 1 }
      } else {
        exponent &+= 1
        if digit != 0 { isTruncated = true }
      }
      position &+= 1
    }
    if position < count, bytes[position] == UInt8(ascii: ".") {
      isInteger = false
      position &+= 1
      guard digit(position) != nil else {
        offset = position
        throw expected("a digit after the point")
      }
      while let digit = digit(position) {
        if digitCount < 19 {
          mantissa = mantissa &* 10 &+ UInt64(digit)
          if mantissa != 0 { digitCount &+= 1 }
          exponent &-= 1
        } else if digit != 0 {
          isTruncated = true
        }
        position &+= 1
      }
    }
    if position < count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position &+= 1
      var isMinus = false
      if position < count, bytes[position] == UInt8(ascii: "-") {
        isMinus = true
        position &+= 1
      } else if position < count, bytes[position] == UInt8(ascii: "+") {
        position &+= 1
      }
      guard digit(position) != nil else {
        offset = position
        throw expected("a digit of the exponent")
      }
      var written = 0
      while let digit = digit(position) {
        written = min(written &* 10 &+ Int(digit), 100_000)
        position &+= 1
      }
      exponent = max(-100_000, min(100_000, exponent &+ (isMinus ? -written : written)))
    }
    offset = position
    return JSONNumber(
      mantissa: mantissa, exponent: exponent, isTruncated: isTruncated, isNegative: isNegative,
      isInteger: isInteger, text: UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
  }

  /// Reads a string.
  package mutating func string() throws -> String {
    try expect("\"", "a string")
    let start = offset
    // Most strings have no escape, and are copied once.
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        defer { offset &+= 1 }
        return try validated(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]), at: start)
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(start: start) }
      if byte < 0x20 { throw controlCharacter() }
      offset &+= 1
    }
    throw failure("a string without a closing quote", at: start - 1)
  }

  private func validated(_ utf8: UnsafeRawBufferPointer, at start: Int) throws -> String {
    guard let string = String(validating: utf8, as: UTF8.self) else {
      throw failure("a string that is not UTF-8", at: start)
    }
    return string
  }

  private func controlCharacter() -> JSONFailure {
    failure("a control character in a string, which must be escaped")
  }

  private mutating func escapedString(start: Int) throws -> String {
    var utf8 = Array(bytes[start..<offset])
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte < 0x20 { throw controlCharacter() }
      offset &+= 1
      switch byte {
      case UInt8(ascii: "\""): return try utf8.withUnsafeBytes { try validated($0, at: start) }
      case UInt8(ascii: "\\"): try escape(into: &utf8)
      default: utf8.append(byte)
      }
    }
    throw failure("a string without a closing quote", at: start - 1)
  }

  /// Reads what follows a backslash.
  private mutating func escape(into utf8: inout [UInt8]) throws {
    let start = offset - 1
    guard offset < bytes.count else { throw expected("an escape") }
    let byte = bytes[offset]
    offset &+= 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): utf8.append(byte)
    case UInt8(ascii: "b"): utf8.append(0x08)
    case UInt8(ascii: "f"): utf8.append(0x0C)
    case UInt8(ascii: "n"): utf8.append(0x0A)
    case UInt8(ascii: "r"): utf8.append(0x0D)
    case UInt8(ascii: "t"): utf8.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal(at: start)
      if 0xD800..<0xDC00 ~= code {
        guard bytes.count - offset >= 2, bytes[offset] == UInt8(ascii: "\\"),
          bytes[offset + 1] == UInt8(ascii: "u")
        else { throw failure("half of a surrogate pair", at: start) }
        offset += 2
        let low = try hexadecimal(at: start)
        guard 0xDC00..<0xE000 ~= low else {
          throw failure("half of a surrogate pair", at: start)
        }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else {
        throw failure("half of a surrogate pair", at: start)
      }
      utf8.append(contentsOf: Character(scalar).utf8)
    default: throw failure("an escape that JSON does not have", at: start)
    }
  }

  private mutating func hexadecimal(at start: Int) throws -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard offset < bytes.count,
        let digit = Character(UnicodeScalar(bytes[offset])).hexDigitValue
      else { throw failure("an escape without its four hexadecimal digits", at: start) }
      code = code << 4 | UInt32(digit)
      offset &+= 1
    }
    return code
  }
}

extension String {
  /// At most 40 characters of a text, for messages.
  var abbreviated: String { count <= 40 ? self : prefix(40) + "…" }
}
