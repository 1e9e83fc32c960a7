/// One condition of a filter, made ready to be held against stored values in place. This is the
/// only code that decides whether a value matches.
struct FilterCondition: Sendable {
  private indirect enum Test {
    case compares(Filter.Comparison, MetadataValue)
    case isOne(of: ValueList)
    /// The field is an array with an element equal to this.
    case has(MetadataValue)
    case exists
    case begins(with: [UInt8])
    case isLike(LikePattern)
    case isMoment(Filter.Comparison, Instant)
    /// The field is an array, and the test holds for an element or for each.
    case holdsForElements(FilterCondition, each: Bool)
  }

  let field: String
  private let test: Test
  /// The same for stored integers, where the test compares with a number: most of what columns ask.
  private let integers: IntegerTest?

  /// Nil where strings are asked for their order, or for more than they hold.
  var strings: StringTest? {
    func hashes(_ values: [MetadataValue]) -> Set<UInt64> {
      Set(
        values.compactMap { value in
          guard case .string(let text) = value else { return nil }
          return Array(text.utf8).withUnsafeBytes { KnownValue.hash($0) }
        })
    }
    switch test {
    case .compares(.equal, let literal):
      return StringTest(hashes: hashes([literal]), others: false)
    case .compares(.notEqual, let literal):
      return StringTest(hashes: hashes([literal]), others: true)
    case .compares: return nil
    case .isOne(let values):
      return StringTest(hashes: hashes(values.all), others: false)
    // No string has elements.
    case .has, .holdsForElements: return StringTest(hashes: [], others: false)
    case .begins, .isLike, .isMoment: return nil
    case .exists: return StringTest(hashes: [], others: true)
    }
  }

  /// Nil if the filter is `and`, `or` or `not`.
  init?(_ filter: Filter) {
    if case .comparison(_, let comparison, let value) = filter {
      integers = IntegerTest(comparison, value)
    } else {
      integers = nil
    }
    switch filter {
    case .comparison(let field, let comparison, let value):
      self.field = field
      test = .compares(comparison, value)
    case .in(let field, let values):
      self.field = field
      test = .isOne(of: ValueList(values))
    case .exists(let field):
      self.field = field
      test = .exists
    case .contains(let field, let value):
      self.field = field
      test = .has(value)
    case .startsWith(let field, let text):
      self.field = field
      test = .begins(with: Array(text.utf8))
    case .like(let field, let pattern, let ignoringCase):
      guard let pattern = LikePattern(pattern, ignoringCase: ignoringCase) else { return nil }
      self.field = field
      test = .isLike(pattern)
    case .date(let field, let comparison, let instant):
      self.field = field
      test = .isMoment(comparison, instant)
    case .any(let element), .all(let element):
      guard let condition = FilterCondition(element) else { return nil }
      field = condition.field
      var isOfEach = false
      if case .all = filter { isOfEach = true }
      test = .holdsForElements(condition, each: isOfEach)
    case .and, .or, .not: return nil
    }
  }

  /// Whether the field's stored value matches; nil, for a missing field, never does, and neither
  /// do bytes that are not a value.
  func matches(_ bytes: UnsafeRawBufferPointer?) -> Bool {
    if let integers, let bytes, bytes.count == 9, bytes[0] == CanonicalValue.Tag.integer.rawValue {
      let stored = bytes.loadUnaligned(fromByteOffset: 1, as: Int64.self)
      return integers.matches(Int64(littleEndian: stored))
    }
    guard let bytes, let value = CanonicalValue(bytes) else { return false }
    return matches(value)
  }

  private func matches(_ value: CanonicalValue) -> Bool {
    switch test {
    case .exists: return true
    case .compares(let comparison, let literal):
      if comparison == .equal { return value.equals(literal) }
      if comparison == .notEqual { return !value.equals(literal) }
      return value.order(against: literal).map { comparison.holds(for: $0) } ?? false
    case .isOne(let values): return values.contains(value)
    case .has(let literal):
      guard case .array(let elements) = value else { return false }
      for element in elements where element.equals(literal) { return true }
      return false
    case .begins(let prefix):
      guard case .string(let utf8) = value, utf8.count >= prefix.count else { return false }
      return prefix.withUnsafeBytes { utf8.prefix(prefix.count).elementsEqual($0) }
    case .isLike(let pattern):
      guard case .string(let utf8) = value else { return false }
      return pattern.matches(utf8)
    case .isMoment(let comparison, let literal):
      guard case .string(let utf8) = value, let instant = Instant(utf8: utf8) else {
        return comparison == .notEqual
      }
      return comparison.holds(for: instant < literal ? -1 : (instant == literal ? 0 : 1))
    case .holdsForElements(let condition, let isOfEach):
      guard case .array(let elements) = value else { return false }
      for element in elements where condition.matches(element) != isOfEach { return !isOfEach }
      return isOfEach
    }
  }
}

/// A comparison of integers with a number: within a range, or without it.
private struct IntegerTest: Sendable {
  /// Empty where `low` is above `high`.
  private var low = Int64.min
  private var high = Int64.max
  private var isInverted = false

  /// Nil where the literal is not a number.
  init?(_ comparison: Filter.Comparison, _ literal: MetadataValue) {
    let number: Double
    switch literal {
    case .integer(let value):
      switch comparison {
      case .equal, .notEqual: (low, high) = (value, value)
      case .lessOrEqual, .greater: high = value
      case .less, .greaterOrEqual:
        if value == .min { (low, high) = (1, 0) } else { high = value - 1 }
      }
      isInverted = comparison.isInverse
      return
    case .double(let value): number = value
    default: return nil
    }
    guard number.isFinite else { return nil }
    switch comparison {
    case .equal, .notEqual:
      if let value = Int64(exactly: number) {
        (low, high) = (value, value)
      } else {
        (low, high) = (1, 0)
      }
    case .lessOrEqual, .greater: setHigh(number.rounded(.down))
    case .less, .greaterOrEqual: setHigh(number.rounded(.up), isExclusive: true)
    }
    isInverted = comparison.isInverse
  }

  private mutating func setHigh(_ whole: Double, isExclusive: Bool = false) {
    if whole >= 0x1p63 { return }
    guard whole >= -0x1p63, !isExclusive || whole > -0x1p63 else {
      (low, high) = (1, 0)
      return
    }
    high = Int64(whole) - (isExclusive ? 1 : 0)
  }

  func matches(_ value: Int64) -> Bool { (low <= value && value <= high) != isInverted }
}

extension Filter.Comparison {
  /// Whether it is true of a value that comes before the other, equals it or comes after it, as the
  /// order is negative, zero or positive.
  fileprivate func holds(for order: Int) -> Bool {
    switch self {
    case .equal: order == 0
    case .notEqual: order != 0
    case .less: order < 0
    case .lessOrEqual: order <= 0
    case .greater: order > 0
    case .greaterOrEqual: order >= 0
    }
  }

  /// Whether it is the negation of another: of `==`, `<=` and `<`.
  fileprivate var isInverse: Bool {
    self == .notEqual || self == .greater || self == .greaterOrEqual
  }
}

/// The values after `in`, arranged for quick look-ups.
private struct ValueList: Sendable {
  /// UTF-8 of the strings in ascending order: found without building a string of the stored bytes.
  private let strings: [[UInt8]]
  /// Stored forms of the arrays, each `unified`: they hold strings, too, which compare by bytes.
  private let arrays: Set<[UInt8]>
  /// All others, each `unified`.
  private let others: Set<MetadataValue>
  /// As they were given.
  let all: [MetadataValue]

  init(_ values: [MetadataValue]) {
    all = values
    var strings: Set<[UInt8]> = []
    var arrays: Set<[UInt8]> = []
    var others: Set<MetadataValue> = []
    for value in values {
      switch value {
      case .string(let text): strings.insert(Array(text.utf8))
      case .array: arrays.insert(value.unified.canonicalBytes)
      default: others.insert(value.unified)
      }
    }
    self.arrays = arrays
    self.strings = strings.sorted { $0.lexicographicallyPrecedes($1) }
    self.others = others
  }

  func contains(_ value: CanonicalValue) -> Bool {
    guard case .string(let bytes) = value else {
      guard let value = MetadataValue(value)?.unified else { return false }
      if case .array = value {
        return !arrays.isEmpty && arrays.contains(value.canonicalBytes)
      }
      return others.contains(value)
    }
    var (low, high) = (0, strings.count)
    while low < high {
      let middle = (low + high) / 2
      let order = strings[middle].withUnsafeBytes { bytes.compare($0) }
      if order == 0 { return true }
      if order < 0 { high = middle } else { low = middle + 1 }
    }
    return false
  }
}

extension MetadataValue {
  /// Numbers of the same value, made the same case, so that `==` decides as a filter does.
  var unified: MetadataValue {
    switch self {
    case .double(let value): Int64(exactly: value).map { .integer($0) } ?? self
    case .array(let elements): .array(elements.map(\.unified))
    default: self
    }
  }
}

extension CanonicalValue {
  /// Equality as ``Filter`` defines it.
  fileprivate func equals(_ literal: MetadataValue) -> Bool {
    switch (self, literal) {
    case (.null, .null): return true
    case (.array(let elements), .array(let others)):
      guard elements.count == others.count else { return false }
      return zip(elements, others).allSatisfy { $0.equals($1) }
    default: return order(against: literal) == 0
    }
  }

  /// Negative, zero or positive as this value comes before, equals or comes after the literal;
  /// nil if the two have no order.
  fileprivate func order(against literal: MetadataValue) -> Int? {
    switch (self, literal) {
    case (.bool(let a), .bool(let b)): (a ? 1 : 0) - (b ? 1 : 0)
    case (.integer(let a), .integer(let b)): a < b ? -1 : (a == b ? 0 : 1)
    case (.double(let a), .double(let b)): FilterCondition.order(a, b)
    case (.integer(let a), .double(let b)): FilterCondition.order(a, b)
    case (.double(let a), .integer(let b)): FilterCondition.order(b, a).map { -$0 }
    case (.string(let a), .string(let b)): FilterCondition.order(a, b)
    default: nil
    }
  }
}

extension FilterCondition {
  fileprivate static func order(_ left: Double, _ right: Double) -> Int? {
    if left < right { return -1 }
    if left > right { return 1 }
    return left == right ? 0 : nil
  }

  /// Exact: neither number is rounded to the other's type.
  fileprivate static func order(_ integer: Int64, _ double: Double) -> Int? {
    if double.isNaN { return nil }
    if double >= 0x1p63 { return -1 }
    if double < -0x1p63 { return 1 }
    let whole = Int64(double)  // rounded towards zero; the fraction decides what is left
    if integer != whole { return integer < whole ? -1 : 1 }
    let fraction = double - Double(whole)
    return fraction > 0 ? -1 : (fraction < 0 ? 1 : 0)
  }

  fileprivate static func order(_ stored: UnsafeRawBufferPointer, _ literal: String) -> Int {
    var literal = literal
    return literal.withUTF8 { stored.compare(UnsafeRawBufferPointer($0)) }
  }
}
