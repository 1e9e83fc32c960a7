import CVecDBSQLite
import VecDBFiles

/// A prepared statement. Parameters count from 1 and columns from 0, as in SQLite.
final class SQLiteStatement {
  private let handle: OpaquePointer
  private let sql: String
  private unowned let connection: SQLiteConnection

  init(_ handle: OpaquePointer, sql: String, connection: SQLiteConnection) {
    self.handle = handle
    self.sql = sql
    self.connection = connection
  }

  deinit { sqlite3_finalize(handle) }

  func bind(_ index: Int32, _ value: Int64) throws(StoreError) {
    try check(sqlite3_bind_int64(handle, index, value))
  }

  func bind(_ index: Int32, _ text: String) throws(StoreError) {
    var text = text
    let code = text.withUTF8 { utf8 in
      // An empty string has no address, and a null pointer would bind NULL.
      utf8.withMemoryRebound(to: CChar.self) {
        vecdb_sqlite3_bind_text_copy(handle, index, $0.baseAddress ?? emptyText, UInt64($0.count))
      }
    }
    try check(code)
  }

  func bind(_ index: Int32, copying bytes: [UInt8]) throws(StoreError) {
    let code = bytes.withUnsafeBytes { raw in
      raw.isEmpty
        ? sqlite3_bind_zeroblob(handle, index, 0)
        : vecdb_sqlite3_bind_blob_copy(handle, index, raw.baseAddress, UInt64(raw.count))
    }
    try check(code)
  }

  /// Binds without a copy: the bytes must stay in place until the statement is reset.
  func bind(_ index: Int32, borrowing bytes: UnsafeRawBufferPointer) throws(StoreError) {
    try check(
      sqlite3_bind_blob64(handle, index, bytes.baseAddress, UInt64(bytes.count), nil))
  }

  /// True if there is a row to read.
  func step() throws(StoreError) -> Bool {
    let code = sqlite3_step(handle)
    switch code {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default:
      let error = connection.error(code, sql)
      sqlite3_reset(handle)
      throw error
    }
  }

  /// Steps a statement that returns no rows and makes it ready for the next use.
  func run() throws(StoreError) {
    _ = try step()
    reset()
  }

  /// Ends the read or write that the statement has under way; the bindings stay.
  func reset() { sqlite3_reset(handle) }

  func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

  func string(_ column: Int32) -> String {
    guard let text = sqlite3_column_text(handle, column) else { return "" }
    let count = Int(sqlite3_column_bytes(handle, column))
    return String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self)
  }

  /// The blob, not copied: valid until the next step or reset.
  func blob(_ column: Int32) -> UnsafeRawBufferPointer {
    let bytes = sqlite3_column_blob(handle, column)
    return UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(handle, column)))
  }

  private func check(_ code: Int32) throws(StoreError) {
    guard code == SQLITE_OK else { throw connection.error(code, sql) }
  }
}

private nonisolated(unsafe) let emptyText: UnsafePointer<CChar> = {
  let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
  pointer.initialize(to: 0)
  return UnsafePointer(pointer)
}()
