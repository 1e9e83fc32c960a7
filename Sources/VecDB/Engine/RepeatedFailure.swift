import Logging
import VecDBBytes

/// A failure of work that is tried again and again. The log has it once, and then how often it came
/// when that is ten times, a hundred times, and so on, until it is over.
package final class RepeatedFailure: Sendable {
  private let message: String
  private let level: Logger.Level
  private let count = Guarded(0)

  package init(_ message: StaticString, level: Logger.Level) {
    self.message = "\(message)"
    self.level = level
  }

  package func note(
    _ error: any Error, _ logger: Logger, _ details: Logger.Metadata = [:]
  ) {
    let count = count.withLock { count in
      count += 1
      return count
    }
    guard Self.isPowerOfTen(count) else { return }
    var metadata = details
    metadata["error"] = "\(error)"
    metadata["count"] = "\(count)"
    logger.log(level: level, "\(message)", metadata: metadata)
  }

  /// The work was done.
  package func isOver(_ logger: Logger) {
    let count = count.withLock { count in
      defer { count = 0 }
      return count
    }
    guard count > 0 else { return }
    logger.info("a failure is over", metadata: ["failure": "\(message)", "count": "\(count)"])
  }

  /// 1, 10, 100 and so on.
  package static func isPowerOfTen(_ count: Int) -> Bool {
    var power = 1
    while power < count { power *= 10 }
    return power == count
  }
}
