import FoundationEssentials

/// A Swift type whose values can stand in metadata and in filters: booleans, integers up to 64
/// bits, floating-point numbers, strings, arrays of them, and optionals (nil is
/// ``MetadataValue/null``).
///
/// Dates are stored as text, see ``Instant``, and so are UUIDs, in capitals.
///
/// Conform a type of your own, such as an enumeration, to use it in filters:
///
/// ```swift
/// enum Language: String, MetadataConvertible { case german = "de", english = "en" }
/// let filter = Field("language") == Language.german
/// ```
public protocol MetadataConvertible {
  /// The value as it is stored.
  var metadataValue: MetadataValue { get }
}

extension MetadataConvertible where Self: RawRepresentable, RawValue: MetadataConvertible {
  public var metadataValue: MetadataValue { rawValue.metadataValue }
}

extension UUID: MetadataConvertible {
  public var metadataValue: MetadataValue { .string(uuidString) }
}

extension MetadataValue: MetadataConvertible {
  public var metadataValue: MetadataValue { self }
}

extension Bool: MetadataConvertible {
  public var metadataValue: MetadataValue { .bool(self) }
}

extension String: MetadataConvertible {
  public var metadataValue: MetadataValue { .string(self) }
}

extension Substring: MetadataConvertible {
  public var metadataValue: MetadataValue { .string(String(self)) }
}

extension Double: MetadataConvertible {
  public var metadataValue: MetadataValue { .double(self) }
}

extension Float: MetadataConvertible {
  public var metadataValue: MetadataValue { .double(Double(self)) }
}

extension Int: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension Int8: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension Int16: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension Int32: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension Int64: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(self) }
}

extension UInt8: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension UInt16: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension UInt32: MetadataConvertible {
  public var metadataValue: MetadataValue { .integer(Int64(self)) }
}

extension Array: MetadataConvertible where Element: MetadataConvertible {
  public var metadataValue: MetadataValue { .array(map(\.metadataValue)) }
}

extension Optional: MetadataConvertible where Wrapped: MetadataConvertible {
  public var metadataValue: MetadataValue { self?.metadataValue ?? .null }
}
