/// One value of a record's metadata: a JSON scalar, or an array of scalars.
///
/// Values are written as literals, or made from Swift values with ``init(_:)``:
///
/// ```swift
/// let metadata: Metadata = ["title": "Ode", "year": 1819, "tags": ["poem", "autumn"], "read": nil]
/// ```
///
/// Two values are equal when they are of the same case and hold the same bits: `integer(1)` and
/// `double(1)` are two different values, as are two strings that look alike and are encoded
/// differently. (Only the sign of zero is not kept: `-0.0` is stored as `0.0`.) A ``Filter``
/// compares more kindly: there, the number 1 is the number 1.
public enum MetadataValue: Sendable {
  /// A field that is there and says nothing.
  case null
  case bool(Bool)
  case integer(Int64)
  /// A finite number. Infinities and NaN are refused when the record is written.
  case double(Double)
  case string(String)
  /// Scalars, in order. An array within an array is refused when the record is written.
  case array([MetadataValue])
}

extension MetadataValue: Equatable {
  /// Whether both values are stored as the same bytes.
  public static func == (left: MetadataValue, right: MetadataValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.integer(let a), .integer(let b)): a == b
    case (.double(let a), .double(let b)): a.storedBitPattern == b.storedBitPattern
    case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
    case (.array(let a), .array(let b)): a == b
    default: false
    }
  }
}

extension MetadataValue: Hashable {
  public func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0 as UInt8)
    case .bool(let value): hasher.combine(value ? 2 as UInt8 : 1)
    case .integer(let value):
      hasher.combine(3 as UInt8)
      hasher.combine(value)
    case .double(let value):
      hasher.combine(4 as UInt8)
      hasher.combine(value.storedBitPattern)
    case .string(let value):
      hasher.combine(5 as UInt8)
      hasher.combine(utf8Of: value)
    case .array(let elements):
      hasher.combine(6 as UInt8)
      hasher.combine(elements)
    }
  }
}

extension MetadataValue {
  /// The value that stands for a Swift value: `MetadataValue(year)`.
  public init(_ value: some MetadataConvertible) { self = value.metadataValue }

  /// Whether the value is ``null``.
  public var isNull: Bool { if case .null = self { true } else { false } }

  /// The truth value, or nil if this is not one.
  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// The integer, or nil if this is not one. A ``double(_:)`` is never taken for an integer.
  public var integerValue: Int64? { if case .integer(let value) = self { value } else { nil } }

  /// The number as a `Double`: any ``double(_:)``, and an ``integer(_:)`` that a `Double` holds
  /// exactly; nil otherwise.
  public var doubleValue: Double? {
    switch self {
    case .double(let value): value
    case .integer(let value): Double(exactly: value)
    default: nil
    }
  }

  /// The string, or nil if this is not one.
  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

  /// The elements, or nil if this is not an array.
  public var arrayValue: [MetadataValue]? {
    if case .array(let elements) = self { elements } else { nil }
  }
}

extension MetadataValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
  ExpressibleByArrayLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: MetadataValue...) { self = .array(elements) }
}

extension MetadataValue: CustomStringConvertible {
  /// The value as JSON.
  public var description: String {
    var writer = JSONWriter()
    writer.write(self)
    return writer.text
  }
}

extension Double {
  /// The bits that are stored for this number: those of positive zero for either zero.
  var storedBitPattern: UInt64 { self == 0 ? 0 : bitPattern }
}

extension String {
  /// Whether both are the same UTF-8. `==` also takes canonically equivalent strings ("é" as one
  /// or as two code points) for the same, which stored bytes, hashes and columns cannot.
  func hasSameBytes(as other: String) -> Bool {
    guard utf8.count == other.utf8.count else { return false }
    var (left, right) = (self, other)
    return left.withUTF8 { left in
      right.withUTF8 {
        UnsafeRawBufferPointer(left).hasSameBytes(as: UnsafeRawBufferPointer($0))
      }
    }
  }
}

extension Hasher {
  mutating func combine(utf8Of string: String) {
    combine(string.utf8.count)
    var string = string
    string.withUTF8 { combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
