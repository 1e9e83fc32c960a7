import Synchronization

/// Finding what has expired. An index over the records that expire is made when the first such record
/// comes, so that files without one stay as they are.
extension RecordStore {
  /// A record that has expired.
  package struct Expired: Sendable, Hashable {
    package var collection: UInt32
    package var slot: UInt32
  }

  /// When the next record expires, in milliseconds since 1970, or earlier; nil if none does. A file of a
  /// version without the index says nil until a record that expires is written.
  package var earliestExpiry: Int64? {
    let earliest = earliest.load(ordering: .acquiring)
    return earliest == .max ? nil : earliest
  }

  /// Up to `limit` records that expire at `milliseconds` or before, the earliest first. Finds out when
  /// the next one after these expires.
  ///
  /// Cost: that of a look-up in the index, and of the records found.
  package func expired(through milliseconds: Int64, limit: Int) throws -> [Expired] {
    try withWriter { writer in
      let select = try writer.cached(
        """
        SELECT collection, slot, expiry FROM records WHERE expiry != 0
        ORDER BY expiry, collection, slot LIMIT ?
        """)
      defer { select.reset() }
      try select.bind(1, Int64(limit) + 1)
      var found: [Expired] = []
      var next = Int64.max
      while try select.step() {
        let expiry = select.int64(2)
        guard expiry <= milliseconds, found.count < limit else {
          next = expiry
          break
        }
        found.append(
          Expired(
            collection: UInt32(truncatingIfNeeded: select.int64(0)),
            slot: UInt32(truncatingIfNeeded: select.int64(1))))
      }
      earliest.store(next, ordering: .releasing)
      return found
    }
  }

  /// What is to be known of a file that was just opened.
  func findExpiry() throws {
    try withWriter { writer in
      let select = try writer.prepare(
        "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = 'records_by_expiry'")
      hasExpiryIndex = try select.step()
      select.reset()
      guard hasExpiryIndex else { return }
      let first = try writer.prepare(
        "SELECT expiry FROM records WHERE expiry != 0 ORDER BY expiry LIMIT 1")
      if try first.step() { earliest.store(first.int64(0), ordering: .releasing) }
      first.reset()
    }
  }

  func noteExpiry(_ milliseconds: Int64, _ writer: SQLiteConnection) throws {
    if !hasExpiryIndex {
      try writer.execute(
        "CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expiry) WHERE expiry != 0")
      hasExpiryIndex = true
    }
    if milliseconds < earliest.load(ordering: .relaxed) {
      earliest.store(milliseconds, ordering: .releasing)
    }
  }
}
