import Synchronization
import VecDBBytes
import VecDBFiles

/// Reading rows: through the pool of readers, which see what is committed.
extension RecordStore {
  /// The slots of keys, nil for those that are not there. Meant for the writing thread.
  package func slots(collection: UInt32, keys: [String]) throws -> [UInt32?] {
    try withWriter { writer in
      let select = try writer.cached(
        "SELECT slot FROM records WHERE collection = ? AND key = ?")
      defer { select.reset() }
      try select.bind(1, Int64(collection))
      return try keys.map { key in
        try select.bind(2, key)
        defer { select.reset() }
        return try select.step() ? UInt32(truncatingIfNeeded: select.int64(0)) : nil
      }
    }
  }

  /// Whether a slot that is alive at `lsn` has no row although nothing later is applied, which only
  /// damage can cause. Waits for the writer.
  package func isMissing(collection: UInt32, slot: UInt32, at lsn: UInt64) throws -> Bool {
    try withWriter { writer in
      guard appliedLSN <= lsn else { return false }
      let select = try writer.cached("SELECT 1 FROM records WHERE collection = ? AND slot = ?")
      defer { select.reset() }
      try select.bind(1, Int64(collection))
      try select.bind(2, Int64(slot))
      return try !select.step()
    }
  }

  package func row(collection: UInt32, slot: UInt32) throws -> RecordRow? {
    try rows(collection: collection, slots: [slot])[0]
  }

  package func row(collection: UInt32, key: String) throws -> RecordRow? {
    try withReader { reader in
      let select = try reader.cached(
        "SELECT \(Self.columns) FROM records WHERE collection = ? AND key = ?")
      defer { select.reset() }
      try select.bind(1, Int64(collection))
      try select.bind(2, key)
      return try select.step() ? Self.row(select) : nil
    }
  }

  /// The rows of slots, in the order asked for, nil for empty ones.
  package func rows(collection: UInt32, slots: [UInt32]) throws -> [RecordRow?] {
    try withReader { reader in
      let select = try reader.cached(
        "SELECT \(Self.columns) FROM records WHERE collection = ? AND slot = ?")
      try select.bind(1, Int64(collection))
      return try slots.map { slot in
        try select.bind(2, Int64(slot))
        defer { select.reset() }
        return try select.step() ? Self.row(select) : nil
      }
    }
  }

  /// Up to `limit` rows in the order of their keys' UTF-8 bytes, after `afterKey` or from the
  /// first.
  package func scan(
    collection: UInt32, afterKey: String? = nil, limit: Int
  ) throws -> [RecordRow] {
    try withReader { reader in
      let select = try reader.cached(
        """
        SELECT \(Self.columns) FROM records
        WHERE collection = ? AND key \(afterKey == nil ? ">=" : ">") ? ORDER BY key LIMIT ?
        """)
      defer { select.reset() }
      try select.bind(1, Int64(collection))
      try select.bind(2, afterKey ?? "")
      try select.bind(3, Int64(limit))
      return try Self.rows(select)
    }
  }

  /// Calls `body` with every row in slot order until it returns false. Rows are fetched a thousand
  /// at a time, so that a slow body keeps no checkpoint waiting; what is written meanwhile may be
  /// seen or not.
  package func forEach(collection: UInt32, _ body: (RecordRow) throws -> Bool) throws {
    var last: Int64 = -1
    while true {
      let rows = try withReader { reader in
        let select = try reader.cached(
          """
          SELECT \(Self.columns) FROM records
          WHERE collection = ? AND slot > ? ORDER BY slot LIMIT 1024
          """)
        defer { select.reset() }
        try select.bind(1, Int64(collection))
        try select.bind(2, last)
        return try Self.rows(select)
      }
      for row in rows where try !body(row) { return }
      guard let slot = rows.last?.slot else { return }
      last = Int64(slot)
    }
  }

  /// Cost: linear in the number of records.
  package func count(collection: UInt32) throws -> Int {
    try withReader { reader in
      let select = try reader.cached("SELECT count(*) FROM records WHERE collection = ?")
      defer { select.reset() }
      try select.bind(1, Int64(collection))
      return try select.step() ? Int(select.int64(0)) : 0
    }
  }

  static let columns = "slot, key, metadata, expiry"

  /// The row whose columns begin at `first`.
  static func row(_ select: SQLiteStatement, from first: Int32 = 0) -> RecordRow {
    RecordRow(
      slot: UInt32(truncatingIfNeeded: select.int64(first)), key: select.string(first + 1),
      metadata: Array(select.blob(first + 2)), expiryMilliseconds: select.int64(first + 3))
  }

  private static func rows(_ select: SQLiteStatement) throws -> [RecordRow] {
    var rows: [RecordRow] = []
    while try select.step() { rows.append(row(select)) }
    return rows
  }

  func withReader<Result>(_ body: (SQLiteConnection) throws -> Result) throws -> Result {
    guard let readers else { return try withWriter(body) }
    return try readers.withConnection(body)
  }
}
