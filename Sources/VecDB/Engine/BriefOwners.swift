import Glibc
import VecDBFiles

/// Commands that have a database for a moment: the lock's owner says so, and others wait for them
/// instead of failing.
enum BriefOwners {
  /// Behind the owner's name in the lock file.
  static let note = ", for a moment"
  static let patience = Duration.seconds(60)

  static func owner(_ configuration: DatabaseConfiguration) -> String {
    "process \(getpid())" + (configuration.isBrief ? note : "")
  }

  /// Whether an error says that such a command has the database.
  static func holds(_ message: String) -> Bool { message.hasSuffix(note) }

  /// Of uneven length, so that those who wait do not come all at once.
  static var pauseNanoseconds: UInt64 { .random(in: 5_000_000...40_000_000) }

  /// Runs `body`, again while such a command is in the way. For threads that may block.
  static func waiting<Value>(_ body: () throws -> Value) throws -> Value {
    let giveUp = ContinuousClock.now + patience
    while true {
      do { return try body() } catch let error as StoreError
        where error.kind == .locked && holds(error.message) && ContinuousClock.now < giveUp
      { usleep(UInt32(pauseNanoseconds / 1_000)) }
    }
  }
}
