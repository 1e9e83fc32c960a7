import FoundationEssentials

/// A key, a vector and metadata: the unit that is written, read, found and deleted.
public struct VectorRecord: Sendable {
  /// 1 to 1,024 bytes of UTF-8, unique in its collection.
  public var key: String
  /// As many finite components as the collection has dimensions. `get` returns the same bits.
  public var vector: [Float]
  public var metadata: Metadata
  /// Which write put the record there: the LSN of its batch, in what `get` and `scroll` return; nil
  /// in a record that you made. Pass it to ``VectorCollection/upsert(_:ifVersion:)`` to write only
  /// if nobody else did meanwhile. Two records that differ in nothing else are equal.
  public internal(set) var version: UInt64?
  /// When it expires, in milliseconds since 1970; nil if it does not.
  package var expiryMilliseconds: Int64?

  /// When vecdb deletes the record, to the millisecond; nil if never. It is gone within a second after
  /// that, as long as the database is open and accepts writes.
  public var expires: Date? {
    get { expiryMilliseconds.map { Date(milliseconds: $0) } }
    set { expiryMilliseconds = newValue.map(\.expiryMilliseconds) }
  }

  public init(key: String, vector: [Float], metadata: Metadata = [:], expires: Date? = nil) {
    self.key = key
    self.vector = vector
    self.metadata = metadata
    self.expires = expires
  }
}

extension Date {
  /// As a record stores it, where 0 stands for never.
  package var expiryMilliseconds: Int64 { max(1, milliseconds) }
}

extension VectorRecord: Hashable {
  public static func == (left: VectorRecord, right: VectorRecord) -> Bool {
    left.key == right.key && left.vector == right.vector && left.metadata == right.metadata
      && left.expiryMilliseconds == right.expiryMilliseconds
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(key)
    hasher.combine(vector)
    hasher.combine(metadata)
    hasher.combine(expiryMilliseconds)
  }
}

/// Proof of a durable write: its place in the history of the database.
///
/// A call returns a receipt only after the batch is on disk and searchable. A copy of the database
/// that holds this epoch up to this LSN contains the write.
public struct Receipt: Sendable, Hashable, Codable {
  /// The counter of the epoch that the write belongs to.
  public var epoch: UInt64
  /// The log sequence number of the batch; of the last batch if the call was split.
  public var lsn: UInt64

  public init(epoch: UInt64, lsn: UInt64) {
    self.epoch = epoch
    self.lsn = lsn
  }
}

/// What an upsert did.
public struct UpsertResult: Sendable, Hashable, Codable {
  public var receipt: Receipt
  /// Keys that were new.
  public var inserted: Int
  /// Keys whose record was replaced.
  public var updated: Int
  /// Records that were already there with equal key, vector bits and metadata; the call wrote
  /// nothing for them.
  public var unchanged: Int
  /// Records that the call left out, as its ``WritePolicy`` says.
  public var skipped: Int = 0
  /// How many atomic batches the call became: 1 unless it held more than 16 MiB.
  public var batches: Int
}

extension UpsertResult {
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    receipt = try values.decode(Receipt.self, forKey: .receipt)
    inserted = try values.decode(Int.self, forKey: .inserted)
    updated = try values.decode(Int.self, forKey: .updated)
    unchanged = try values.decode(Int.self, forKey: .unchanged)
    // Version 0.1 does not write it.
    skipped = try values.decodeIfPresent(Int.self, forKey: .skipped) ?? 0
    batches = try values.decode(Int.self, forKey: .batches)
  }
}

/// What a delete did.
public struct DeleteResult: Sendable, Hashable, Codable {
  public var receipt: Receipt
  /// How many records the call deleted; keys that did not exist do not count.
  public var deleted: Int
}
