/// A condition on a record's metadata, for searches, counts and deletes.
///
/// Written with Swift operators on a ``Field``, or as text (``init(parsing:)``):
///
/// ```swift
/// Field("year") >= 2020 && Field("lang").in(["de", "en"]) && !Field("tags").contains("draft")
/// try Filter(parsing: "year >= 2020 and lang in ('de', 'en') and not tags contains 'draft'")
/// ```
///
/// ## What matches
///
/// Every condition is either true or false for a record; there is no third value.
///
/// - **A field that the record does not have matches nothing**: `==`, `!=`, `<`, `in` and
///   `contains` are all false, and so is ``exists(field:)``. Only `not` turns that around:
///   `lang != 'de'` finds records that have a language and it is another one, `not lang == 'de'`
///   finds also those that have none.
/// - **Equality**: numbers equal numbers of the same value, whether stored as integer or double
///   (compared exactly, without rounding), and `-0.0` equals `0`. Strings are equal if their UTF-8
///   is the same, arrays if their elements are equal in order, null equals null. Values of
///   different types are not equal, so `!=` between them is true.
/// - **Order** (`<`, `<=`, `>`, `>=`): numbers by value, strings by the bytes of their UTF-8,
///   false before true. Between different types, and for null and arrays, all four are false.
/// - **`in`**: the field equals one of the values. **`contains`**: the field is an array, and one
///   of its elements equals the value; a string is not searched for substrings.
/// - **Moments** (``date(field:_:_:)``): the field is a string that ``Instant`` can read, and its moment
///   is compared. For any other value `!=` is true, and all else is false.
/// - **Text** (``startsWith(field:_:)``, ``like(field:pattern:ignoringCase:)``): false for all but strings.
/// - **Elements** (``any(_:)``, ``all(_:)``): false for all but arrays.
/// - **Names** of fields are compared by their UTF-8 too.
///
/// The limits below, and values that no field can hold, are checked when the filter is used; see
/// ``validate()``.
public indirect enum Filter: Sendable {
  /// Deepest nesting of `and`, `or` and `not`.
  public static let depthMax = 64
  /// Most conditions, counting each `and`, `or` and `not` as one.
  public static let nodeCountMax = 16_384
  /// Most values after one `in`.
  public static let listCountMax = 65_536
  /// Longest text that ``init(parsing:)`` reads, in bytes of UTF-8.
  public static let textSizeBytesMax = 64 << 10

  /// How a comparison compares the field to the value.
  public enum Comparison: String, Sendable, Hashable, CaseIterable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
  }

  /// The field compares to the value as told.
  case comparison(field: String, Comparison, MetadataValue)
  /// The field equals one of the values.
  case `in`(field: String, [MetadataValue])
  /// The record has the field, be it null.
  case exists(field: String)
  /// The field is an array that has an element equal to the value.
  case contains(field: String, MetadataValue)
  /// The field is a string that begins with this one, byte for byte.
  case startsWith(field: String, String)
  /// The field is a string of this form: `%` in the pattern stands for any text, `_` for one Unicode
  /// scalar, and a backslash takes the meaning from what follows it. With `ignoringCase` both are
  /// compared in lower case, by Unicode's mapping of each scalar.
  case like(field: String, pattern: String, ignoringCase: Bool)
  /// The field is the text of a moment, which compares to this one as told; see ``Instant``.
  case date(field: String, Comparison, Instant)
  /// The field is an array with an element for which the condition is true. The condition asks about
  /// the field's value, here each element, and is none of `exists`, `contains`, `any`, `all`, `and`,
  /// `or` and `not`.
  case any(Filter)
  /// The field is an array, and the condition is true for each element; so it is if there are none.
  /// For the condition the same holds as for ``any(_:)``.
  case all(Filter)
  /// All of them are true; so is an empty list.
  case and([Filter])
  /// At least one of them is true; an empty list is false.
  case or([Filter])
  /// It is false.
  case not(Filter)
}

extension Filter: Hashable {
  /// Whether both are written the same: names and values have the same bytes.
  public static func == (left: Filter, right: Filter) -> Bool {
    switch (left, right) {
    case (.comparison(let a, let how, let value), .comparison(let b, let otherHow, let other)):
      a.hasSameBytes(as: b) && how == otherHow && value == other
    case (.in(let a, let values), .in(let b, let others)): a.hasSameBytes(as: b) && values == others
    case (.exists(let a), .exists(let b)): a.hasSameBytes(as: b)
    case (.contains(let a, let value), .contains(let b, let other)):
      a.hasSameBytes(as: b) && value == other
    case (.startsWith(let a, let text), .startsWith(let b, let other)):
      a.hasSameBytes(as: b) && text.hasSameBytes(as: other)
    case (.like(let a, let pattern, let ignores), .like(let b, let other, let otherIgnores)):
      a.hasSameBytes(as: b) && pattern.hasSameBytes(as: other) && ignores == otherIgnores
    case (.date(let a, let how, let date), .date(let b, let otherHow, let other)):
      a.hasSameBytes(as: b) && how == otherHow && date == other
    case (.any(let a), .any(let b)), (.all(let a), .all(let b)): a == b
    case (.and(let a), .and(let b)), (.or(let a), .or(let b)): a == b
    case (.not(let a), .not(let b)): a == b
    default: false
    }
  }

  public func hash(into hasher: inout Hasher) {
    switch self {
    case .comparison(let field, let comparison, let value):
      hasher.combine(0 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(comparison)
      hasher.combine(value)
    case .in(let field, let values):
      hasher.combine(1 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(values)
    case .exists(let field):
      hasher.combine(2 as UInt8)
      hasher.combine(utf8Of: field)
    case .contains(let field, let value):
      hasher.combine(3 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(value)
    case .and(let filters):
      hasher.combine(4 as UInt8)
      hasher.combine(filters)
    case .or(let filters):
      hasher.combine(5 as UInt8)
      hasher.combine(filters)
    case .not(let filter):
      hasher.combine(6 as UInt8)
      hasher.combine(filter)
    case .startsWith(let field, let text):
      hasher.combine(7 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(utf8Of: text)
    case .like(let field, let pattern, let ignoringCase):
      hasher.combine(8 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(utf8Of: pattern)
      hasher.combine(ignoringCase)
    case .date(let field, let comparison, let instant):
      hasher.combine(9 as UInt8)
      hasher.combine(utf8Of: field)
      hasher.combine(comparison)
      hasher.combine(instant)
    case .any(let filter):
      hasher.combine(10 as UInt8)
      hasher.combine(filter)
    case .all(let filter):
      hasher.combine(11 as UInt8)
      hasher.combine(filter)
    }
  }
}

extension Filter {
  /// Whether a record with this metadata matches.
  ///
  /// For one record at a time; a search evaluates its filter over the index's columns instead.
  public func matches(_ metadata: Metadata) -> Bool {
    switch self {
    case .comparison, .in, .exists, .contains, .startsWith, .like, .date, .any, .all:
      guard let condition = FilterCondition(self),
        let value = metadata.value(ofField: condition.field)
      else { return false }
      return value.canonicalBytes.withUnsafeBytes { condition.matches($0) }
    case .and(let filters): return filters.allSatisfy { $0.matches(metadata) }
    case .or(let filters): return filters.contains { $0.matches(metadata) }
    case .not(let filter): return !filter.matches(metadata)
    }
  }

  /// Checks that the filter is one that a record could be held against: nesting, number of
  /// conditions and lists are within the limits, names are possible names, numbers are finite,
  /// and order is not asked of null or of an array.
  ///
  /// - Throws: ``VecDBError``: `.limitExceeded` or `.invalidArgument`, naming the field.
  public func validate() throws {
    var nodeCount = 0
    try validate(depth: 1, nodeCount: &nodeCount)
  }

  private func validate(depth: Int, nodeCount: inout Int) throws {
    nodeCount += 1
    guard depth <= Filter.depthMax else {
      throw VecDBError(.limitExceeded, "a filter nested deeper than \(Filter.depthMax)")
    }
    guard nodeCount <= Filter.nodeCountMax else {
      throw VecDBError(
        .limitExceeded, "a filter of more than \(Filter.nodeCountMax) conditions",
        remedy: "Use \"in\" with a list of values.")
    }
    switch self {
    case .comparison(let field, let comparison, let value):
      try validate(field: field, value: value)
      guard comparison == .equal || comparison == .notEqual || value.isOrdered else {
        throw VecDBError(
          .invalidArgument, "\(value.kind) has no order to compare by with \(comparison.rawValue)",
          at: "field \(field)", remedy: "Use == or !=.")
      }
    case .in(let field, let values):
      guard values.count <= Filter.listCountMax else {
        throw VecDBError(
          .limitExceeded, "\(values.count) values after \"in\", more than \(Filter.listCountMax)",
          at: "field \(field)")
      }
      try validate(field: field, value: .null)
      for value in values { try validate(field: field, value: value) }
    case .exists(let field): try validate(field: field, value: .null)
    case .contains(let field, let value):
      try validate(field: field, value: value)
      if case .array = value {
        throw VecDBError(
          .invalidArgument, "\"contains\" looks for one scalar, not for an array",
          at: "field \(field)", remedy: "Join one \"contains\" for each with \"and\".")
      }
    case .startsWith(let field, let text): try validate(field: field, value: .string(text))
    case .like(let field, let pattern, let ignoringCase):
      try validate(field: field, value: .string(pattern))
      guard pattern.utf8.count <= LikePattern.sizeBytesMax else {
        throw VecDBError(
          .limitExceeded,
          "a pattern of \(pattern.utf8.count) bytes, more than "
            + "\(LikePattern.sizeBytesMax)", at: "field \(field)",
          remedy: "Shorten the pattern.")
      }
      guard LikePattern(pattern, ignoringCase: ignoringCase) != nil else {
        throw VecDBError(
          .invalidArgument, "the pattern ends with a backslash", at: "field \(field)",
          remedy: "Write two backslashes for one.")
      }
    case .date(let field, _, _): try validate(field: field, value: .null)
    case .any(let condition), .all(let condition):
      guard condition.isOfOneValue else {
        throw VecDBError(
          .invalidArgument, "\"any\" and \"all\" take one condition on each element",
          remedy: "Join several \"any\" with \"and\" or \"or\".")
      }
      try condition.validate(depth: depth + 1, nodeCount: &nodeCount)
    case .and(let filters), .or(let filters):
      for filter in filters { try filter.validate(depth: depth + 1, nodeCount: &nodeCount) }
    case .not(let filter): try filter.validate(depth: depth + 1, nodeCount: &nodeCount)
    }
  }

  /// Whether it can be asked of each element of an array.
  private var isOfOneValue: Bool {
    switch self {
    case .comparison, .in, .startsWith, .like, .date: true
    case .exists, .contains, .any, .all, .and, .or, .not: false
    }
  }

  private func validate(field: String, value: MetadataValue) throws {
    guard (1...Metadata.fieldNameSizeBytesMax).contains(field.utf8.count) else {
      throw VecDBError(
        .invalidArgument, "a field name of \(field.utf8.count) bytes in a filter",
        at: String(field.prefix(32)),
        remedy: "Use 1 to \(Metadata.fieldNameSizeBytesMax) bytes of UTF-8.")
    }
    if let trouble = value.trouble {
      throw VecDBError(.invalidArgument, trouble, at: "field \(field)")
    }
  }
}

extension MetadataValue {
  /// Whether `<` means anything for this value.
  fileprivate var isOrdered: Bool {
    switch self {
    case .bool, .integer, .double, .string: true
    case .null, .array: false
    }
  }
}
