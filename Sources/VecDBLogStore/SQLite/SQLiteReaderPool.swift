import VecDBBytes
import VecDBFiles

/// Read-only connections to one file, handed to one thread at a time and kept for the next.
final class SQLiteReaderPool: Sendable {
  private static let idleMaximum = 8

  private struct State {
    var idle: [SQLiteConnection] = []
    var isClosed = false
  }

  private let path: String
  private let state = Guarded(State())
  private let connect: @Sendable () throws -> SQLiteConnection

  init(_ path: String, _ connect: @escaping @Sendable () throws -> SQLiteConnection) {
    self.path = path
    self.connect = connect
  }

  func withConnection<Result>(_ body: (SQLiteConnection) throws -> Result) throws -> Result {
    let connection = try take() ?? connect()
    defer { giveBack(connection) }
    return try body(connection)
  }

  private func take() throws -> SQLiteConnection? {
    try state.withLock { state in
      if state.isClosed { throw StoreError(.invalidArgument, "the file is closed", at: path) }
      return state.idle.popLast()
    }
  }

  private func giveBack(_ connection: SQLiteConnection) {
    let isKept = state.withLock { state in
      guard !state.isClosed, state.idle.count < Self.idleMaximum else { return false }
      state.idle.append(connection)
      return true
    }
    if !isKept { connection.close() }
  }

  /// Closes the connections, those in use when they come back.
  func close() {
    let connections = state.withLock { state in
      state.isClosed = true
      defer { state.idle.removeAll() }
      return state.idle
    }
    for connection in connections { connection.close() }
  }
}
