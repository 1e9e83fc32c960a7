import Foundation
import Testing
import VecDB

/// What a filter matches: the table of the documentation cell by cell, and random conditions against a
/// plain oracle that knows nothing of stored bytes. Each is asked of metadata in memory, of columns,
/// of values too long for them, and of fields beyond their number.
@Suite struct FilterSemanticsTests {
  // MARK: The table of Filters.md

  @Test func theTableOfTheDocumentationIsTrue() throws {
    let article = try String(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Sources/VecDB/VecDB.docc/Filters.md"), encoding: .utf8)
    let rows = article.split(separator: "\n").map { line in
      line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let first = try #require(rows.firstIndex { $0.first == "condition on `f`" })
    let header = rows[first].dropFirst().map { $0.trimmingCharacters(in: ["`"]) }
    let table = rows[(first + 2)...].prefix { $0.count == header.count + 1 }
    #expect(header.count >= 10 && table.count >= 20)
    for row in table {
      let text = row[0].trimmingCharacters(in: ["`"])
      let filter = try Filter(parsing: text)
      for (stored, cell) in zip(header, row.dropFirst()) {
        let record =
          stored == "missing" ? Metadata() : try Metadata(json: "{\"f\":\(stored)}")
        #expect(["yes", ""].contains(cell), "\(text), \(stored): \(cell)")
        #expect(filter.matches(record) == (cell == "yes"), "\(text) of \(stored)")
      }
    }
  }

  // MARK: The oracle

  private static let strings = [
    "", "a", "abc", "ABC", "Straße", "STRASSE", "é", "e\u{301}", "%", "a_c", "\\", "日本語", "😀x",
    "2024-05-01", "2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00.5Z",
    "2024-05-01 12:00:00", "2024-02-30", "2023-12-31T23:59:59.999999999-00:01",
    String(repeating: "abc", count: 40),
  ]
  private static let scalars: [MetadataValue] =
    strings.map { .string($0) } + [
      .null, .bool(true), .bool(false), 0, 1, 3, -1, 3.0, 3.5, 0.0, .integer(.max), .integer(.min),
      .integer(1 << 53 + 1), .double(0x1p53), .double(1e300),
    ]

  private static func value(_ generator: inout SeededGenerator) -> MetadataValue {
    guard Int.random(in: 0..<4, using: &generator) == 0 else {
      return scalars.randomElement(using: &generator) ?? .null
    }
    return .array(
      (0..<Int.random(in: 0...3, using: &generator)).map { _ in
        scalars.randomElement(using: &generator) ?? .null
      })
  }

  private static let moments = strings.compactMap { try? Instant(parsing: $0) }

  private static func simple(_ f: String, _ generator: inout SeededGenerator) -> Filter {
    let comparison = Filter.Comparison.allCases.randomElement(using: &generator) ?? .equal
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: return .in(field: f, (0..<3).map { _ in value(&generator) })
    case 1:
      let text = strings.randomElement(using: &generator) ?? ""
      return .startsWith(field: f, String(text.prefix(2)))
    case 2:
      let pieces = ["%", "_", "a", "b", "C", "ß", "é", "\\%", "\\_", "\\\\", "2024"]
      let pattern = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
        pieces.randomElement(using: &generator) ?? "%"
      }.joined()
      return .like(field: f, pattern: pattern, ignoringCase: Bool.random(using: &generator))
    case 3:
      return .date(field: f, comparison, moments.randomElement(using: &generator) ?? moments[0])
    default:
      while true {
        let literal = value(&generator)
        let filter = Filter.comparison(field: f, comparison, literal)
        if (try? filter.validate()) != nil { return filter }
      }
    }
  }

  private static func condition(_ f: String, _ generator: inout SeededGenerator) -> Filter {
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: .exists(field: f)
    case 1: .contains(field: f, scalars.randomElement(using: &generator) ?? .null)
    case 2: .any(simple(f, &generator))
    case 3: .all(simple(f, &generator))
    case 4: Field(f).isEmpty
    case 5: Field(f).containsText(strings.randomElement(using: &generator) ?? "")
    default: simple(f, &generator)
    }
  }

  private static func random(
    _ fields: [String], depth: Int, _ generator: inout SeededGenerator
  ) -> Filter {
    let field = fields.randomElement(using: &generator) ?? "f"
    guard depth > 0 else { return condition(field, &generator) }
    func children() -> [Filter] {
      (0..<Int.random(in: 1...3, using: &generator)).map { _ in
        random(fields, depth: depth - 1, &generator)
      }
    }
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: return .and(children())
    case 1: return .or(children())
    case 2: return .not(random(fields, depth: depth - 1, &generator))
    default: return condition(field, &generator)
    }
  }

  /// Exact comparison of numbers, by decimal arithmetic that holds both.
  private static func order(_ left: MetadataValue, _ right: MetadataValue) -> Int? {
    func sign<Value: Comparable>(_ a: Value, _ b: Value) -> Int { a < b ? -1 : (a == b ? 0 : 1) }
    func number(_ value: MetadataValue) -> (whole: Double, rest: Int64)? {
      switch value {
      case .integer(let number):
        // The high part is exact as a double, and so is what it leaves.
        let high = Double((number >> 32) << 32)
        return (high, number & 0xffff_ffff)
      case .double(let number): return (number, 0)
      default: return nil
      }
    }
    if let (high, low) = number(left), let (otherHigh, otherLow) = number(right) {
      // Both differences are exact where the sides are near each other, and far from zero otherwise.
      let difference = (high - otherHigh) + Double(low - otherLow)
      return sign(difference, 0)
    }
    switch (left, right) {
    case (.bool(let a), .bool(let b)): return sign(a ? 1 : 0, b ? 1 : 0)
    case (.string(let a), .string(let b)):
      if Array(a.utf8) == Array(b.utf8) { return 0 }
      return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
    default: return nil
    }
  }

  private static func isEqual(_ left: MetadataValue, _ right: MetadataValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.array(let a), .array(let b)):
      a.count == b.count && zip(a, b).allSatisfy { isEqual($0, $1) }
    default: order(left, right) == 0
    }
  }

  private static func holds(_ comparison: Filter.Comparison, _ order: Int) -> Bool {
    switch comparison {
    case .equal: order == 0
    case .notEqual: order != 0
    case .less: order < 0
    case .lessOrEqual: order <= 0
    case .greater: order > 0
    case .greaterOrEqual: order >= 0
    }
  }

  /// By recursion over scalars, as the words of the documentation say it.
  private static func isLike(_ text: [Unicode.Scalar], _ pattern: [Unicode.Scalar]) -> Bool {
    guard let first = pattern.first else { return text.isEmpty }
    let rest = Array(pattern.dropFirst())
    switch first {
    case "%":
      return (0...text.count).contains { isLike(Array(text.dropFirst($0)), rest) }
    case "_": return !text.isEmpty && isLike(Array(text.dropFirst()), rest)
    case "\\":
      return text.first == rest.first && isLike(Array(text.dropFirst()), Array(rest.dropFirst()))
    default: return text.first == first && isLike(Array(text.dropFirst()), rest)
    }
  }

  private static func oracle(_ filter: Filter, _ value: MetadataValue) -> Bool {
    switch filter {
    case .comparison(_, .equal, let literal): return isEqual(value, literal)
    case .comparison(_, .notEqual, let literal): return !isEqual(value, literal)
    case .comparison(_, let comparison, let literal):
      return order(value, literal).map { holds(comparison, $0) } ?? false
    case .in(_, let literals): return literals.contains { isEqual(value, $0) }
    case .exists: return true
    case .contains(_, let literal):
      guard case .array(let elements) = value else { return false }
      return elements.contains { isEqual($0, literal) }
    case .startsWith(_, let prefix):
      guard case .string(let text) = value else { return false }
      return Array(text.utf8).starts(with: Array(prefix.utf8))
    case .like(_, let pattern, let ignoringCase):
      guard case .string(let text) = value else { return false }
      func scalars(_ text: String) -> [Unicode.Scalar] {
        let all = Array(text.unicodeScalars)
        return ignoringCase ? all.flatMap { $0.properties.lowercaseMapping.unicodeScalars } : all
      }
      return isLike(scalars(text), scalars(pattern))
    case .date(_, let comparison, let moment):
      guard case .string(let text) = value, let stored = try? Instant(parsing: text) else {
        return comparison == .notEqual
      }
      return holds(comparison, stored < moment ? -1 : (stored == moment ? 0 : 1))
    case .any(let condition):
      guard case .array(let elements) = value else { return false }
      return elements.contains { oracle(condition, $0) }
    case .all(let condition):
      guard case .array(let elements) = value else { return false }
      return elements.allSatisfy { oracle(condition, $0) }
    case .and, .or, .not: return false
    }
  }

  private static func field(_ filter: Filter) -> String? {
    switch filter {
    case .comparison(let field, _, _), .in(let field, _), .exists(let field),
      .contains(let field, _), .startsWith(let field, _), .like(let field, _, _),
      .date(let field, _, _):
      field
    case .any(let condition), .all(let condition): Self.field(condition)
    case .and, .or, .not: nil
    }
  }

  private static func oracle(_ filter: Filter, _ metadata: Metadata) -> Bool {
    switch filter {
    case .and(let filters): filters.allSatisfy { oracle($0, metadata) }
    case .or(let filters): filters.contains { oracle($0, metadata) }
    case .not(let filter): !oracle(filter, metadata)
    default:
      if let value = field(filter).flatMap({ metadata.fields[$0] }) {
        oracle(filter, value)
      } else {
        false
      }
    }
  }

  @Test(arguments: UInt64(1)...3)
  func filtersAreWhatTheOracleSays(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &* 6_700_417)
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.logger.logLevel = .critical
    let database = try await Database.open(at: directory.file("db"), configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 2, metric: .l2)
    // With the last seed "g" and "h" come after as many fields as have columns.
    if seed == 3 {
      var many = Metadata()
      for number in 0..<64 { many["x\(number)"] = 1 }
      many["f"] = 1
      many["x0"] = nil
      try await items.upsert(VectorRecord(key: "many", vector: [0, 0], metadata: many))
    }
    var records: [Metadata] = []
    for _ in 0..<400 {
      var metadata = Metadata()
      for name in ["f", "g", "h"] where Int.random(in: 0..<5, using: &generator) > 0 {
        metadata[name] = Self.value(&generator)
      }
      records.append(metadata)
    }
    try await items.upsert(
      records.enumerated().map { VectorRecord(key: "\($0)", vector: [Float($0), 1], metadata: $1) })
    try await items.delete("many")
    for round in 0..<1_500 {
      let filter = Self.random(["f", "g", "h"], depth: round % 4, &generator)
      let expected = records.map { Self.oracle(filter, $0) }
      let place = "seed \(seed), round \(round): \(filter)"
      #expect(records.map { filter.matches($0) } == expected, "\(place)")
      if round % 3 == 0 {
        #expect(try items.count(where: filter) == expected.count { $0 }, "\(place)")
      }
      let again = try Filter(parsing: "\(filter)")
      #expect("\(again)" == "\(filter)", "\(place)")
      #expect(records.map { again.matches($0) } == expected, "\(place)")
    }
    try await database.close()
  }

  // MARK: Moments

  @Test func momentsAreReadAndWritten() throws {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<5_000 {
      let seconds = Int64.random(in: -62_167_219_200...253_402_300_799, using: &generator)
      let date = Date(timeIntervalSince1970: Double(seconds))
      let instant = Instant(date)
      #expect(instant.seconds == seconds)
      let text = date.formatted(.iso8601)
      // Before that Foundation has the Julian calendar.
      if seconds >= -12_219_292_800 { #expect("\(instant)" == text) }
      #expect(try Instant(parsing: "\(instant)") == instant)
    }
    let precise = try Instant(parsing: "1969-12-31T23:59:59.123456789123Z")
    #expect(precise.seconds == -1 && precise.nanoseconds == 123_456_789)
    #expect("\(precise)" == "1969-12-31T23:59:59.123456789Z")
    #expect(try Instant(parsing: "2024-05-01") == Instant(parsing: "2024-05-01t02:00:00+02:00"))
    for text in [
      "", "2024", "2024-5-1", "2024-05-32", "2024-13-01", "2023-02-29", "2024-05-01T",
      "2024-05-01T24:00:00Z",
      "2024-05-01T12:00Z", "2024-05-01T12:00:60Z", "2024-05-01T12:00:00.Z", "2024-05-01T12:00:00+2",
      "2024-05-01T12:00:00Z ", " 2024-05-01", "0000-01-01T00:00:00+00:01", "２024-05-01",
    ] {
      #expect(throws: VecDBError.self, "\(text)") { try Instant(parsing: text) }
    }
    #expect(Instant(Date(timeIntervalSince1970: .nan)).seconds == 978_307_200)
    #expect("\(Instant(Date(timeIntervalSince1970: 1e300)))" == "9999-12-31T23:59:59Z")
    #expect("\(Instant(Date(timeIntervalSince1970: 0.25)))" == "1970-01-01T00:00:00.25Z")
  }

  @Test(arguments: [
    ("t >= date('2024-13-01')", "is not a date"), ("t >= date(2024)", "a date in quotes"),
    ("t between 1", "\"and\" and the upper end"), ("t between null and 3", "no order"),
    ("t like 3", "text in quotes after like"), ("t like 'x\\'", "ends with a backslash"),
    ("any(t) contains 3", "take one condition"), ("any(t) between 1 and 2", "take one condition"),
    ("any(any(t)) == 3", "')'"), ("some(t) == 3", "expected a comparison"),
    ("t starts_with", "text in quotes"), ("is_null()", "a field name"),
  ])
  func mistakesAreTold(text: String, message: String) {
    let error = #expect(throws: VecDBError.self) { try Filter(parsing: text) }
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }

  /// Words of functions and operators are names elsewhere.
  @Test func wordsOfFunctionsAreNames() throws {
    let record: Metadata = ["like": "x", "date": 3, "any": [1], "between": 2, "is_null": nil]
    for text in [
      "like like 'x'", "date == 3", "any(any) == 1", "between between 1 and 2",
      "is_null(is_null)", "like starts_with 'x' and date in (3)",
    ] {
      #expect(try Filter(parsing: text).matches(record), "\(text)")
    }
  }

  @Test func swiftAndTextAreTheSame() throws {
    let day = try Instant(parsing: "2024-05-01")
    let pairs: [(Filter, String)] = [
      (Field("t") >= day, "t >= date('2024-05-01T00:00:00Z')"),
      (Field("t") == Date(timeIntervalSince1970: 0.5), "t = date('1970-01-01T00:00:00.5Z')"),
      (Field("t").between(1, 2), "t between 1 and 2"),
      (Field("t").startsWith("x'y"), "t starts_with 'x''y'"),
      (Field("t").containsText("50%"), "t contains_text '50%'"),
      (Field("t").like("_%", ignoringCase: true), "t ilike '_%'"),
      (Field("t").any { $0 > 3 }, "any(t) > 3"),
      (Field("t").all { $0.startsWith("a") }, "all(t) starts_with 'a'"),
      (Field("t").isNull, "is_null(t)"), (Field("t").isMissing, "is_missing(t)"),
      (Field("t").isEmpty, "is_empty(t)"),
      (Field("t").any { $0 != day }, "any(t) != date('2024-05-01')"),
    ]
    for (filter, text) in pairs { #expect(try Filter(parsing: text) == filter, "\(text)") }
  }
}
