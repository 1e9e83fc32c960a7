import Synchronization
import VecDBBytes
import VecDBFiles

/// The records of a database: slot, key, metadata and expiry of every live record, in one SQLite
/// file that holds, in the same transaction, the LSN up to which it has applied the log.
///
/// Commits are not synced (`synchronous=NORMAL`): what a crash takes away comes back from the log.
/// `checkpoint` makes the state durable, and is the only thing that ever writes the main file:
/// after it returned true, that file holds exactly `appliedLSN` and keeps its bytes until the next
/// call. Each page there ends with a checksum (`PageChecksums`), so that damage is an error where it
/// is read, never a record that is missing or different.
///
/// One connection writes and checkpoints; readers have connections of their own and see the
/// last committed state. Every method may be called from any thread.
package final class RecordStore: @unchecked Sendable {
  static let pageSizeBytes = PageChecksums.pageSizeBytes
  static let kind = SQLiteFileKind(
    name: "records file", applicationID: 0x5644_4252,  // "VDBR"
    formatVersion: 2,
    pageSizesBytes: [pageSizeBytes])

  package let path: String
  let fileSystem: any FileSystem
  /// Used only while `writerLock` is held.
  private let writer: SQLiteConnection
  private let writerLock = Guarded<StoreError?>(nil)
  /// Nil where reads go through the writer's connection: a SQLite VFS of a test may have no shared
  /// memory.
  let readers: SQLiteReaderPool?
  /// Used only while `writerLock` is held.
  private var reservation = Reservation()
  /// Used only while `writerLock` is held.
  private var history: RecordHistory
  private let applied: Atomic<UInt64>
  private let durable = Atomic<UInt64>(0)
  /// See `RecordStore+Expiry`. The first is used only while `writerLock` is held.
  var hasExpiryIndex = false
  let earliest = Atomic<Int64>(.max)

  /// The LSN up to which the log is applied.
  package var appliedLSN: UInt64 { applied.load(ordering: .acquiring) }

  /// The LSN that the main file is known to hold durably: that of the last complete checkpoint.
  package var durableLSN: UInt64 { durable.load(ordering: .acquiring) }

  /// How much is written but not checkpointed.
  package var walBytes: Int {
    get throws { try fileSystem.info(path + "-wal")?.sizeBytes ?? 0 }
  }

  // MARK: Opening

  /// Opens the file, or makes an empty one with `createIfMissing`. Records that belong to another
  /// database are refused, unless `adopting`, which makes them this one's (after a restore). What
  /// is in the WAL is checkpointed, so that `durableLSN` is known, unless the disk is full.
  /// `isOfHistory` says whether the log passed through a position.
  package static func open(
    path: String, fileSystem: any FileSystem, databaseID: UniqueID, createIfMissing: Bool = false,
    adopting: Bool = false, isOfHistory: (LogPosition) throws -> Bool = { _ in true }
  ) throws -> RecordStore {
    if try !fileSystem.exists(path) {
      guard createIfMissing else {
        throw StoreError(
          .notFound, "the records are missing", at: path, remedy: "Restore from a backup.")
      }
      try create(path, fileSystem, databaseID)
    }
    if try fileSystem.info(path + "-wal")?.sizeBytes ?? 0 == 0 {
      _ = try kind.checkFileHeader(path, fileSystem)
    }
    let isShared = fileSystem.sqliteVFSName == nil
    let checksums = try PageChecksums(over: vfsName(fileSystem))
    let writer = try connect(path, checksums)
    try writer.execute(
      """
      PRAGMA locking_mode = \(isShared ? "NORMAL" : "EXCLUSIVE");
      PRAGMA synchronous = NORMAL;
      """)
    try kind.check(writer)
    try RecordHistory.requireOwnMainFile(
      path, fileSystem, writer, checksums, isOfHistory: isOfHistory)
    let select = try writer.prepare("SELECT database_id, applied_lsn FROM state WHERE id = 1")
    guard try select.step() else { throw corrupt("the records have no state row", at: path) }
    let found = Array(select.blob(0))
    let appliedLSN = UInt64(bitPattern: select.int64(1))
    select.reset()
    var id = ByteWriter()
    id.write(databaseID)
    if found != id.bytes {
      guard adopting else {
        throw corrupt("the records belong to another database", at: path)
      }
      let update = try writer.prepare("UPDATE state SET database_id = ? WHERE id = 1")
      try update.bind(1, copying: id.bytes)
      try update.run()
    }
    let history = try RecordHistory(writer, appliedLSN: appliedLSN)
    let store = RecordStore(
      path: path, fileSystem: fileSystem, writer: writer, checksums: checksums,
      isShared: isShared, appliedLSN: appliedLSN, history: history)
    try store.findExpiry()
    do { _ = try store.checkpoint() } catch let error as StoreError where error.kind == .diskFull {
      // `durableLSN` stays 0, which keeps the log.
    }
    return store
  }

  private init(
    path: String, fileSystem: any FileSystem, writer: SQLiteConnection,
    checksums: PageChecksums, isShared: Bool, appliedLSN: UInt64, history: RecordHistory
  ) {
    self.path = path
    self.fileSystem = fileSystem
    self.writer = writer
    self.history = history
    readers =
      isShared
      ? SQLiteReaderPool(path) {
        let reader = try Self.connect(path, checksums)
        try reader.execute("PRAGMA query_only = ON")
        return reader
      } : nil
    applied = Atomic(appliedLSN)
  }

  /// SQLite's `unix-excl` keeps other processes out and the WAL index in this process's memory, so
  /// that there is no shared-memory file and several threads can still read.
  static func vfsName(_ fileSystem: any FileSystem) -> String {
    fileSystem.sqliteVFSName ?? "unix-excl"
  }

  static func connect(_ path: String, _ checksums: PageChecksums) throws -> SQLiteConnection {
    let database = try SQLiteConnection(path, .readWrite, vfs: nil, checksums: checksums)
    database.setBusyTimeout(milliseconds: 5000)
    try database.execute("PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;")
    return database
  }

  private static func create(
    _ path: String, _ fileSystem: any FileSystem, _ databaseID: UniqueID
  ) throws {
    try building(beside: path, fileSystem, databaseID) { unfinished in
      try fileSystem.renameExclusively(unfinished, to: path)
    }
    try fileSystem.syncDirectory(directoryName(path))
  }

  /// Makes an empty file beside `path`, which `publish` fills and renames; removes it if that
  /// fails.
  static func building(
    beside path: String, _ fileSystem: any FileSystem, _ databaseID: UniqueID,
    publish: (String) throws -> Void
  ) throws {
    let unfinished = path + ".new"
    func removeUnfinished() throws {
      for suffix in ["", "-journal", "-wal"] { try fileSystem.removeTree(unfinished + suffix) }
    }
    try removeUnfinished()
    do {
      try build(unfinished, fileSystem, databaseID)
      try fileSystem.open(unfinished, .readWrite).sync()
      try publish(unfinished)
    } catch {
      try removeUnfinished()
      throw error
    }
  }

  private static func build(
    _ path: String, _ fileSystem: any FileSystem, _ databaseID: UniqueID
  ) throws {
    let database = try SQLiteConnection(
      path, .create, vfs: nil, checksums: try PageChecksums(over: vfsName(fileSystem)))
    defer { database.close() }
    try database.execute("PRAGMA page_size = \(pageSizeBytes)")
    try database.reservePageEnds(bytes: PageChecksums.reservedBytes)
    try database.execute(
      """
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA synchronous = FULL;
      BEGIN;
      \(kind.markingSQL)
      CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        database_id BLOB NOT NULL,
        applied_lsn INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE records (
        collection INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        key TEXT NOT NULL,
        metadata BLOB NOT NULL,
        expiry INTEGER NOT NULL,
        PRIMARY KEY (collection, slot)
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX records_by_key ON records (collection, key);
      """)
    var id = ByteWriter()
    id.write(databaseID)
    let insert = try database.prepare(
      "INSERT INTO state (id, database_id, applied_lsn) VALUES (1, ?, 0)")
    try insert.bind(1, copying: id.bytes)
    try insert.run()
    try database.execute(RecordHistory.tableSQL)
    try database.execute("COMMIT")
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError(.inputOutput, "SQLite cannot use a write-ahead log here", at: path)
    }
  }

  // MARK: Writing

  /// Applies what a batch, or several up to `lsn`, changed, in one transaction. Does nothing if
  /// `lsn` is applied already. Throws `.diskFull` with nothing changed; `.corrupt`, also with
  /// nothing changed, if a slot or key that must be free is taken. `whenReady` is called before the
  /// commit, or at once if there is none; nothing is changed if it throws.
  package func apply(
    _ changes: [RecordChange], through position: LogPosition, whenReady: () throws -> Void = {}
  ) throws {
    try apply(changes, through: position.lsn, chain: position.chain, whenReady: whenReady)
  }

  /// As above; without a chain nobody can tell later which history this is.
  package func apply(
    _ changes: [RecordChange], through lsn: UInt64, chain: Digest? = nil,
    whenReady: () throws -> Void = {}
  ) throws {
    try withWriter { writer in
      guard lsn > appliedLSN else { return try whenReady() }
      let next = history.applying(lsn, chain)
      let hadExpiryIndex = hasExpiryIndex
      defer { if appliedLSN != lsn { hasExpiryIndex = hadExpiryIndex } }
      try writer.transaction {
        for change in changes { try apply(change, writer) }
        let update = try writer.cached("UPDATE state SET applied_lsn = ? WHERE id = 1")
        try update.bind(1, Int64(bitPattern: lsn))
        try update.run()
        try next.write(to: writer)
        try whenReady()
      }
      applied.store(lsn, ordering: .releasing)
      history = next
    }
  }

  /// The chain at `appliedLSN`; nil in a file that another version has written to.
  package var appliedChain: Digest? { writerLock.withLock { _ in history.chain } }

  private struct Reservation {
    /// Opened when first needed; SQLite keeps one file for as long as it has the database open.
    var wal: (any FileHandle)?
    /// The WAL can grow to this.
    var throughBytes = 0
  }

  /// Makes sure that a transaction which removes and inserts so many rows, with so many bytes of
  /// keys and metadata, finds space: once a batch is in the log, records must take it too. Throws
  /// `.diskFull`. Cost: a system call now and then.
  package func reserveSpace(rows: Int, contentBytes: Int) throws {
    try withWriter { _ in
      let walPath = path + "-wal"
      guard let wal = try fileSystem.info(walPath) else { return }
      // A row touches a page of the table and one of each index, and may split all; nothing can touch
      // more pages than there are.
      let frameBytes = Self.pageSizeBytes + 24
      let mainBytes = try fileSystem.info(path)?.sizeBytes ?? 0
      let existing = (mainBytes + wal.sizeBytes) / Self.pageSizeBytes
      let new = contentBytes / (Self.pageSizeBytes / 2) + 64
      let pages = min(min(rows, existing) * (hasExpiryIndex ? 6 : 4), existing) + new
      let needed = wal.sizeBytes + pages * frameBytes
      guard needed > reservation.throughBytes else { return }
      let file = try reservation.wal ?? fileSystem.open(walPath, .readWrite)
      reservation.wal = file
      let ahead = needed + Self.reservedAheadBytes
      do {
        try file.reserve(through: ahead)
        reservation.throughBytes = ahead
      } catch let error as StoreError where error.kind == .diskFull {
        try file.reserve(through: needed)
        reservation.throughBytes = needed
      }
    }
  }

  private static let reservedAheadBytes = 4 << 20

  func apply(_ change: RecordChange, _ writer: SQLiteConnection) throws {
    switch change {
    case .remove(let collection, let slot):
      let delete = try writer.cached("DELETE FROM records WHERE collection = ? AND slot = ?")
      try delete.bind(1, Int64(collection))
      try delete.bind(2, Int64(slot))
      try delete.run()
    case .insert(let collection, let row):
      if row.expiryMilliseconds != 0 { try noteExpiry(row.expiryMilliseconds, writer) }
      let insert = try writer.cached(
        "INSERT INTO records (collection, slot, key, metadata, expiry) VALUES (?, ?, ?, ?, ?)")
      try insert.bind(1, Int64(collection))
      try insert.bind(2, Int64(row.slot))
      try insert.bind(3, row.key)
      try insert.bind(4, copying: row.metadata)
      try insert.bind(5, row.expiryMilliseconds)
      try insert.run()
    case .dropCollection(let collection):
      let delete = try writer.cached("DELETE FROM records WHERE collection = ?")
      try delete.bind(1, Int64(collection))
      try delete.run()
    }
  }

  /// Removes the records of all other collections, and the space that they took: what a restore of
  /// some collections begins with.
  package func keep(collections: Set<UInt32>) throws {
    let ids = collections.sorted().map(String.init).joined(separator: ", ")
    try withWriter { writer in
      try writer.execute("DELETE FROM records WHERE collection NOT IN (\(ids)); VACUUM;")
    }
  }

  /// Moves everything into the main file, durably. False if readers were in the way for seconds;
  /// the main file may be between two states then. While it runs, nobody may copy the main file.
  package func checkpoint() throws -> Bool {
    try withWriter { writer in
      reservation.throughBytes = 0  // Truncating the WAL frees what was set aside.
      guard try writer.checkpointAndTruncate() else { return false }
      durable.store(appliedLSN, ordering: .releasing)
      history.noteCheckpoint()
      return true
    }
  }

  /// Lets go of the file after a last checkpoint. The store cannot be used afterwards.
  package func close() throws {
    defer { abandon() }
    _ = try checkpoint()
  }

  /// Lets go of the file as it is.
  func abandon() {
    writerLock.withLock { poison in
      writer.close()
      reservation = Reservation()
      poison = StoreError(.invalidArgument, "the records are closed", at: path)
    }
    readers?.close()
  }

  func withWriter<Result>(_ body: (SQLiteConnection) throws -> Result) throws -> Result {
    try writerLock.withLock { poison in
      if let poison { throw poison }
      do { return try body(writer) } catch let error as StoreError {
        switch error.kind {
        case .inputOutput, .locked, .notFound:
          let failure = StoreError(
            .poisoned, "a write to the records failed: \(error)", at: path,
            remedy: "Check the disk, then reopen the database.")
          poison = failure
          throw failure
        case .invalidArgument:
          // A constraint: a slot or key that the log says is free is taken.
          throw corrupt("the records contradict the log: \(error.message)", at: path)
        default: throw error
        }
      }
    }
  }
}
