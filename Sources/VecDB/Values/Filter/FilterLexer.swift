/// A piece of a filter's text.
struct FilterToken: Equatable {
  enum Kind: Equatable {
    /// A bare name.
    case name(String)
    /// A word of the language, in lower case.
    case keyword(FilterKeyword)
    /// Text in single quotes: a string.
    case string(String)
    /// Text in double quotes: a name or a string, by where it stands.
    case doubleQuoted(String)
    /// Text in backticks: a name.
    case quotedName(String)
    case number(MetadataValue)
    case comparison(Filter.Comparison)
    /// One of `( ) [ ] ,`.
    case mark(Character)
    case end
  }

  var kind: Kind
  /// Where it begins and ends, in bytes.
  var range: Range<Int>
}

/// The words that a bare field name cannot be.
enum FilterKeyword: String, CaseIterable {
  case and, or, not, `in`, exists, contains, `true`, `false`, null
}

/// Cuts a filter's text into tokens.
struct FilterLexer {
  let utf8: [UInt8]
  private(set) var offset = 0

  init(_ text: String) { utf8 = Array(text.utf8) }

  private func byte(at position: Int) -> UInt8? {
    position < utf8.count ? utf8[position] : nil
  }

  private func error(_ message: String, at offset: Int) -> FilterSyntaxError {
    FilterSyntaxError(message, at: offset, in: utf8)
  }

  /// The next token; `.end` at the end, as often as it is asked for.
  mutating func next() throws -> FilterToken {
    while let byte = byte(at: offset), [0x20, 0x09, 0x0A, 0x0D].contains(byte) { offset += 1 }
    let start = offset
    let kind = try nextKind()
    return FilterToken(kind: kind, range: start..<offset)
  }

  private mutating func nextKind() throws -> FilterToken.Kind {
    guard let first = byte(at: offset) else { return .end }
    let pair = String(decoding: utf8[offset..<min(offset + 2, utf8.count)], as: UTF8.self)
    switch pair {
    case "==", "!=", "<=", ">=":
      offset += 2
      return .comparison(Filter.Comparison(rawValue: pair) ?? .equal)
    case "<>":
      offset += 2
      return .comparison(.notEqual)
    case "&&":
      offset += 2
      return .keyword(.and)
    case "||":
      offset += 2
      return .keyword(.or)
    default: break
    }
    switch first {
    case UInt8(ascii: "="), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "!"):
      offset += 1
      switch first {
      case UInt8(ascii: "="): return .comparison(.equal)
      case UInt8(ascii: "<"): return .comparison(.less)
      case UInt8(ascii: ">"): return .comparison(.greater)
      default: return .keyword(.not)
      }
    case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "["), UInt8(ascii: "]"),
      UInt8(ascii: ","):
      offset += 1
      return .mark(Character(UnicodeScalar(first)))
    case UInt8(ascii: "'"): return .string(try quoted(by: first))
    case UInt8(ascii: "\""): return .doubleQuoted(try quoted(by: first))
    case UInt8(ascii: "`"): return .quotedName(try quoted(by: first))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: return try word()
    }
  }

  /// Text between quotes; a quote within it is written twice, and nothing else is special.
  private mutating func quoted(by quote: UInt8) throws -> String {
    let start = offset
    var text: [UInt8] = []
    offset += 1
    while let next = byte(at: offset) {
      offset += 1
      if next == quote {
        guard byte(at: offset) == quote else { return String(decoding: text, as: UTF8.self) }
        offset += 1
      }
      text.append(next)
    }
    throw error("expected a closing \(Character(UnicodeScalar(quote)))", at: start)
  }

  private mutating func number() throws -> FilterToken.Kind {
    let start = offset
    // Take everything that could be meant as part of it, so that 2020-01-31 is one mistake.
    while let next = byte(at: offset), next.isWordByte || next == UInt8(ascii: "+") { offset += 1 }
    var complaint: String?
    let value = utf8[start..<offset].withUnsafeBytes { token -> MetadataValue? in
      var scanner = JSONScanner(token)
      do {
        let value = try scanner.scalar()
        guard scanner.offset == token.count else { return .none }
        return value
      } catch {
        // An integer that was read, but does not fit.
        if scanner.offset == token.count,
          token.allSatisfy({ $0 < UInt8(ascii: "A") && $0 != UInt8(ascii: ".") })
        {
          complaint = (error as? JSONFailure)?.message
        }
        return .none
      }
    }
    guard let value else {
      if let complaint { throw error(complaint, at: start) }
      let text = String(decoding: utf8[start..<offset], as: UTF8.self).abbreviated
      throw error("\(text) is not a number; text belongs in quotes", at: start)
    }
    return .number(value)
  }

  private mutating func word() throws -> FilterToken.Kind {
    let start = offset
    while let next = byte(at: offset), next.isWordByte { offset += 1 }
    let word = String(decoding: utf8[start..<offset], as: UTF8.self)
    if let keyword = FilterKeyword(rawValue: word.lowercased()) { return .keyword(keyword) }
    guard word.isBareName else {
      offset = start
      throw unexpectedCharacter(at: start)
    }
    return .name(word)
  }
}

extension FilterLexer {
  /// The error for the first character from here on that cannot be part of a name.
  private func unexpectedCharacter(at start: Int) -> FilterSyntaxError {
    let scalars = String(decoding: utf8[start...], as: UTF8.self).unicodeScalars
    var position = start
    for (index, scalar) in scalars.enumerated() {
      guard index == 0 ? scalar.isNameStart : scalar.isNamePart else {
        let code = String(scalar.value, radix: 16, uppercase: true)
        let isVisible = !scalar.properties.isWhitespace && scalar.value >= 0x20
        return error(
          "unexpected character \(isVisible ? "'\(scalar)'" : "U+\(code)")", at: position)
      }
      position += UTF8.width(scalar)
    }
    return error("unexpected end", at: position)
  }
}

extension UInt8 {
  /// Letters, digits, and what names may hold besides; all of UTF-8 beyond ASCII.
  fileprivate var isWordByte: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
      UInt8(ascii: "-"), 0x80...0xFF:
      true
    default: false
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isNameStart: Bool { self == "_" || properties.isAlphabetic }

  fileprivate var isNamePart: Bool {
    if isNameStart || self == "." || self == "-" { return true }
    switch properties.generalCategory {
    case .decimalNumber, .nonspacingMark, .spacingMark: return true
    default: return false
    }
  }
}

extension String {
  /// Whether a filter's text can have this field name without quotes.
  var isBareName: Bool {
    guard let first = unicodeScalars.first, first.isNameStart else { return false }
    return unicodeScalars.allSatisfy(\.isNamePart) && FilterKeyword(rawValue: lowercased()) == nil
  }
}
