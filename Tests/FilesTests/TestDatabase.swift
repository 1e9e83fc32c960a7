import CVecDBSQLite
import VecDBSimulatedDisk

struct SQLiteError: Error, CustomStringConvertible {
  var code: Int32
  var message: String
  var description: String { "SQLite error \(code): \(message)" }
}

/// Just enough SQLite to exercise a disk.
final class TestDatabase {
  private var connection: OpaquePointer?

  init(_ disk: SimulatedDisk, _ path: String, _ pragmas: String...) throws {
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let result = sqlite3_open_v2(path, &connection, flags, disk.sqliteVFSName)
    guard result == SQLITE_OK else { throw error(result) }
    sqlite3_extended_result_codes(connection, 1)
    for pragma in pragmas { try run("PRAGMA \(pragma)") }
  }

  deinit { close() }

  func close() {
    sqlite3_close_v2(connection)
    connection = nil
  }

  func run(_ sql: String) throws {
    let result = sqlite3_exec(connection, sql, nil, nil, nil)
    guard result == SQLITE_OK else { throw error(result) }
  }

  /// The first column of all rows.
  func column(_ sql: String) throws -> [String] {
    var statement: OpaquePointer?
    let result = sqlite3_prepare_v2(connection, sql, -1, &statement, nil)
    guard result == SQLITE_OK else { throw error(result) }
    defer { sqlite3_finalize(statement) }
    var values: [String] = []
    while true {
      let result = sqlite3_step(statement)
      if result == SQLITE_DONE { return values }
      guard result == SQLITE_ROW else { throw error(result) }
      values.append(sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? "")
    }
  }

  func disableCheckpointOnClose() { _ = vecdb_sqlite3_no_checkpoint_on_close(connection) }

  private func error(_ code: Int32) -> SQLiteError {
    SQLiteError(code: code, message: sqlite3_errmsg(connection).map { String(cString: $0) } ?? "")
  }
}
