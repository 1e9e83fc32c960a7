/// The records of one value of a field, of those that a search found.
public struct HitGroup: Sendable, Hashable {
  /// The value that the records of the group have in the field. A whole number is an integer here,
  /// however it was written: in a ``Filter`` they are equal, too.
  public var value: MetadataValue
  /// Nearest first.
  public var hits: [Hit]
}

/// The answer to a search in groups.
public struct GroupedSearchResult: Sendable {
  /// The group with the nearest record first.
  public var groups: [HitGroup]
  /// The state that the first search saw.
  public var lsn: UInt64
  /// How many plain searches it took.
  public var searches: Int
  /// As in ``SearchResult/warning``.
  public var warning: String?
}

extension VectorCollection {
  /// The nearest records in groups of those that have the same value in a field: the best chunks of
  /// the best documents.
  ///
  /// You get as many groups as you asked for if the records that match have so many values, and each
  /// group is full if it has so many records: where one search does not find enough, others follow
  /// that leave out the groups found, or look into one group. Records that do not have the field, or
  /// have null there, are in no group; equal arrays are one group. Each search sees the newest state;
  /// if writers work beside them, a later search may see later writes.
  ///
  /// - Parameters:
  ///   - field: a field of the metadata.
  ///   - groups: 1 to 1,000.
  ///   - perGroup: records of each group, 1 to 1,000. Together at most 65,536 records.
  ///   - options: as in a plain search; hits have metadata only if you ask for them.
  /// - Throws: as a plain search; `invalidArgument` for numbers out of range, or if no record of the
  ///   collection has the field.
  /// - Complexity: a plain search with a k of twice the records asked for; at most `groups` searches
  ///   with a filter for missing groups, and as many for incomplete ones.
  public func search(
    _ vector: [Float], groupedBy field: String, groups: Int = 10, perGroup: Int = 3,
    options: SearchOptions = SearchOptions()
  ) throws -> GroupedSearchResult {
    try VecDBError.translating {
      let search = try GroupedSearch(
        by: field, groups: groups, perGroup: perGroup, options: options)
      let result = try run(search, vector)
      if result.groups.isEmpty, count > 0, try count(where: .exists(field: field)) == 0 {
        throw GroupedSearch.unknownField(field, in: name)
      }
      return result
    }
  }
}

/// Groups by a field.
///
/// What always holds:
/// - Each search for missing groups leaves out all groups that were found, so it finds a new one, or
///   there is none.
/// - The hits of a group are in the order of their distances, and no hit is twice in it.
package struct GroupedSearch: ComposedSearch {
  private enum Phase { case gathering, filling, done }

  private struct Found {
    var value: MetadataValue
    var hits: [Hit] = []
    /// Whether no more records of it can be found.
    var isWhole = false
  }

  private let field: String
  private let wanted: Int
  private let perGroup: Int
  private let options: SearchOptions
  private let k: Int
  private var found: [Found] = []
  private var places: [MetadataValue: Int] = [:]
  private var phase = Phase.gathering
  private var lsn: UInt64?
  private var searches = 0
  private var warning: String?

  package init(by field: String, groups: Int, perGroup: Int, options: SearchOptions) throws {
    for (name, value) in [("groups", groups), ("perGroup", perGroup)] {
      try requireQueryOption(
        (1...1_000).contains(value), "\(name) is \(value)", "Use 1 to 1000.")
    }
    try requireQueryOption(
      groups * perGroup <= DatabaseLimits.maximumK, "\(groups) groups of \(perGroup) are too many",
      "Ask for at most \(DatabaseLimits.maximumK) records together.")
    (self.field, wanted, self.perGroup, self.options) = (field, groups, perGroup, options)
    k = min(DatabaseLimits.maximumK, max(50, 2 * groups * perGroup))
  }

  package static func unknownField(_ field: String, in collection: String) -> VecDBError {
    VecDBError(
      .invalidArgument, "no record of '\(collection)' has the field '\(field)'", at: "query",
      remedy: "Check the name of the field to group by.")
  }

  package func next() -> PlainSearch? {
    var step = PlainSearch(k: k, options: options)
    step.options.includeMetadata = true
    switch phase {
    case .done: return nil
    case .gathering:
      guard searches > 0 else { return step }
      let isNew = Filter.and([
        .exists(field: field), .not(.comparison(field: field, .equal, .null)),
        .not(.in(field: field, found.map(\.value))),
      ])
      step.options.filter = filtered(by: isNew)
    case .filling:
      guard let group = found.first(where: { !$0.isWhole }) else { return nil }
      step.k = perGroup
      step.options.filter = filtered(by: .comparison(field: field, .equal, group.value))
    }
    return step
  }

  private func filtered(by filter: Filter) -> Filter {
    options.filter.map { .and([$0, filter]) } ?? filter
  }

  package mutating func take(_ result: SearchResult) throws {
    searches += 1
    lsn = lsn ?? result.lsn
    warning = warning ?? result.warning
    switch phase {
    case .gathering: gather(result)
    case .filling:
      if let place = found.firstIndex(where: { !$0.isWhole }) {
        found[place].isWhole = true
        // Of two answers the one that found more; both are in order.
        if result.hits.count > found[place].hits.count {
          found[place].hits = result.hits.map(trimmed)
        }
      }
    case .done: break
    }
    if phase == .filling, found.allSatisfy(\.isWhole) { phase = .done }
  }

  private mutating func gather(_ result: SearchResult) {
    let isAll = result.hits.count < k
    let first = found.count
    for hit in result.hits {
      guard let value = hit.metadata?[field].map(Self.key), value != .null else { continue }
      var place = places[value]
      if place == nil, found.count < wanted {
        place = found.count
        places[value] = found.count
        found.append(Found(value: value))
      }
      guard let place, place >= first, found[place].hits.count < perGroup else { continue }
      found[place].hits.append(trimmed(hit))
    }
    for place in first..<found.count {
      found[place].isWhole = isAll || found[place].hits.count == perGroup
    }
    // A search with all groups left out that found none has shown that there is no other.
    guard found.count == wanted || isAll || searches > 1 && found.count == first else { return }
    phase = found.allSatisfy(\.isWhole) ? .done : .filling
  }

  /// Values that a filter takes for equal are one key.
  private static func key(_ value: MetadataValue) -> MetadataValue {
    switch value {
    case .double(let number): Int64(exactly: number).map { .integer($0) } ?? value
    case .array(let elements): .array(elements.map(key))
    default: value
    }
  }

  private func trimmed(_ hit: Hit) -> Hit {
    var hit = hit
    if !options.includeMetadata { hit.metadata = nil }
    return hit
  }

  package func answer() -> GroupedSearchResult {
    GroupedSearchResult(
      groups: found.filter { !$0.hits.isEmpty }.map { HitGroup(value: $0.value, hits: $0.hits) }
        .enumerated().sorted {
          let (a, b) = ($0.element.hits[0].distance, $1.element.hits[0].distance)
          return a < b || a == b && $0.offset < $1.offset
        }.map(\.element),
      lsn: lsn ?? 0, searches: searches, warning: warning)
  }
}
