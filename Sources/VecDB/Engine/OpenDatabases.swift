import Glibc
import VecDBBytes
import VecDBFiles

/// The databases that this process has open, by their directories.
///
/// A handle that was dropped without being closed leaves the directory when its threads have ended,
/// some milliseconds later. Who opens the database again in between waits for that.
enum OpenDatabases {
  /// A directory, whatever it is called.
  struct Place: Hashable, Sendable {
    fileprivate var device: UInt64
    fileprivate var number: UInt64
  }

  private static let counts = Guarded<[Place: Int]>([:])
  private static let patience = Duration.seconds(10)

  static func add(_ path: String) -> Place? {
    guard let place = place(path) else { return nil }
    counts.withLock { $0[place, default: 0] += 1 }
    return place
  }

  static func remove(_ place: Place?) {
    guard let place else { return }
    counts.withLock { counts in
      counts[place] = (counts[place] ?? 1) - 1
      if counts[place] == 0 { counts[place] = nil }
    }
  }

  /// Runs `open`, again and again while the lock is held by this process and no handle of it is left.
  static func afterThoseThatEnd<Value>(_ path: String, _ open: () throws -> Value) throws -> Value {
    let giveUp = ContinuousClock.now + patience
    while true {
      do { return try open() } catch let error as StoreError where error.kind == .locked {
        // Who comes or goes at this moment has no name in the file.
        let isOwn = error.message.contains("process \(getpid())")
        guard isOwn || error.message.hasSuffix("another process"), ContinuousClock.now < giveUp,
          let place = place(path), counts.withLock({ $0[place] }) == nil
        else { throw error }
        usleep(2_000)
      }
    }
  }

  private static func place(_ path: String) -> Place? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Place(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
  }
}
