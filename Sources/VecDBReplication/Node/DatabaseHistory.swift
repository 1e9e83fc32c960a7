import VecDB
import VecDBLogStore
import VecDBReplicationProtocol

/// The history of a database as the state machines ask for it. Reads the log; not for event loops.
struct DatabaseHistory: HistoryReading {
  let database: Database

  var identity: LogIdentity { database.logIdentity }
  var end: LogPosition { database.logEnd }

  func position(at lsn: UInt64) -> LogPosition? {
    if lsn == 0 { return .zero }
    do { return try database.log.position(at: lsn) } catch { return nil }
  }
}

/// A history that is not there yet.
struct EmptyHistory: HistoryReading {
  var identity: LogIdentity
  var end: LogPosition { .zero }
  func position(at lsn: UInt64) -> LogPosition? { lsn == 0 ? .zero : nil }
}
