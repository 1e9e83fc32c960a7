import VecDBReplicationProtocol

/// What a node that is followed is bound to, and whether it writes.
///
/// What always holds:
/// - What the fence knows to have begun never goes down.
/// - A node that writes is of an epoch that its fence admits. Whoever raises the fence is told
///   whether that ended its writing.
/// - Only `begin` lets it write again.
struct WriterFence {
  private(set) var fence: Fence
  private(set) var isWriter: Bool
  /// How often it had to stop writing.
  private(set) var stepDowns = 0

  init(_ fence: Fence, isWriter: Bool) {
    self.fence = fence
    self.isWriter = isWriter
  }

  /// The node is bound to this now. Returns whether it has to stop writing.
  mutating func raise(to new: Fence, own epoch: EpochName) -> Bool {
    fence = new
    guard isWriter, !new.admits(epoch) else { return false }
    return stop()
  }

  /// Somebody knows of a higher epoch. Returns whether that is news here.
  mutating func stepDown(for epoch: EpochName) -> Bool {
    let isNew = fence.raise(to: epoch)
    guard isNew || isWriter else { return false }
    return stop()
  }

  private mutating func stop() -> Bool {
    stepDowns += 1
    isWriter = false
    return true
  }

  /// This node writes from now on; `new` if its own epoch has just begun.
  mutating func begin(_ new: Fence? = nil) {
    if let new { fence = new }
    isWriter = true
  }

  /// The database is closed.
  mutating func end() { isWriter = false }
}
