import CVecDBSQLite
import Glibc
import VecDBFiles

/// One SQLite database handle, used by one thread at a time. SQLite never checkpoints on its own
/// here, not even at close: who may move pages into the main file is decided by our callers alone.
final class SQLiteConnection: @unchecked Sendable {
  enum Mode {
    case create
    case readWrite
    /// Read only, of a file that nobody will ever write again; takes no locks and writes nothing.
    case immutable
  }

  let path: String
  let handle: OpaquePointer
  /// Frames in the WAL after the last commit of this connection.
  private(set) var walFrameCount = 0
  private var statements: [String: SQLiteStatement] = [:]
  private var isClosed = false
  /// In front of the VFS, if there is one: it must outlive the handle.
  private let checksums: PageChecksums?

  init(
    _ path: String, _ mode: Mode, vfs: String?, checksums: PageChecksums? = nil
  ) throws(StoreError) {
    self.checksums = checksums
    for suffix in ["", "-wal", "-journal"] { try Self.requireFile(path + suffix) }
    let vfs = checksums?.name ?? vfs ?? PageChecksums.plain?.name
    var name = path
    var flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    switch mode {
    case .create: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    case .readWrite: flags |= SQLITE_OPEN_READWRITE
    case .immutable:
      flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
      name = "file:\(Self.percentEncoded(path))?immutable=1"
    }
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(name, &opened, flags, vfs)
    guard let opened else {
      throw StoreError(.inputOutput, "SQLite could not allocate a connection", at: path)
    }
    guard code == SQLITE_OK else {
      let error = Self.error(opened, code, "open", path)
      sqlite3_close_v2(opened)
      throw error
    }
    self.path = path
    handle = opened
    if mode != .immutable {
      vecdb_sqlite3_no_checkpoint_on_close(handle)
      // In the place of the hook that would make checkpoints.
      let context = Unmanaged.passUnretained(self).toOpaque()
      sqlite3_wal_hook(
        handle,
        { context, _, _, frameCount in
          if let context {
            Unmanaged<SQLiteConnection>.fromOpaque(context).takeUnretainedValue().walFrameCount =
              Int(frameCount)
          }
          return SQLITE_OK
        }, context)
    }
  }

  /// SQLite would wait for ever for the other end of a pipe. Nothing is there yet, or only on a
  /// simulated disk, most often.
  private static func requireFile(_ path: String) throws(StoreError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw StoreError(
      .inputOutput, "cannot open the file: not a regular file", at: path,
      remedy: "Something else is in its place: put back the original file.")
  }

  deinit { close() }

  /// Lets go of the file. A WAL stays as it is.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    statements.removeAll()
    sqlite3_close_v2(handle)
  }

  /// Runs statements that return nothing of interest.
  func execute(_ sql: String) throws(StoreError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(code, sql) }
  }

  func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
    guard code == SQLITE_OK, let statement else { throw error(code, sql) }
    return SQLiteStatement(statement, sql: sql, connection: self)
  }

  /// The statement for `sql`, prepared once and kept. The caller resets it after use.
  func cached(_ sql: String) throws(StoreError) -> SQLiteStatement {
    if let statement = statements[sql] { return statement }
    let statement = try prepare(sql)
    statements[sql] = statement
    return statement
  }

  /// The first column of the first row as an integer; nil if there is no row.
  func integer(_ sql: String) throws(StoreError) -> Int64? {
    try firstRow(sql) { $0.int64(0) }
  }

  /// The first column of the first row as text; nil if there is no row.
  func text(_ sql: String) throws(StoreError) -> String? {
    try firstRow(sql) { $0.string(0) }
  }

  /// Steps to the end: a pragma may write and commit only after it has returned its row.
  private func firstRow<Value>(
    _ sql: String, _ value: (SQLiteStatement) -> Value
  ) throws(StoreError) -> Value? {
    let statement = try prepare(sql)
    guard try statement.step() else { return nil }
    let first = value(statement)
    while try statement.step() {}
    return first
  }

  /// Runs `body` in one write transaction: committed when it returns, rolled back when it throws
  /// or when the commit fails.
  func transaction<Result>(_ body: () throws -> Result) throws -> Result {
    try execute("BEGIN IMMEDIATE")
    do {
      let result = try body()
      try execute("COMMIT")
      return result
    } catch {
      // Some errors roll back by themselves; the first error is the one to report either way.
      if sqlite3_get_autocommit(handle) == 0 { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
      throw error
    }
  }

  /// Moves the whole WAL into the main file, syncs it and empties the WAL. False if a reader was
  /// in the way until the busy timeout, in which case a later call finishes.
  func checkpointAndTruncate() throws(StoreError) -> Bool {
    let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
    if code & 0xff == SQLITE_BUSY { return false }
    guard code == SQLITE_OK else { throw error(code, "checkpoint") }
    return true
  }

  /// Whether the VFS promises that a torn write leaves the bytes beside it alone.
  var isPowersafe: Bool {
    var answer: Int32 = -1
    let code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_POWERSAFE_OVERWRITE, &answer)
    return code == SQLITE_OK && answer > 0
  }

  func setBusyTimeout(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

  func error(_ code: Int32, _ operation: String) -> StoreError {
    Self.error(handle, code, operation, path)
  }

  /// What SQLite's extended result code means for us. Whether a failed write also poisons its
  /// store is for the store to say: it knows what was in flight.
  private static func error(
    _ handle: OpaquePointer, _ code: Int32, _ operation: String, _ path: String
  ) -> StoreError {
    // Set by failures of these kinds alone, and else of an earlier one.
    let systemErrno =
      [SQLITE_IOERR, SQLITE_CANTOPEN].contains(code & 0xff) ? sqlite3_system_errno(handle) : 0
    let isFull =
      code & 0xff == SQLITE_FULL
      || code == ioerrWrite && (systemErrno == EDQUOT || systemErrno == ENOSPC)
    let kind: StoreError.Kind
    var remedy = ""
    switch code & 0xff {
    case _ where isFull:
      kind = .diskFull
      remedy = "Free some space; writing resumes by itself."
    case _ where code == ioerrData:
      return StoreError(
        .corrupt, "a page does not match its checksum, in \(operation)", at: path,
        remedy: "Run `vecdb check --repair`. \(corruptionRemedy)")
    case _ where code == ioerrRead:
      return StoreError(
        .inputOutput,
        "cannot read the file: \(String(cString: strerror(systemErrno == 0 ? EIO : systemErrno))), "
          + "in \(operation)", at: path, remedy: "Check the device and the system log.")
    case SQLITE_CORRUPT, SQLITE_NOTADB:
      kind = .corrupt
      remedy = corruptionRemedy
    case SQLITE_BUSY, SQLITE_LOCKED:
      kind = .locked
      remedy = "Close the other program that has this file open."
    case SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG, SQLITE_RANGE: kind = .invalidArgument
    case SQLITE_INTERRUPT: kind = .cancelled
    case SQLITE_CANTOPEN where systemErrno == ENOENT: kind = .notFound
    default: kind = .inputOutput
    }
    let system = systemErrno == 0 ? "" : "; \(String(cString: strerror(systemErrno)))"
    let text = String(cString: sqlite3_errmsg(handle))
    return StoreError(
      kind, "SQLite: \(text) (code \(code)\(system)) in \(operation)", at: path, remedy: remedy)
  }

  /// A path as the path part of a `file:` URI.
  private static func percentEncoded(_ path: String) -> String {
    let digits = Array("0123456789ABCDEF")
    return path.utf8.reduce(into: "") { text, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
        UInt8(ascii: "-"), UInt8(ascii: "_"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        text.append("%")
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
      }
    }
  }
}

/// What to advise about damaged primary data.
let corruptionRemedy =
  "Nothing was changed; keep a copy of the files and restore from a backup or a replica."
