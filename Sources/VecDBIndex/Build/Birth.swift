import VecDBBytes

/// A record that a batch brings into an index.
package struct Birth: Sendable {
  /// UTF-8, at most `maximumKeyBytes`.
  package var key: [UInt8]
  /// One finite value per dimension.
  package var vector: [Float]
  /// The record's member of the data digest.
  package var hash: Digest
  /// The metadata fields that filters may ask for; each field once.
  package var columns: [ColumnValue]

  package static let maximumKeyBytes = 1_024

  package init(key: [UInt8], vector: [Float], hash: Digest, columns: [ColumnValue] = []) {
    self.key = key
    self.vector = vector
    self.hash = hash
    self.columns = columns
  }
}

/// One metadata field of a record, both parts opaque to the index.
package struct ColumnValue: Sendable, Hashable {
  package var field: [UInt8]
  package var value: [UInt8]

  package init(field: [UInt8], value: [UInt8]) {
    self.field = field
    self.value = value
  }
}
