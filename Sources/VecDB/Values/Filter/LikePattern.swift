/// A pattern of SQL's LIKE, made ready to be held against stored strings: `%` stands for any text,
/// `_` for one Unicode scalar, and a backslash takes the meaning from what follows it.
struct LikePattern: Sendable {
  /// Longest pattern in bytes of UTF-8: a comparison takes as long as text times pattern at worst.
  static let sizeBytesMax = 1_024

  private enum Token: Sendable {
    case byte(UInt8)
    case scalar
    case text
  }

  private var tokens: [Token] = []
  private let ignoresCase: Bool

  /// Nil if the pattern ends with a backslash that takes the meaning from nothing.
  init?(_ pattern: String, ignoringCase: Bool) {
    ignoresCase = ignoringCase
    let utf8 = ignoringCase ? Self.folded(Array(pattern.utf8)) : Array(pattern.utf8)
    var isEscaped = false
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "\\") where !isEscaped:
        isEscaped = true
        continue
      case UInt8(ascii: "%") where !isEscaped: tokens.append(.text)
      case UInt8(ascii: "_") where !isEscaped: tokens.append(.scalar)
      default: tokens.append(.byte(byte))
      }
      isEscaped = false
    }
    if isEscaped { return nil }
  }

  /// The pattern of all texts that have this one in them.
  static func containing(_ text: String) -> String {
    var pattern = String.UnicodeScalarView("%".unicodeScalars)
    for scalar in text.unicodeScalars {
      if ["%", "_", "\\"].contains(scalar) { pattern.append("\\") }
      pattern.append(scalar)
    }
    pattern.append("%")
    return String(pattern)
  }

  func matches(_ text: UnsafeRawBufferPointer) -> Bool {
    guard ignoresCase else { return matches(whole: text) }
    return Self.folded(Array(text)).withUnsafeBytes { matches(whole: $0) }
  }

  private func matches(whole text: UnsafeRawBufferPointer) -> Bool {
    var (position, token) = (0, 0)
    // The last `%`, and where the text that it stands for ends so far.
    var (star, end) = (-1, 0)
    while position < text.count {
      if token < tokens.count {
        switch tokens[token] {
        case .byte(let byte) where byte == text[position]:
          position += 1
          token += 1
          continue
        case .scalar:
          position += Self.width(text[position])
          token += 1
          continue
        case .text:
          (star, end) = (token, position)
          token += 1
          continue
        default: break
        }
      }
      guard star >= 0 else { return false }
      // By whole scalars, so that `_` never stands for a part of one.
      end += Self.width(text[end])
      position = end
      token = star + 1
    }
    guard position == text.count else { return false }
    return tokens[token...].allSatisfy { if case .text = $0 { true } else { false } }
  }

  /// Bytes of the scalar that begins with this one.
  private static func width(_ lead: UInt8) -> Int {
    switch lead {
    case 0xF0...0xFF: 4
    case 0xE0..<0xF0: 3
    case 0xC0..<0xE0: 2
    default: 1
    }
  }

  /// The text with each scalar in lower case, by Unicode's mapping, whatever the language.
  private static func folded(_ utf8: [UInt8]) -> [UInt8] {
    if utf8.allSatisfy({ $0 < 0x80 }) {
      return utf8.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }
    }
    var text = ""
    for scalar in String(decoding: utf8, as: UTF8.self).unicodeScalars {
      text += scalar.properties.lowercaseMapping
    }
    return Array(text.utf8)
  }
}
