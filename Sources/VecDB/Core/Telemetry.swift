import Metrics

/// What the writer reports through swift-metrics; nothing is kept unless the application installs
/// a metrics system. Searches are not measured here: a lock-free search costs less than a timer.
struct Telemetry: Sendable {
  private let commits = Counter(label: "vecdb_commit_groups_total")
  private let batches = Counter(label: "vecdb_batches_total")
  private let groupSize = Recorder(label: "vecdb_commit_group_batches")
  private let appendTime = Timer(label: "vecdb_log_append_seconds")
  private let applyTime = Timer(label: "vecdb_apply_seconds")
  private let checkpoints = Counter(label: "vecdb_checkpoints_total")
  private let failedCheckpoints = Counter(label: "vecdb_checkpoints_failed_total")
  private let checkpointTime = Timer(label: "vecdb_checkpoint_seconds")
  private let rebuilds = Counter(label: "vecdb_rebuilds_begun_total")
  private let refusedRebuilds = Counter(label: "vecdb_rebuilds_refused_total")
  private let swaps = Counter(label: "vecdb_rebuilds_swapped_total")
  private let rollbacks = Counter(label: "vecdb_rebuilds_rolled_back_total")
  private let poisonings = Counter(label: "vecdb_poisoned_total")

  func committed(batchCount: Int, appendNanoseconds: UInt64, applyNanoseconds: UInt64) {
    commits.increment()
    batches.increment(by: batchCount)
    groupSize.record(batchCount)
    appendTime.recordNanoseconds(Int64(clamping: appendNanoseconds))
    applyTime.recordNanoseconds(Int64(clamping: applyNanoseconds))
  }

  func wrote(_ report: CheckpointReport) {
    checkpoints.increment()
    checkpointTime.recordSeconds(report.seconds)
  }

  func failedCheckpoint() { failedCheckpoints.increment() }

  func poisoned() { poisonings.increment() }

  func beganRebuild() { rebuilds.increment() }

  func refusedRebuild() { refusedRebuilds.increment() }

  func swapped() { swaps.increment() }

  func rolledBack() { rollbacks.increment() }
}
