import VecDBBytes

/// What is known of a slot's value.
enum KnownValue {
  /// Not looked at yet, or nothing that a hash tells about.
  static let nothing: UInt64 = 0
  /// The record has no such field.
  static let missing: UInt64 = 1

  /// Of a string, by its UTF-8.
  static func hash(_ utf8: UnsafeRawBufferPointer) -> UInt64 {
    max(2, SHA256.hash(utf8).words.0)
  }

  static func of(_ value: UnsafeRawBufferPointer?) -> UInt64 {
    guard let value else { return missing }
    guard case .string(let utf8)? = CanonicalValue(value) else { return nothing }
    return hash(utf8)
  }
}
