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
