extension Filter: CustomStringConvertible {
  /// The filter as text that ``init(parsing:)`` reads back as an equal filter. (An `and` or `or`
  /// of only one condition is written, and read back, as that condition.)
  public var description: String {
    var text = ""
    write(into: &text, within: .nothing)
    return text
  }

  /// What a condition is written into.
  private enum Surroundings {
    case nothing, or, and, not
  }

  private func write(into text: inout String, within surroundings: Surroundings) {
    switch self {
    case .and(let filters) where filters.isEmpty: text += "true"
    case .or(let filters) where filters.isEmpty: text += "false"
    case .and(let filters), .or(let filters):
      if filters.count == 1 { return filters[0].write(into: &text, within: surroundings) }
      var (word, inner) = (" and ", Surroundings.and)
      if case .or = self { (word, inner) = (" or ", .or) }
      // A list within a list of its own kind is put in parentheses too, so that it is read back
      // as the same tree.
      let isClear = surroundings == .nothing || (surroundings == .or && inner == .and)
      if !isClear { text += "(" }
      for (index, filter) in filters.enumerated() {
        if index > 0 { text += word }
        filter.write(into: &text, within: inner)
      }
      if !isClear { text += ")" }
    case .not(let filter):
      text += "not "
      filter.write(into: &text, within: .not)
    default: writeCondition(into: &text)
    }
  }

  /// Writes a condition on one field, which `wrapped` puts into `any` or `all`.
  private func writeCondition(into text: inout String, wrapped: (String) -> String = { $0 }) {
    func name(_ field: String) -> String { wrapped(field.asFilterName) }
    switch self {
    case .comparison(let field, let comparison, let value):
      text += "\(name(field)) \(comparison.rawValue) \(value.asFilterText)"
    case .in(let field, let values): text += "\(name(field)) in (\(values.asFilterList))"
    case .exists(let field): text += "exists(\(name(field)))"
    case .contains(let field, let value):
      text += "\(name(field)) contains \(value.asFilterText)"
    case .startsWith(let field, let prefix):
      text += "\(name(field)) starts_with \(prefix.quotedForFilter(by: "'"))"
    case .like(let field, let pattern, let ignoringCase):
      let word = ignoringCase ? "ilike" : "like"
      text += "\(name(field)) \(word) \(pattern.quotedForFilter(by: "'"))"
    case .date(let field, let comparison, let instant):
      text += "\(name(field)) \(comparison.rawValue) date('\(instant)')"
    case .any(let filter): filter.writeCondition(into: &text) { "any(\($0))" }
    case .all(let filter): filter.writeCondition(into: &text) { "all(\($0))" }
    case .and, .or, .not: break
    }
  }
}

extension String {
  /// A field's name, in double quotes if it needs them.
  fileprivate var asFilterName: String { isBareName ? self : quotedForFilter(by: "\"") }

  fileprivate func quotedForFilter(by quote: Unicode.Scalar) -> String {
    // By scalars: a quote followed by a combining mark is a different Character.
    var quoted = String.UnicodeScalarView([quote])
    for scalar in unicodeScalars {
      if scalar == quote { quoted.append(quote) }
      quoted.append(scalar)
    }
    quoted.append(quote)
    return String(quoted)
  }
}

extension MetadataValue {
  fileprivate var asFilterText: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .double(let value): value.description
    case .string(let value): value.quotedForFilter(by: "'")
    case .array(let elements): "[\(elements.asFilterList)]"
    }
  }
}

extension [MetadataValue] {
  fileprivate var asFilterList: String { map(\.asFilterText).joined(separator: ", ") }
}
