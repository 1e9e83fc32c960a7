import Testing
import VecDB

@Suite struct FilterTests {
  private static let record: Metadata = [
    "year": 1819, "rating": 4.5, "lang": "de", "read": true, "none": nil, "tags": ["a", 2, nil],
    "whole": 3.0, "large": .integer(1 << 53 + 1), "empty": [],
  ]

  /// What the documentation of `Filter` says, case by case.
  @Test(arguments: [
    ("year == 1819", true), ("year == 1819.0", true), ("year == '1819'", false),
    ("year != 1819", false), ("year != 1820", true), ("year != '1819'", true),
    ("year < 1819.5", true), ("year >= 1819.5", false), ("year > 'a'", false),
    ("year <= 'a'", false), ("whole == 3", true), ("whole in (3)", true),
    ("year in (1819.0)", true),
    // Numbers are compared without rounding either.
    ("large == 9007199254740993", true), ("large == 9007199254740992.0", false),
    ("large > 9007199254740992.0", true), ("large in (9007199254740992.0)", false),
    ("year < 1e300", true), ("year > -1e300", true), ("year < 9223372036854775808.0", true),
    ("year > -9223372036854775809.0", true),
    // Strings by bytes.
    ("lang == 'de'", true), ("lang < 'e'", true), ("lang < 'dé'", true), ("lang > 'd'", true),
    ("lang > 'DE'", true), ("lang in ('en', 'de')", true), ("lang in ()", false),
    ("lang in ('en')", false), ("lang in ('de', 1, null)", true),
    // Booleans.
    ("read == true", true), ("read > false", true), ("read < true", false), ("read == 1", false),
    // Null and missing.
    ("none == null", true), ("none != null", false), ("none == 0", false), ("none != 0", true),
    ("none < 1", false), ("none >= 0", false), ("none in (null)", true), ("exists(none)", true),
    ("gone == null", false), ("gone != null", false), ("gone != 1", false), ("gone < 1", false),
    ("gone in (null)", false), ("gone contains null", false), ("exists(gone)", false),
    ("not exists(gone)", true), ("not gone == 1", true), ("not gone != 1", true),
    ("year != null", true),
    // Arrays.
    ("tags contains 'a'", true), ("tags contains 2.0", true), ("tags contains null", true),
    ("tags contains 'b'", false), ("tags == 'a'", false), ("tags == ['a', 2.0, null]", true),
    ("tags == ['a', 2]", false), ("tags != ['a', 2]", true), ("tags in (['a', 2.0, null])", true),
    ("tags < 'b'", false), ("lang contains 'd'", false), ("lang contains 'de'", false),
    ("empty == []", true), ("empty contains null", false),
    // Joining.
    ("year == 1 or lang == 'de' and read == true", true),
    ("(year == 1 or lang == 'de') and read == false", false),
    ("not (year == 1 or lang == 'en')", true), ("not not lang == 'de'", true),
    ("true", true), ("false", false), ("not false", true), ("true and exists(year)", true),
  ])
  func semantics(text: String, matches: Bool) throws {
    let filter = try Filter(parsing: text)
    #expect(filter.matches(Self.record) == matches)
    let bytes = try Self.record.canonicalBytes()
    let plan = try filter.plan()
    #expect(try bytes.withUnsafeBytes { try plan.matches(canonicalMetadata: $0) } == matches)
  }

  @Test func namesAreComparedByBytes() throws {
    let record: Metadata = ["e\u{301}": 1]
    #expect(Field("e\u{301}").exists.matches(record))
    #expect(!Field("\u{e9}").exists.matches(record))
    #expect(!(try planned(Field("\u{e9}").exists, record)))
  }

  /// The evaluation over stored bytes, with `not` pushed into the leaves, against a plain one over
  /// Swift values.
  @Test func agreesWithThePlainReading() throws {
    var generator = MetadataGenerator(seed: 23)
    var matchCount = 0
    for round in 0..<20_000 {
      let record = generator.metadata()
      let filter = generator.filter()
      let expected = plain(filter, record)
      #expect(filter.matches(record) == expected, "round \(round): \(filter) on \(record)")
      #expect(try planned(filter, record) == expected, "round \(round): \(filter) on \(record)")
      if expected { matchCount += 1 }
    }
    #expect((4_000...16_000).contains(matchCount))  // both answers are common
  }

  @Test func negatedLeavesSeeMissingFields() throws {
    guard case .leaf(let leaf) = try Filter(parsing: "not a == 1").plan() else {
      Issue.record("not a leaf")
      return
    }
    #expect(leaf.field == "a")
    #expect(leaf.matches(nil))
    #expect(!MetadataValue.integer(1).canonicalBytes.withUnsafeBytes { leaf.matches($0) })
    #expect(MetadataValue.integer(2).canonicalBytes.withUnsafeBytes { leaf.matches($0) })
  }

  @Test func limits() {
    func code(_ filter: Filter) -> VecDBError.Code? {
      do {
        try filter.validate()
        return nil
      } catch let error as VecDBError { return error.code } catch { return nil }
    }
    var deep = Field("a").exists
    for _ in 1..<Filter.depthMax { deep = !deep }
    #expect(code(deep) == nil)
    #expect(code(!deep) == .limitExceeded)
    let many = Array(repeating: Field("a").exists, count: Filter.nodeCountMax)
    #expect(code(.or(many)) == .limitExceeded)
    #expect(code(.or(Array(many.dropLast()))) == nil)
    #expect(code(Field("a").in(0..<Filter.listCountMax)) == nil)
    #expect(code(Field("a").in(0...Filter.listCountMax)) == .limitExceeded)
    #expect(code(Field("a") < Double.nan) == .invalidArgument)
    #expect(code(Field("a") == [[1]]) == .invalidArgument)
    #expect(code(Field("") == 1) == .invalidArgument)
    #expect(code(Field("a").contains([1])) == .invalidArgument)
    #expect(code(Field("a") < [1]) == .invalidArgument)
    #expect(code(.comparison(field: "a", .less, .null)) == .invalidArgument)
  }

  private func planned(_ filter: Filter, _ record: Metadata) throws -> Bool {
    let plan = try filter.plan()
    return try record.canonicalBytes().withUnsafeBytes {
      try plan.matches(canonicalMetadata: $0)
    }
  }
}

// The plain reading: no stored bytes, no sets, numbers compared through 80 bits or integers.

private func plain(_ filter: Filter, _ record: Metadata) -> Bool {
  func value(_ field: String) -> MetadataValue? {
    record.fields.first { Array($0.key.utf8) == Array(field.utf8) }?.value
  }
  switch filter {
  case .comparison(let field, let comparison, let literal):
    guard let value = value(field) else { return false }
    switch comparison {
    case .equal: return equal(value, literal)
    case .notEqual: return !equal(value, literal)
    case .less: return before(value, literal)
    case .lessOrEqual: return before(value, literal) || isOrdered(value) && equal(value, literal)
    case .greater: return before(literal, value)
    case .greaterOrEqual:
      return before(literal, value) || isOrdered(value) && equal(value, literal)
    }
  case .in(let field, let literals):
    guard let value = value(field) else { return false }
    return literals.contains { equal(value, $0) }
  case .exists(let field): return value(field) != nil
  case .contains(let field, let literal):
    guard case .array(let elements) = value(field) else { return false }
    return elements.contains { equal($0, literal) }
  case .and(let filters): return filters.allSatisfy { plain($0, record) }
  case .or(let filters): return filters.contains { plain($0, record) }
  case .not(let filter): return !plain(filter, record)
  // `FilterSemanticsTests` has an oracle for these.
  case .startsWith, .like, .date, .any, .all: return filter.matches(record)
  }
}

private func isOrdered(_ value: MetadataValue) -> Bool {
  switch value {
  case .null, .array: false
  default: true
  }
}

private func equal(_ left: MetadataValue, _ right: MetadataValue) -> Bool {
  switch (left, right) {
  case (.integer(let a), .double(let b)): Double(exactly: a) == b
  case (.double(let a), .integer(let b)): a == Double(exactly: b)
  case (.array(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy(equal)
  default: left == right
  }
}

private func before(_ left: MetadataValue, _ right: MetadataValue) -> Bool {
  switch (left, right) {
  case (.bool(let a), .bool(let b)): return !a && b
  case (.string(let a), .string(let b)):
    return Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
  case (.integer(let a), .integer(let b)): return a < b
  case (.double(let a), .double(let b)): return a < b
  case (.integer(let a), .double(let b)):
    return b >= 0x1p63 || b > -0x1p63 && a < Int64(b.rounded(.up))
  case (.double(let a), .integer(let b)):
    return a < -0x1p63 || a < 0x1p63 && Int64(a.rounded(.down)) < b
  default: return false
  }
}
