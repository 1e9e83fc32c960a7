/// The name of a metadata field, from which a ``Filter`` is built with Swift operators.
///
/// ```swift
/// let year = Field("year")
/// let filter = year >= 1800 && year < 1900 && !Field("tags").contains("draft")
/// ```
///
/// What a missing field, null, and values of different types do is told at ``Filter``.
public struct Field: Sendable, Hashable {
  /// The name, as in ``Metadata``.
  public var name: String

  public init(_ name: String) { self.name = name }

  /// The record has the field, be it null.
  public var exists: Filter { .exists(field: name) }

  /// The field equals one of the values.
  public func `in`(_ values: some Sequence<some MetadataConvertible>) -> Filter {
    .in(field: name, values.map(\.metadataValue))
  }

  /// The field equals one of the values, which may be of different types.
  public func `in`(_ values: [MetadataValue]) -> Filter { .in(field: name, values) }

  /// The field is an array that has an element equal to the value.
  public func contains(_ element: some MetadataConvertible) -> Filter {
    .contains(field: name, element.metadataValue)
  }

  /// The field is an array that has an element equal to the value.
  public func contains(_ element: MetadataValue) -> Filter { .contains(field: name, element) }

  /// The record has the field, and it is null.
  public var isNull: Filter { .comparison(field: name, .equal, .null) }

  /// The record lacks the field.
  public var isMissing: Filter { .not(exists) }

  /// The field is a string without characters, or an array without elements.
  public var isEmpty: Filter { .in(field: name, ["", []]) }

  /// The field does not come before `low`, nor after `high`.
  public func between(
    _ low: some MetadataConvertible, _ high: some MetadataConvertible
  ) -> Filter {
    self >= low && self <= high
  }

  /// The field is a string that begins with this one, byte for byte.
  public func startsWith(_ text: String) -> Filter { .startsWith(field: name, text) }

  /// The field is a string of this form; see ``Filter/like(field:pattern:ignoringCase:)``.
  public func like(_ pattern: String, ignoringCase: Bool = false) -> Filter {
    .like(field: name, pattern: pattern, ignoringCase: ignoringCase)
  }

  /// The field is a string that has this one in it.
  public func containsText(_ text: String, ignoringCase: Bool = false) -> Filter {
    like(LikePattern.containing(text), ignoringCase: ignoringCase)
  }

  /// The field is an array with an element for which the condition is true:
  /// `Field("scores").any { $0 >= 3 }`.
  public func any(_ condition: (Field) -> Filter) -> Filter { .any(condition(self)) }

  /// The field is an array, and the condition is true for each element, or there are none.
  public func all(_ condition: (Field) -> Filter) -> Filter { .all(condition(self)) }
}

extension Field {
  /// The field equals the value.
  public static func == (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .equal, value.metadataValue)
  }

  /// The record has the field, and it does not equal the value.
  public static func != (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .notEqual, value.metadataValue)
  }

  /// The field comes before the value.
  public static func < (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .less, value.metadataValue)
  }

  /// The field comes before the value or equals it.
  public static func <= (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .lessOrEqual, value.metadataValue)
  }

  /// The field comes after the value.
  public static func > (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .greater, value.metadataValue)
  }

  /// The field comes after the value or equals it.
  public static func >= (field: Field, value: some MetadataConvertible) -> Filter {
    .comparison(field: field.name, .greaterOrEqual, value.metadataValue)
  }

  /// The field equals the value: `Field("lang") == .null`.
  public static func == (field: Field, value: MetadataValue) -> Filter {
    .comparison(field: field.name, .equal, value)
  }

  /// The record has the field, and it does not equal the value: `Field("lang") != .null`.
  public static func != (field: Field, value: MetadataValue) -> Filter {
    .comparison(field: field.name, .notEqual, value)
  }
}

extension Filter {
  /// Both are true.
  public static func && (left: Filter, right: Filter) -> Filter {
    guard case .and(let filters) = left else { return .and([left, right]) }
    return .and(filters + [right])
  }

  /// At least one of them is true.
  public static func || (left: Filter, right: Filter) -> Filter {
    guard case .or(let filters) = left else { return .or([left, right]) }
    return .or(filters + [right])
  }

  /// It is false.
  public static prefix func ! (filter: Filter) -> Filter { .not(filter) }
}
