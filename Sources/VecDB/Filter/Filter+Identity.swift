extension Filter {
  /// Whether both ask the same of every record. Swift's `==` counts different spellings of a letter
  /// as equal; records differ by them, since their strings compare by bytes.
  package func isIdentical(to other: Filter) -> Bool {
    switch (self, other) {
    case (.comparison(let a, let comparison, let value), .comparison(let b, let other, let second)):
      return comparison == other && a.hasBytes(of: b) && value.isIdentical(to: second)
    case (.in(let a, let values), .in(let b, let others)):
      return a.hasBytes(of: b) && values.areIdentical(to: others)
    case (.exists(let a), .exists(let b)): return a.hasBytes(of: b)
    case (.contains(let a, let value), .contains(let b, let second)):
      return a.hasBytes(of: b) && value.isIdentical(to: second)
    case (.and(let filters), .and(let others)), (.or(let filters), .or(let others)):
      return filters.count == others.count
        && zip(filters, others).allSatisfy { $0.isIdentical(to: $1) }
    case (.not(let filter), .not(let second)): return filter.isIdentical(to: second)
    default: return false
    }
  }
}

extension MetadataValue {
  fileprivate func isIdentical(to other: MetadataValue) -> Bool {
    switch (self, other) {
    case (.string(let a), .string(let b)): a.hasBytes(of: b)
    case (.array(let elements), .array(let others)): elements.areIdentical(to: others)
    default: self == other
    }
  }
}

extension [MetadataValue] {
  fileprivate func areIdentical(to others: [MetadataValue]) -> Bool {
    count == others.count && zip(self, others).allSatisfy { $0.isIdentical(to: $1) }
  }
}

extension String {
  fileprivate func hasBytes(of other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
