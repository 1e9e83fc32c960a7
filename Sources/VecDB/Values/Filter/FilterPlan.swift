/// A filter as an index evaluates it: `not` is pushed down into the leaves, by De Morgan, and
/// each leaf asks about one field only. A leaf is held against every distinct value of the
/// field's column once; the resulting sets of records are intersected and united.
///
/// Where columns leave some records undecided, carry two sets: those that match, and those that
/// match or are undecided. Both are intersected for `all` and united for `any`, and what is in the
/// second only is decided at the end by `matches(canonicalMetadata:)`.
package indirect enum FilterPlan: Sendable {
  case leaf(FilterLeaf)
  /// All of them; everything, if there are none.
  case all([FilterPlan])
  /// Any of them; nothing, if there are none.
  case any([FilterPlan])
}

/// A condition on one field, to be held against its stored values.
package struct FilterLeaf: Sendable {
  /// The field's name.
  package var field: String { condition.field }
  /// UTF-8 of the field's name, as columns know it.
  package let fieldBytes: [UInt8]
  private let condition: FilterCondition
  private let isNegated: Bool

  init(_ condition: FilterCondition, negated: Bool) {
    self.condition = condition
    isNegated = negated
    fieldBytes = Array(condition.field.utf8)
  }

  /// Whether a record matches whose field holds this stored value
  /// (`CanonicalMetadata.forEachField`); nil stands for a record without the field. Bytes that
  /// are not a value count as one that equals nothing.
  package func matches(_ value: UnsafeRawBufferPointer?) -> Bool {
    condition.matches(value) != isNegated
  }

  /// What hashes of strings tell about this condition; nil if nothing.
  var strings: StringTest? { condition.strings }

  /// Whether a record matches of whose value this is known (``KnownValue``); nil where only the value
  /// tells, as it does for a hash that is one of those asked for.
  func matches(known word: UInt64, _ strings: StringTest) -> Bool? {
    switch word {
    case KnownValue.nothing: return nil
    case KnownValue.missing: return matches(nil)
    default: return strings.hashes.contains(word) ? nil : strings.others != isNegated
    }
  }
}

/// What a condition asks of strings, where that is to be one of some, or not one of them.
struct StringTest {
  /// Of the strings that are asked for; see ``KnownValue``.
  var hashes: Set<UInt64>
  /// Whether all other strings match.
  var others: Bool
}

extension Filter {
  /// Checks the filter (``validate()``) and makes it ready for an index.
  package func plan() throws -> FilterPlan {
    try validate()
    return plan(negated: false)
  }

  private func plan(negated: Bool) -> FilterPlan {
    switch self {
    case .not(let filter): return filter.plan(negated: !negated)
    case .and(let filters):
      let plans = filters.map { $0.plan(negated: negated) }
      return negated ? .any(plans) : .all(plans)
    case .or(let filters):
      let plans = filters.map { $0.plan(negated: negated) }
      return negated ? .all(plans) : .any(plans)
    case .comparison, .in, .exists, .contains, .startsWith, .like, .date, .any, .all:
      guard let condition = FilterCondition(self) else { return .any([]) }
      return .leaf(FilterLeaf(condition, negated: negated))
    }
  }
}

extension FilterPlan {
  /// Whether a record with this stored metadata matches; for records that columns cannot decide.
  ///
  /// - Throws: ``VecDBError`` if the metadata is damaged.
  package func matches(canonicalMetadata: UnsafeRawBufferPointer) throws -> Bool {
    switch self {
    case .leaf(let leaf):
      return try leaf.fieldBytes.withUnsafeBytes { name in
        leaf.matches(try CanonicalMetadata.value(ofField: name, in: canonicalMetadata))
      }
    case .all(let plans):
      for plan in plans where try !plan.matches(canonicalMetadata: canonicalMetadata) {
        return false
      }
      return true
    case .any(let plans):
      for plan in plans where try plan.matches(canonicalMetadata: canonicalMetadata) {
        return true
      }
      return false
    }
  }
}

extension Filter {
  /// The names of the fields that it asks about, as far as so many conditions name them.
  func fields(limit: Int) -> [String] {
    var names: [String] = []
    visitConditions { condition in
      if names.count < limit, !names.contains(where: { $0.hasSameBytes(as: condition) }) {
        names.append(condition)
      }
      return names.count < limit
    }
    return names
  }

  /// Calls `body` with the field of each condition until it returns false.
  @discardableResult
  private func visitConditions(_ body: (String) -> Bool) -> Bool {
    switch self {
    case .and(let filters), .or(let filters): filters.allSatisfy { $0.visitConditions(body) }
    case .not(let filter), .any(let filter), .all(let filter): filter.visitConditions(body)
    case .comparison(let field, _, _), .in(let field, _), .exists(let field),
      .contains(let field, _), .startsWith(let field, _), .like(let field, _, _),
      .date(let field, _, _):
      body(field)
    }
  }
}
