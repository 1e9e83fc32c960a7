import FoundationEssentials

/// Conditions on fields that hold a moment as text; see ``Instant``.
extension Field {
  /// The field is this moment.
  public static func == (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .equal, value)
  }

  /// The record has the field, and it is not this moment.
  public static func != (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .notEqual, value)
  }

  /// The field is a moment before this one.
  public static func < (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .less, value)
  }

  /// The field is a moment before this one, or this one.
  public static func <= (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .lessOrEqual, value)
  }

  /// The field is a moment after this one.
  public static func > (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .greater, value)
  }

  /// The field is a moment after this one, or this one.
  public static func >= (field: Field, value: Instant) -> Filter {
    .date(field: field.name, .greaterOrEqual, value)
  }

  /// The field is this moment.
  public static func == (field: Field, value: Date) -> Filter { field == Instant(value) }

  /// The record has the field, and it is not this moment.
  public static func != (field: Field, value: Date) -> Filter { field != Instant(value) }

  /// The field is a moment before this one.
  public static func < (field: Field, value: Date) -> Filter { field < Instant(value) }

  /// The field is a moment before this one, or this one.
  public static func <= (field: Field, value: Date) -> Filter { field <= Instant(value) }

  /// The field is a moment after this one.
  public static func > (field: Field, value: Date) -> Filter { field > Instant(value) }

  /// The field is a moment after this one, or this one.
  public static func >= (field: Field, value: Date) -> Filter { field >= Instant(value) }

  /// The field is a moment not before `low`, nor after `high`.
  public func between(_ low: Instant, _ high: Instant) -> Filter { self >= low && self <= high }

  /// The field is a moment not before `low`, nor after `high`.
  public func between(_ low: Date, _ high: Date) -> Filter { self >= low && self <= high }
}
