/// Why a text is not the JSON that was expected, and where.
package struct JSONFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong, as a sentence without a full stop.
  package var message: String
  /// Where in the input, in bytes from its start.
  package var offsetBytes: Int

  package init(_ message: String, offsetBytes: Int) {
    self.message = message
    self.offsetBytes = offsetBytes
  }

  package var description: String { "\(message) (byte \(offsetBytes + 1))" }

  /// The error for callers of the library; `place` says what was read, such as `f.jsonl, line 7`.
  /// Bytes are counted from 1 there, as editors count columns.
  package func error(in place: String = "") -> VecDBError {
    VecDBError(
      .invalidArgument, message,
      at: place.isEmpty ? "byte \(offsetBytes + 1)" : "\(place), byte \(offsetBytes + 1)")
  }
}
