/// A record's part that lives in `records.sqlite`.
package struct RecordRow: Hashable, Sendable {
  package var slot: UInt32
  package var key: String
  /// Canonical metadata, opaque here.
  package var metadata: [UInt8]
  /// Milliseconds since 1970; what "never" is, is the caller's business.
  package var expiryMilliseconds: Int64

  package init(slot: UInt32, key: String, metadata: [UInt8], expiryMilliseconds: Int64) {
    self.slot = slot
    self.key = key
    self.metadata = metadata
    self.expiryMilliseconds = expiryMilliseconds
  }
}

/// What a batch does to the records, in the order of the log.
package enum RecordChange: Hashable, Sendable {
  /// No error if the slot is empty.
  case remove(collection: UInt32, slot: UInt32)
  /// The slot and the key must be free.
  case insert(collection: UInt32, RecordRow)
  case dropCollection(UInt32)
}
