/// A change of a record's metadata, which leaves its vector as it is.
///
/// ```swift
/// let change = MetadataChange(set: ["state": "read", "reader": 17], remove: ["draft"])
/// ```
public struct MetadataChange: Sendable, Hashable {
  /// Fields that get these values, whether the record has them or not.
  public var set: Metadata
  /// Fields that go; a field that the record lacks is ignored. A field that is in ``set`` too is
  /// set.
  public var remove: [String]
  /// Whether all fields go that are not in ``set``.
  public var removesOthers: Bool

  public init(set: Metadata = [:], remove: [String] = [], removesOthers: Bool = false) {
    self.set = set
    self.remove = remove
    self.removesOthers = removesOthers
  }

  /// The metadata after the change.
  public func applied(to metadata: Metadata) -> Metadata {
    var result = removesOthers ? Metadata() : metadata
    for name in remove where result.value(ofField: name) != nil { result[name] = nil }
    for (name, value) in set.fields {
      // Otherwise another spelling of the name would stay.
      result[name] = nil
      result[name] = value
    }
    return result
  }
}

/// A change of one record, for ``VectorCollection/update(_:)``.
public struct RecordUpdate: Sendable, Hashable {
  public var key: String
  public var change: MetadataChange
  /// The version that the record must have (``VectorRecord/version``); nil for any.
  public var version: UInt64?
  /// When the record expires from now on, 0 for never; nil leaves that as it is.
  package var expiryMilliseconds: Int64?

  public init(_ key: String, _ change: MetadataChange, ifVersion version: UInt64? = nil) {
    self.key = key
    self.change = change
    self.version = version
  }
}

/// What an update did.
public struct UpdateResult: Sendable, Hashable, Codable {
  public var receipt: Receipt
  /// Records whose metadata changed.
  public var updated: Int
  /// Records that had these values already; the call wrote nothing for them.
  public var unchanged: Int
  /// How many atomic batches the call became: 1 unless the records had more than 16 MiB.
  public var batches: Int

  public init(receipt: Receipt, updated: Int, unchanged: Int, batches: Int) {
    self.receipt = receipt
    self.updated = updated
    self.unchanged = unchanged
    self.batches = batches
  }

  mutating func add(_ other: UpdateResult) {
    receipt = other.receipt
    updated += other.updated
    unchanged += other.unchanged
    batches += other.batches
  }
}

/// What ``VectorCollection/replace(where:with:)`` did.
public struct ReplaceResult: Sendable, Hashable, Codable {
  public var receipt: Receipt
  /// Keys that were new.
  public var inserted: Int
  /// Keys whose record was replaced.
  public var updated: Int
  /// Records that were already there; the call wrote nothing for them.
  public var unchanged: Int
  /// Records that matched the filter and are not among the new ones.
  public var deleted: Int
}
