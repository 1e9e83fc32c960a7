import CVecDBSQLite

/// The locks that SQLite connections hold on one database file, by SQLite's rules for `xLock`.
///
/// Not thread-safe; used inside the disk's lock.
final class SQLiteLocks {
  private var levels: [ObjectIdentifier: Int32] = [:]

  /// Raises the holder's lock; `SQLITE_BUSY` if others stand in the way.
  func lock(_ holder: ObjectIdentifier, _ level: Int32) -> Int32 {
    let own = levels[holder] ?? SQLITE_LOCK_NONE
    if own >= level { return SQLITE_OK }
    let highest = levels.lazy.filter { $0.key != holder }.map(\.value).max() ?? SQLITE_LOCK_NONE
    switch level {
    case SQLITE_LOCK_SHARED:
      // Someone who waits for the readers to leave lets no new one in.
      if highest >= SQLITE_LOCK_PENDING { return SQLITE_BUSY }
    case SQLITE_LOCK_RESERVED:
      if highest >= SQLITE_LOCK_RESERVED { return SQLITE_BUSY }
    default:
      if highest >= SQLITE_LOCK_RESERVED { return SQLITE_BUSY }
      if highest >= SQLITE_LOCK_SHARED {
        levels[holder] = SQLITE_LOCK_PENDING
        return SQLITE_BUSY
      }
    }
    levels[holder] = level
    return SQLITE_OK
  }

  /// Lowers the holder's lock to `level`.
  func unlock(_ holder: ObjectIdentifier, _ level: Int32) {
    guard let own = levels[holder], own > level else { return }
    levels[holder] = level == SQLITE_LOCK_NONE ? nil : level
  }

  /// Whether anybody is about to write.
  var isReserved: Bool { levels.values.contains { $0 >= SQLITE_LOCK_RESERVED } }
}
