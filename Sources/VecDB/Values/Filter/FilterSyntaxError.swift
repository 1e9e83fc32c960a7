/// Why a text is not a filter, and where.
package struct FilterSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was expected and what was found, as a sentence without a full stop.
  package var message: String
  /// Where in the text, in bytes of UTF-8 from its start.
  package var offsetBytes: Int
  /// Where in the text, in characters from 1.
  package var column: Int

  init(_ message: String, at offsetBytes: Int, in utf8: [UInt8]) {
    self.message = message
    self.offsetBytes = offsetBytes
    column = String(decoding: utf8.prefix(offsetBytes), as: UTF8.self).count + 1
  }

  package var description: String { "\(message) (column \(column) of the filter)" }

  /// Two lines that show the place: the line of the text with the error, and a caret below it.
  /// Tabs become spaces, so that the caret stands where it should.
  package func marked(in text: String) -> String {
    let before = Array(text.utf8.prefix(offsetBytes))
    let lineStart = before.lastIndex(where: \.isLineBreak).map { $0 + 1 } ?? 0
    let line = text.utf8.dropFirst(lineStart).prefix { !$0.isLineBreak }
    let indent = String(decoding: before[lineStart...], as: UTF8.self).count
    let shown = String(decoding: line, as: UTF8.self).map { $0 == "\t" ? " " : $0 }
    return String(shown) + "\n" + String(repeating: " ", count: indent) + "^"
  }
}

extension UInt8 {
  fileprivate var isLineBreak: Bool { self == UInt8(ascii: "\n") || self == UInt8(ascii: "\r") }
}

extension VecDBError {
  init(_ error: FilterSyntaxError) {
    self.init(
      .invalidArgument, error.message, at: "column \(error.column) of the filter",
      remedy: "A filter looks like: year >= 2020 and lang in ('de', 'en').")
  }
}
