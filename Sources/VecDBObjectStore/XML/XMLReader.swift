/// An element of a document: its name, what is in it, and its text.
package struct XMLElement: Sendable, Equatable {
  package var name: String
  package var text: String
  package var children: [XMLElement]

  /// The first child of that name.
  package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
  package func text(of name: String) -> String? { child(name)?.text }
}

/// Reads the small documents of object stores: elements, text, and the five entities. Anything else,
/// such as document types and entities of their own, is refused: there is no use for it here, and it
/// is what attacks are made of.
package struct XMLReader {
  package struct Failure: Error, Equatable {
    var message: String
    var offset: Int
  }

  package static let depthLimit = 16
  package static let elementLimit = 100_000

  private let bytes: [UInt8]
  private var position = 0
  private var elements = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The root of a document. Throws `Failure`.
  package static func read(_ bytes: [UInt8]) throws(Failure) -> XMLElement {
    var reader = XMLReader(bytes)
    reader.skipMark()
    try reader.skipProlog()
    let root = try reader.element(depth: 0)
    try reader.skipMisc()
    guard reader.position == bytes.count else { throw reader.failure("something follows the root") }
    return root
  }

  private func failure(_ message: String) -> Failure { Failure(message: message, offset: position) }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func take(_ text: StaticString) -> Bool {
    let isThere = text.withUTF8Buffer { wanted in
      bytes.count - position >= wanted.count
        && bytes[position..<position + wanted.count].elementsEqual(wanted)
    }
    if isThere { position += text.utf8CodeUnitCount }
    return isThere
  }

  private mutating func skipMark() { _ = take("\u{FEFF}") }

  private mutating func skipBlanks() {
    while let byte = current, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }

  /// Skips up to and with `end`.
  private mutating func skip(through end: StaticString, _ what: String) throws(Failure) {
    while position < bytes.count {
      if take(end) { return }
      position += 1
    }
    throw failure("\(what) does not end")
  }

  private mutating func skipProlog() throws(Failure) {
    if take("<?xml") { try skip(through: "?>", "the declaration") }
    try skipMisc()
  }

  /// Blanks and comments.
  private mutating func skipMisc() throws(Failure) {
    while true {
      skipBlanks()
      guard take("<!--") else { return }
      try skip(through: "-->", "a comment")
    }
  }

  private mutating func name() throws(Failure) -> String {
    let start = position
    while let byte = current, Self.isNameByte(byte) { position += 1 }
    guard position > start, let text = String(validating: bytes[start..<position], as: UTF8.self)
    else { throw failure("a name is missing") }
    // Prefixes of name spaces mean nothing here.
    return String(text.split(separator: ":").last ?? "")
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
      UInt8(ascii: "."), UInt8(ascii: ":"), 0x80...0xFF:
      true
    default: false
    }
  }

  private mutating func element(depth: Int) throws(Failure) -> XMLElement {
    guard depth < Self.depthLimit else { throw failure("the elements are nested too deep") }
    elements += 1
    guard elements <= Self.elementLimit else { throw failure("there are too many elements") }
    guard take("<") else { throw failure("an element is missing") }
    let name = try name()
    var element = XMLElement(name: name, text: "", children: [])
    guard try attributes() else { return element }
    var text: [UInt8] = []
    while true {
      guard let byte = current else { throw failure("element '\(name)' does not end") }
      switch byte {
      case UInt8(ascii: "<"):
        if take("<!--") {
          try skip(through: "-->", "a comment")
        } else if take("</") {
          guard try self.name() == name else { throw failure("element '\(name)' does not end") }
          skipBlanks()
          guard take(">") else { throw failure("the end of element '\(name)' is damaged") }
          guard let string = String(validating: text, as: UTF8.self) else {
            throw failure("the text of '\(name)' is not UTF-8")
          }
          element.text = string
          return element
        } else {
          element.children.append(try self.element(depth: depth + 1))
        }
      case UInt8(ascii: "&"): text += try entity()
      default:
        text.append(byte)
        position += 1
      }
    }
  }

  /// Skips the attributes and the end of a start; false if the element ends with it.
  private mutating func attributes() throws(Failure) -> Bool {
    while true {
      let before = position
      skipBlanks()
      if take("/>") { return false }
      if take(">") { return true }
      guard position > before else { throw failure("the start of an element is damaged") }
      _ = try name()
      skipBlanks()
      guard take("=") else { throw failure("an attribute has no value") }
      skipBlanks()
      guard let quote = current, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
        throw failure("an attribute has no quotes")
      }
      position += 1
      while let byte = current, byte != quote {
        guard byte != UInt8(ascii: "<") else { throw failure("an attribute does not end") }
        position += 1
      }
      guard current == quote else { throw failure("an attribute does not end") }
      position += 1
    }
  }

  private mutating func entity() throws(Failure) -> [UInt8] {
    if take("&lt;") { return [UInt8(ascii: "<")] }
    if take("&gt;") { return [UInt8(ascii: ">")] }
    if take("&amp;") { return [UInt8(ascii: "&")] }
    if take("&quot;") { return [UInt8(ascii: "\"")] }
    if take("&apos;") { return [UInt8(ascii: "'")] }
    guard take("&#") else { throw failure("there is an unknown entity") }
    let radix = take("x") ? 16 : 10
    let start = position
    while let byte = current, byte != UInt8(ascii: ";"), position - start < 8 { position += 1 }
    let digits = String(decoding: bytes[start..<position], as: UTF8.self)
    guard take(";"), digits.utf8.first != UInt8(ascii: "+"), digits.utf8.first != UInt8(ascii: "-"),
      let number = UInt32(digits, radix: radix), let scalar = Unicode.Scalar(number), number > 0
    else { throw failure("a character's number is damaged") }
    return Array(String(Character(scalar)).utf8)
  }
}
