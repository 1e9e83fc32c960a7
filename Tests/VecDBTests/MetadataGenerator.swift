import VecDB

/// Makes metadata and filters over it from a seed, biased to what goes wrong: equal numbers of
/// different types, limits of integers, strings that look alike, missing fields.
struct MetadataGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &self)]
  }

  mutating func fieldName() -> String {
    pick(["a", "b", "c", "year", "exists", "a b", "e\u{301}", "\u{e9}", "it's", "\"q\"", "x.y-z"])
  }

  mutating func scalar() -> MetadataValue {
    switch Int.random(in: 0..<8, using: &self) {
    case 0: .null
    case 1: .bool(Bool.random(using: &self))
    case 2: .integer(pick([0, 1, 2, -1, .max, .min, 1 << 53, 1 << 53 + 1, 1 << 62]))
    case 3: .integer(Int64.random(in: -3...3, using: &self))
    case 4:
      .double(
        pick([
          0, -0.0, 1, 2, 0.5, 1.5, -1, 0x1p53, 0x1p62, 0x1p63, -0x1p63, 1e300,
          .leastNonzeroMagnitude, 1e16, 0.1,
        ]))
    case 5: .double(Double(Int.random(in: -6...6, using: &self)) / 2)
    default:
      .string(
        pick([
          "", "a", "b", "ab", "B", "e\u{301}", "\u{e9}", "it's", "\"\\\n\t\u{1}", "1", "\u{1F600}",
          "'\u{301}", "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789",
        ]))
    }
  }

  mutating func value() -> MetadataValue {
    guard Int.random(in: 0..<5, using: &self) == 0 else { return scalar() }
    let count = Int.random(in: 0...4, using: &self)
    return .array((0..<count).map { _ in scalar() })
  }

  mutating func metadata() -> Metadata {
    var metadata = Metadata()
    for _ in 0..<Int.random(in: 0...5, using: &self) { metadata[fieldName()] = value() }
    return metadata
  }

  mutating func filter(depth: Int = 0) -> Filter {
    switch Int.random(in: 0..<(depth < 4 ? 8 : 5), using: &self) {
    case 0, 1:
      let value = value()
      let comparisons: [Filter.Comparison] =
        switch value {
        case .null, .array: [.equal, .notEqual]
        default: Filter.Comparison.allCases
        }
      return .comparison(field: fieldName(), pick(comparisons), value)
    case 2:
      let count = Int.random(in: 0...5, using: &self)
      return .in(field: fieldName(), (0..<count).map { _ in value() })
    case 3: return .exists(field: fieldName())
    case 4: return .contains(field: fieldName(), scalar())
    case 5: return .not(filter(depth: depth + 1))
    case 6: return .and(filters(depth: depth + 1))
    default: return .or(filters(depth: depth + 1))
    }
  }

  /// None, or two or more: a list of one does not survive being written as text.
  private mutating func filters(depth: Int) -> [Filter] {
    let count = pick([0, 2, 2, 3, 4])
    return (0..<count).map { _ in filter(depth: depth) }
  }
}
