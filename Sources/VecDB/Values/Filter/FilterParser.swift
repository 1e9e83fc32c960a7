extension Filter {
  /// Reads a filter from text.
  ///
  /// ```
  /// year >= 2020 and lang in ('de', 'en') and not exists(draft) or tags contains 'classic'
  /// ```
  ///
  /// - `and` binds closer than `or`, `not` closer than both; parentheses group. `&&`, `||` and `!`
  ///   mean the same. Words of the language may be written in capitals.
  /// - Comparisons are `==` (or `=`), `!=` (or `<>`), `<`, `<=`, `>`, `>=`; a name stands on the
  ///   left and a value on the right. Further: `name in (value, …)`, `name contains value`,
  ///   `exists(name)`, and `true` and `false` for everything and nothing.
  /// - Of text: `name starts_with 'x'`, `name like '%x_'` and `name ilike '%X_'`, which ignores case,
  ///   `name contains_text 'x'`. Of ranges: `name between low and high`. Of moments: a comparison with
  ///   `date('2024-05-01')` or `date('2024-05-01T12:00:00Z')`. Of elements: `any(name) >= 3`,
  ///   `all(name) in (1, 2)`. Further: `is_null(name)`, `is_missing(name)`, `is_empty(name)`.
  /// - Names are letters, digits, `_`, `.` and `-`, beginning with a letter or `_`; any other name
  ///   is put in double quotes or backticks.
  /// - Values are numbers as in JSON, text in single or double quotes, `true`, `false`, `null`, and
  ///   arrays of these in brackets. A quote within quotes is written twice; nothing else needs
  ///   escaping.
  ///
  /// What the filter then matches is told at ``Filter``. ``description`` writes this form.
  ///
  /// - Throws: ``VecDBError`` with code `.invalidArgument` that says what was expected, what was
  ///   found and in which column; `.limitExceeded` beyond ``textSizeBytesMax`` or ``depthMax``.
  public init(parsing text: String) throws {
    try self.init(parsing: text, limitBytes: Self.textSizeBytesMax)
  }

  /// As ``init(parsing:)``, for a text of another length.
  package init(parsing text: String, limitBytes: Int) throws {
    do {
      self = try Filter.parse(text, limitBytes: limitBytes)
    } catch let error as FilterSyntaxError {
      throw VecDBError(error)
    }
  }

  /// ``init(parsing:)`` for those who want to show the place of the mistake.
  ///
  /// - Throws: ``FilterSyntaxError`` for a mistake in the text, ``VecDBError`` for a limit.
  ///
  /// `limitBytes` is larger where the text was written by ``description``, which needs more room than
  /// what a person wrote.
  package static func parse(
    _ text: String, limitBytes: Int = textSizeBytesMax
  ) throws -> Filter {
    guard text.utf8.count <= limitBytes else {
      throw VecDBError(
        .limitExceeded, "a filter of \(text.utf8.count) bytes, more than \(limitBytes)")
    }
    var parser = try FilterParser(text)
    let filter = try parser.filter()
    try filter.validate()
    return filter
  }
}

/// A recursive-descent parser with one token of look-ahead.
private struct FilterParser {
  private var lexer: FilterLexer
  private var token: FilterToken
  /// How many parentheses and `not` are open.
  private var depth = 0

  init(_ text: String) throws {
    lexer = FilterLexer(text)
    token = try lexer.next()
  }

  /// Reads the whole text.
  mutating func filter() throws -> Filter {
    let filter = try disjunction()
    guard token.kind == .end else { throw expected("\"and\", \"or\" or the end") }
    return filter
  }

  private mutating func advance() throws { token = try lexer.next() }

  private mutating func skip(_ kind: FilterToken.Kind) throws -> Bool {
    guard token.kind == kind else { return false }
    try advance()
    return true
  }

  private mutating func expect(_ mark: Character, _ what: String) throws {
    guard try skip(.mark(mark)) else { throw expected(what) }
  }

  private func expected(_ what: String) -> FilterSyntaxError {
    let found =
      token.kind == .end
      ? "the end" : String(decoding: lexer.utf8[token.range], as: UTF8.self).abbreviated
    return FilterSyntaxError(
      "expected \(what), found \(found)", at: token.range.lowerBound, in: lexer.utf8)
  }

  private mutating func disjunction() throws -> Filter {
    var filters = [try conjunction()]
    while try skip(.keyword(.or)) { filters.append(try conjunction()) }
    return filters.count == 1 ? filters[0] : .or(filters)
  }

  private mutating func conjunction() throws -> Filter {
    var filters = [try factor()]
    while try skip(.keyword(.and)) { filters.append(try factor()) }
    return filters.count == 1 ? filters[0] : .and(filters)
  }

  private mutating func factor() throws -> Filter {
    guard depth < Filter.depthMax else {
      throw VecDBError(.limitExceeded, "a filter nested deeper than \(Filter.depthMax)")
    }
    if try skip(.keyword(.not)) {
      depth += 1
      defer { depth -= 1 }
      return .not(try factor())
    }
    if try skip(.mark("(")) {
      depth += 1
      defer { depth -= 1 }
      let filter = try disjunction()
      try expect(")", "\"and\", \"or\" or ')'")
      return filter
    }
    if try skip(.keyword(.true)) { return .and([]) }
    if try skip(.keyword(.false)) { return .or([]) }
    if try skip(.keyword(.exists)) {
      try expect("(", "'(' after \"exists\"")
      let field = try name()
      try expect(")", "')'")
      return .exists(field: field)
    }
    return try condition()
  }

  private mutating func name() throws -> String {
    switch token.kind {
    case .name(let name), .doubleQuoted(let name), .quotedName(let name):
      guard (1...Metadata.fieldNameSizeBytesMax).contains(name.utf8.count) else {
        throw expected("a name of 1 to \(Metadata.fieldNameSizeBytesMax) bytes")
      }
      try advance()
      return name
    case .keyword(let keyword):
      throw expected("a field name (put \"\(keyword.rawValue)\" in double quotes if it is one)")
    default: throw expected("a field name")
    }
  }

  /// The words of functions and operators are words of the language only where they can stand: a
  /// field may be called `like` or `date`.
  private mutating func condition() throws -> Filter {
    let start = token
    let field = try name()
    guard case .name(let word) = start.kind, token.kind == .mark("(") else {
      return try condition(on: field)
    }
    func named() throws -> String {
      try expect("(", "'(' after \"\(word)\"")
      let field = try name()
      try expect(")", "')'")
      return field
    }
    switch word.lowercased() {
    case "is_null": return .comparison(field: try named(), .equal, .null)
    case "is_missing": return .not(.exists(field: try named()))
    case "is_empty": return .in(field: try named(), ["", []])
    case "any": return try validated(.any(try condition(on: try named())), from: start)
    case "all": return try validated(.all(try condition(on: try named())), from: start)
    default: throw expected("a comparison, \"in\" or \"contains\" after \(field)")
    }
  }

  private func validated(_ filter: Filter, from start: FilterToken) throws -> Filter {
    do { try filter.validate() } catch let error as VecDBError {
      throw FilterSyntaxError(error.message, at: start.range.lowerBound, in: lexer.utf8)
    }
    return filter
  }

  private mutating func condition(on field: String) throws -> Filter {
    switch token.kind {
    case .comparison(let comparison):
      try advance()
      let start = token
      return try validated(
        comparing(field, comparison, try operand(after: comparison.rawValue)), from: start)
    case .keyword(.in):
      try advance()
      if try skip(.mark("[")) { return .in(field: field, try values(upTo: "]")) }
      try expect("(", "'(' after \"in\"")
      return .in(field: field, try values(upTo: ")"))
    case .keyword(.contains):
      try advance()
      guard token.kind != .mark("[") else { throw expected("one value after \"contains\"") }
      return .contains(field: field, try value(after: "\"contains\""))
    case .keyword(.not):
      throw expected("a comparison (\"not\" stands before the name: not \(field) in …)")
    case .name(let word):
      switch word.lowercased() {
      case "between":
        try advance()
        let start = token
        let low = comparing(field, .greaterOrEqual, try operand(after: word))
        guard try skip(.keyword(.and)) else { throw expected("\"and\" and the upper end") }
        let high = comparing(field, .lessOrEqual, try operand(after: "\"and\""))
        return try validated(.and([low, high]), from: start)
      case "starts_with": return .startsWith(field: field, try text(after: word))
      case "contains_text":
        let pattern = LikePattern.containing(try text(after: word))
        return .like(field: field, pattern: pattern, ignoringCase: false)
      case "like", "ilike":
        let start = token
        let pattern = try text(after: word)
        return try validated(
          .like(field: field, pattern: pattern, ignoringCase: word.lowercased() == "ilike"),
          from: start)
      default: throw expected("a comparison, \"in\" or \"contains\" after \(field)")
      }
    default: throw expected("a comparison, \"in\" or \"contains\" after \(field)")
    }
  }

  /// What a field is compared with.
  private enum Operand {
    case value(MetadataValue)
    case date(Instant)
  }

  private func comparing(
    _ field: String, _ comparison: Filter.Comparison, _ operand: Operand
  ) -> Filter {
    switch operand {
    case .value(let value): .comparison(field: field, comparison, value)
    case .date(let instant): .date(field: field, comparison, instant)
    }
  }

  private mutating func operand(after what: String) throws -> Operand {
    guard case .name(let word) = token.kind, word.lowercased() == "date" else {
      return .value(try value(after: what))
    }
    let start = token
    try advance()
    guard token.kind == .mark("(") else {
      token = start
      throw expected("a value after \(what) (text is quoted)")
    }
    try advance()
    let place = token.range.lowerBound
    switch token.kind {
    case .string(let text), .doubleQuoted(let text):
      do {
        let instant = try Instant(parsing: text)
        try advance()
        try expect(")", "')'")
        return .date(instant)
      } catch let error as VecDBError {
        throw FilterSyntaxError(
          "\(error.message). \(error.remedy)", at: place, in: lexer.utf8)
      }
    default: throw expected("a date in quotes")
    }
  }

  /// The string after a word.
  private mutating func text(after word: String) throws -> String {
    try advance()
    switch token.kind {
    case .string(let text), .doubleQuoted(let text):
      try advance()
      return text
    default: throw expected("text in quotes after \(word)")
    }
  }

  private mutating func values(upTo mark: Character) throws -> [MetadataValue] {
    if try skip(.mark(mark)) { return [] }
    var values: [MetadataValue] = []
    repeat { values.append(try value(after: nil)) } while try skip(.mark(","))
    try expect(mark, "',' or '\(mark)'")
    return values
  }

  private mutating func value(after what: String?) throws -> MetadataValue {
    guard try skip(.mark("[")) else { return try scalar(after: what) }
    var elements: [MetadataValue] = []
    if try skip(.mark("]")) { return .array([]) }
    repeat { elements.append(try scalar(after: nil)) } while try skip(.mark(","))
    try expect("]", "',' or ']'")
    return .array(elements)
  }

  private mutating func scalar(after what: String?) throws -> MetadataValue {
    let value: MetadataValue
    switch token.kind {
    case .string(let text), .doubleQuoted(let text): value = .string(text)
    case .number(let number): value = number
    case .keyword(.true): value = .bool(true)
    case .keyword(.false): value = .bool(false)
    case .keyword(.null): value = .null
    case .name: throw expected("a value\(what.map { " after \($0)" } ?? "") (text is quoted)")
    default: throw expected("a value\(what.map { " after \($0)" } ?? "")")
    }
    try advance()
    return value
  }
}
