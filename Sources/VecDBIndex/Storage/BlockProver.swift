import Synchronization
import VecDBBytes

/// Proves blocks that were mapped from a file before they are first changed.
///
/// A block's hash is computed anew once it is changed: were it damaged by then, the next checkpoint
/// would hash the damage as if it were right. So the bytes that a change builds on are compared
/// with the hash they were stored under. What fails is remembered here; the writer asks after each
/// batch.
package final class BlockProver: Sendable {
  /// Nil if the bytes of a block of the named array are those that were stored; otherwise what is
  /// wrong and where. May be called by several threads at once.
  package typealias Check =
    @Sendable (_ array: String, _ block: Int, _ bytes: UnsafeRawBufferPointer) -> String?

  private let check: Check
  private let hasFailed = Atomic(false)
  private let first = Guarded<String?>(nil)

  package init(_ check: @escaping Check) { self.check = check }

  /// What is wrong with the first block that failed; nil if all is well.
  package var failure: String? {
    hasFailed.load(ordering: .acquiring) ? first.withLock { $0 } : nil
  }

  func prove(_ array: String, _ block: Int, _ bytes: UnsafeRawBufferPointer) {
    guard let problem = check(array, block, bytes) else { return }
    first.withLock { $0 = $0 ?? problem }
    hasFailed.store(true, ordering: .releasing)
  }
}
