import VecDBBytes
import VecDBFiles

/// Which history the records have applied, and which state their main file holds: what joins the
/// file to its WAL and to the log. A row of the table `history`, written with `state`.
///
/// A WAL is laid over whatever main file stands beside it. So what is in the WAL says at which
/// position the main file was when the WAL began (`base`): an older file, or one of another copy of
/// the database, is noticed before SQLite reads a row.
struct RecordHistory: Equatable {
  static let tableSQL = """
    CREATE TABLE IF NOT EXISTS history (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      lsn INTEGER NOT NULL, chain BLOB NOT NULL,
      base_lsn INTEGER NOT NULL, base_chain BLOB NOT NULL
    ) STRICT;
    """

  private var lsn: UInt64
  /// The chain at `lsn`; nil if it is not known.
  private(set) var chain: Digest?
  /// What the main file holds; nil if it is not known.
  private var base: LogPosition?

  /// Reads the row, and makes the table where an older version has made the file.
  init(_ writer: SQLiteConnection, appliedLSN: UInt64) throws {
    if let stored = try Self.read(writer), stored.lsn == appliedLSN {
      self = stored
    } else {
      lsn = appliedLSN
      try writer.execute(Self.tableSQL)
    }
  }

  private init(lsn: UInt64, chain: Digest?, base: LogPosition?) {
    self.lsn = lsn
    self.chain = chain
    self.base = base
  }

  /// Nil where there is no row.
  private static func read(_ connection: SQLiteConnection) throws -> RecordHistory? {
    let table = try connection.prepare(
      "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'history'")
    defer { table.reset() }
    guard try table.step() else { return nil }
    let select = try connection.prepare(
      "SELECT lsn, chain, base_lsn, base_chain FROM history WHERE id = 1")
    defer { select.reset() }
    guard try select.step() else { return nil }
    let base = digest(select.blob(3)).map {
      LogPosition(lsn: UInt64(bitPattern: select.int64(2)), chain: $0)
    }
    return RecordHistory(
      lsn: UInt64(bitPattern: select.int64(0)), chain: digest(select.blob(1)), base: base)
  }

  private static func digest(_ bytes: UnsafeRawBufferPointer) -> Digest? {
    guard bytes.count == Digest.sizeBytes, let start = bytes.baseAddress else { return nil }
    return Digest(bytes: start)
  }

  func applying(_ lsn: UInt64, _ chain: Digest?) -> RecordHistory {
    RecordHistory(lsn: lsn, chain: chain, base: base)
  }

  /// The main file holds all of it now.
  mutating func noteCheckpoint() { base = chain.map { LogPosition(lsn: lsn, chain: $0) } }

  func write(to writer: SQLiteConnection) throws {
    let insert = try writer.cached(
      "INSERT OR REPLACE INTO history (id, lsn, chain, base_lsn, base_chain) VALUES (1, ?, ?, ?, ?)"
    )
    try insert.bind(1, Int64(bitPattern: lsn))
    try insert.bind(2, copying: chain?.bytes ?? [])
    try insert.bind(3, Int64(bitPattern: base?.lsn ?? 0))
    try insert.bind(4, copying: base?.chain.bytes ?? [])
    try insert.run()
  }

  /// Compares what the WAL says of the main file with what that says of itself.
  ///
  /// A checkpoint that a crash cut short leaves a main file that holds parts of the newest state, or
  /// that cannot be read at all without the WAL; both are as they should be. What the system refuses
  /// to read here, it refuses to `writer` too, which says so.
  ///
  /// - Parameter isOfHistory: whether the log passed through a position, as far as it knows.
  /// - Throws: `.corrupt` if the main file is older than the WAL, or of another history.
  static func requireOwnMainFile(
    _ path: String, _ fileSystem: any FileSystem, _ writer: SQLiteConnection,
    _ checksums: PageChecksums, isOfHistory: (LogPosition) throws -> Bool
  ) throws {
    guard try fileSystem.info(path + "-wal")?.sizeBytes ?? 0 > 0,
      let whole = try read(writer), let base = whole.base
    else { return }
    guard let main = try? SQLiteConnection(path, .immutable, vfs: nil, checksums: checksums) else {
      return
    }
    defer { main.close() }
    guard let alone = try? read(main), let chain = alone.chain else { return }
    let found = LogPosition(lsn: alone.lsn, chain: chain)
    if found == base || alone.lsn == whole.lsn && chain == whole.chain { return }
    // Commits go on beside a checkpoint: cut short it leaves one of the states between, which went on
    // from the same base. A copy of the database that was written since did so too, but by another
    // history.
    if alone.base == base, base.lsn < alone.lsn, alone.lsn < whole.lsn, try isOfHistory(found) {
      return
    }
    throw corrupt(
      "the records file is at \(found), but its write-ahead log continues from \(base): the "
        + "file is older than its write-ahead log, or of another copy of the database", at: path)
  }
}
