/// A value of a metadata field, and how many records have it.
public struct Facet: Sendable, Hashable, Codable {
  public var value: MetadataValue
  public var count: Int

  public init(value: MetadataValue, count: Int) {
    self.value = value
    self.count = count
  }
}

/// What ``VectorCollection/facets(_:where:limit:)`` found.
public struct FacetResult: Sendable, Hashable, Codable {
  /// The field that was asked about.
  public var field: String
  /// The values that most records have, first the most frequent one; equal counts in the order of
  /// the values' stored bytes.
  public var values: [Facet]
  /// How many different values there are.
  public var distinct: Int
  /// Records that match the filter.
  public var matching: Int
  /// Those of them that lack the field.
  public var missing: Int
}
