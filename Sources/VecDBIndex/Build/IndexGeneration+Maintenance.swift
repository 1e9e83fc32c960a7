import Synchronization

/// Maintenance as batches of the log: each is a pure function of state and batch, like a write.
extension IndexGeneration {
  /// One step of maintenance.
  package enum MaintenanceStep: Sendable, Hashable {
    /// Repairs the nodes of these slots that have links to dead ones.
    case repair(Range<Int>)
    /// Frees the dead nodes that nothing alive leads to.
    case collect
  }

  /// Applies a step; one at or before `appliedLSN` is skipped. Searches go on. What dead nodes held
  /// stays as it is until their slots are reused. `collect` waits for readers that began before it,
  /// and the deaths before it must have been published, or new ones would see the dead and lose
  /// them.
  ///
  /// Cost: `repair` prunes the rows that have dead links, some microseconds each; `collect` reads
  /// all links.
  package func maintain(lsn: UInt64, _ step: MaintenanceStep) {
    guard lsn > appliedLSN else { return }
    appliedLSN = lsn
    guard graphCount.load(ordering: .relaxed) > 0 else { return }
    let builder = currentBuilder()
    switch step {
    case .repair(let range): builder.repair(range)
    case .collect:
      // Who began before the deaths were published still sees the dead, and may ask for what they
      // had.
      readers.waitForReaders()
      builder.collect()
      collectColumnEntries()
    }
  }
}
