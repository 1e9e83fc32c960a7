/// A string that equals another one only if their UTF-8 is the same. Swift's own strings also equal
/// canonically equivalent ones ("é" as one or as two code points), which stored names do not.
struct ByteString: Sendable, Hashable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (left: ByteString, right: ByteString) -> Bool {
    left.text.hasSameBytes(as: right.text)
  }

  func hash(into hasher: inout Hasher) { hasher.combine(utf8Of: text) }
}
