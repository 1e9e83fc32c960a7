/// Choices that bytes make: numbers, sizes and texts, often at a limit. After the last byte all
/// choices are 0.
struct Choices {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func byte() -> UInt8 {
    guard offset < bytes.count else { return 0 }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func flag() -> Bool { byte() & 1 == 1 }

  /// 0 to `count` - 1.
  mutating func one(of count: Int) -> Int { Int(byte()) % count }

  /// Any number, often the smallest or the largest.
  mutating func number<Integer: FixedWidthInteger>(_ type: Integer.Type = Integer.self) -> Integer {
    switch one(of: 6) {
    case 0: return .max
    case 1: return .min
    case 2: return Integer(byte() & 127)
    default:
      var value: Integer = 0
      for _ in 0..<Integer.bitWidth / 8 { value = value << 8 | Integer(truncatingIfNeeded: byte()) }
      return value
    }
  }

  /// A number around a limit, or far below or above it.
  mutating func size(around limit: Int) -> Int {
    switch one(of: 4) {
    case 0: max(0, limit - 2 + one(of: 5))
    case 1: limit + Int(byte()) * 7
    default: Int(byte()) % (limit + 1)
    }
  }

  /// A text of so many bytes, of letters of one to four. It takes a few choices, however long it is.
  mutating func text(bytes count: Int) -> String {
    let letters = ["x", "é", "€", "𝄞", "\u{0}", "\u{301}"]
    var state = number(UInt64.self)
    var text = ""
    var length = 0
    while length < count {
      state = state &* 0x5851_f42d_4c95_7f2d &+ 1
      let letter = letters[Int(state >> 33) % letters.count]
      let fits = length + letter.utf8.count <= count
      text += fits ? letter : "y"
      length += fits ? letter.utf8.count : 1
    }
    return text
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let (first, step) = (byte(), byte())
    return (0..<count).map { first &+ step &* UInt8(truncatingIfNeeded: $0) }
  }
}
