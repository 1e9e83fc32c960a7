import Dispatch
import Glibc
import Metrics
import Synchronization
import VecDBBlockStore
import VecDBBytes
import VecDBThreads

/// What a database reports of its work: to `stats`, and through swift-metrics to whatever system
/// the application has installed.
final class Telemetry: Sendable {
  private let activity = Guarded(ActivityStats())
  private let calm = Guarded(Calm())
  private let searches = (0..<8).map { _ in SearchCounters() }

  private let dimensions: [(String, String)]
  private let factory: any MetricsFactory
  private let commits: Counter
  private let batches: Counter
  private let groupSize: Recorder
  private let appendTime: Timer
  private let applyTime: Timer
  private let applyLag: Recorder
  private let checkpoints: Counter
  private let failedCheckpoints: Counter
  private let checkpointTime: Timer
  private let rebuilds: Counter
  private let refusedRebuilds: Counter
  private let swaps: Counter
  private let rollbacks: Counter
  private let poisonings: Counter
  private let fullDisks: Counter
  private let overloads: Counter
  private let searchTime: Timer
  private let searchHops: Recorder
  private let corruptions: Counter
  private let scrubbed: Counter
  private let scrubPasses: Counter
  private let puts: Counter
  private let gets: Counter
  private let lists: Counter
  private let deletes: Counter
  private let sentBytes: Counter
  private let receivedBytes: Counter

  /// Metrics go to the configuration's factory, with its dimensions.
  init(_ configuration: DatabaseConfiguration) {
    let dimensions = configuration.metricsDimensions
    let factory = configuration.metricsFactory
    self.dimensions = dimensions
    self.factory = factory
    func counter(_ label: String, _ own: [(String, String)] = []) -> Counter {
      Counter(label: label, dimensions: dimensions + own, factory: factory)
    }
    func requests(_ kind: String) -> Counter {
      counter("vecdb_repository_requests_total", [("kind", kind)])
    }
    func recorder(_ label: String) -> Recorder {
      Recorder(label: label, dimensions: dimensions, aggregate: true, factory: factory)
    }
    func timer(_ label: String) -> Timer {
      Timer(
        label: label, dimensions: dimensions, preferredDisplayUnit: .seconds, factory: factory)
    }
    commits = counter("vecdb_commit_groups_total")
    batches = counter("vecdb_batches_total")
    groupSize = recorder("vecdb_commit_group_batches")
    appendTime = timer("vecdb_log_append_seconds")
    applyTime = timer("vecdb_apply_seconds")
    applyLag = recorder("vecdb_apply_lag_batches")
    checkpoints = counter("vecdb_checkpoints_total")
    failedCheckpoints = counter("vecdb_checkpoints_failed_total")
    checkpointTime = timer("vecdb_checkpoint_seconds")
    rebuilds = counter("vecdb_rebuilds_begun_total")
    refusedRebuilds = counter("vecdb_rebuilds_refused_total")
    swaps = counter("vecdb_rebuilds_swapped_total")
    rollbacks = counter("vecdb_rebuilds_rolled_back_total")
    poisonings = counter("vecdb_poisoned_total")
    fullDisks = counter("vecdb_disk_full_total")
    overloads = counter("vecdb_overloaded_total")
    searchTime = timer("vecdb_search_seconds")
    searchHops = recorder("vecdb_search_hops")
    corruptions = counter("vecdb_corruption_found_total")
    scrubbed = counter("vecdb_scrub_bytes_total")
    scrubPasses = counter("vecdb_scrub_passes_total")
    puts = requests("put")
    gets = requests("get")
    lists = requests("list")
    deletes = requests("delete")
    sentBytes = counter("vecdb_repository_sent_bytes_total")
    receivedBytes = counter("vecdb_repository_received_bytes_total")
  }

  private func gauge(_ label: String, of collection: String) -> Gauge {
    Gauge(
      label: label, dimensions: dimensions + [("collection", collection)], factory: factory)
  }

  /// A mean of the last appends that nothing disturbed.
  private struct Calm {
    var appendNanoseconds: Double?
    var disturbances = 0

    mutating func add(_ nanoseconds: UInt64) {
      guard disturbances == 0 else { return }
      let new = Double(nanoseconds)
      appendNanoseconds = appendNanoseconds.map { $0 * 0.95 + new * 0.05 } ?? new
    }
  }

  /// All figures of this moment.
  var now: ActivityStats {
    var result = activity.withLock { $0 }
    for counters in searches { counters.add(to: &result) }
    return result
  }

  // MARK: Writing

  func appended(batchCount: Int, nanoseconds: UInt64) {
    commits.increment()
    batches.increment(by: batchCount)
    groupSize.record(batchCount)
    applyLag.record(batchCount)
    appendTime.recordNanoseconds(Int64(clamping: nanoseconds))
    calm.withLock { $0.add(nanoseconds) }
    activity.withLock { activity in
      activity.commitGroups += 1
      activity.batches += batchCount
      activity.largestGroup = max(activity.largestGroup, batchCount)
      activity.logAppend.add(nanoseconds)
      activity.applyLag += batchCount
    }
  }

  /// What an append takes of late while no backup disturbs it; nil before the first.
  var undisturbedAppendSeconds: Double? { calm.withLock { $0.appendNanoseconds.map { $0 / 1e9 } } }

  /// Until `endedDisturbance`, appends do not tell what they take undisturbed.
  func beganDisturbance() { calm.withLock { $0.disturbances += 1 } }

  func endedDisturbance() { calm.withLock { $0.disturbances -= 1 } }

  func applied(nanoseconds: UInt64) {
    applyTime.recordNanoseconds(Int64(clamping: nanoseconds))
    activity.withLock { $0.apply.add(nanoseconds) }
  }

  /// Everything that is in the log is visible.
  func published() {
    applyLag.record(0)
    activity.withLock { $0.applyLag = 0 }
  }

  func wrote(_ report: CheckpointReport) {
    checkpoints.increment()
    checkpointTime.recordSeconds(report.seconds)
    activity.withLock { $0.checkpoint.add(UInt64(max(0, report.seconds) * 1e9)) }
  }

  func failedCheckpoint() {
    failedCheckpoints.increment()
    activity.withLock { $0.failedCheckpoints += 1 }
  }

  func poisoned() {
    poisonings.increment()
    activity.withLock { $0.poisonings += 1 }
  }

  // MARK: Repositories

  /// A backup or a pass of the archive has asked this of an object store.
  func requested(_ counts: RequestCounts) {
    puts.increment(by: counts.puts)
    gets.increment(by: counts.gets)
    lists.increment(by: counts.lists)
    deletes.increment(by: counts.deletes)
    sentBytes.increment(by: counts.bytesSent)
    receivedBytes.increment(by: counts.bytesReceived)
  }

  // MARK: Rebuilds

  func proposed(rebuilding collection: String, isWorthIt: Bool) {
    gauge("vecdb_rebuild_proposed", of: collection).record(isWorthIt ? 1 : 0)
  }

  func beganRebuild() { rebuilds.increment() }

  func refusedRebuild() { refusedRebuilds.increment() }

  func swapped() { swaps.increment() }

  func rolledBack() { rollbacks.increment() }

  func refusedForSpace() {
    fullDisks.increment()
    activity.withLock { $0.diskFull += 1 }
  }

  func overloaded() {
    overloads.increment()
    activity.withLock { $0.overloads += 1 }
  }

  // MARK: Reading

  /// Any thread. Costs a few relaxed additions; threads are spread over several counters. Returns
  /// the nanoseconds that the search took.
  func searched(since start: DispatchTime, hops: Int, distances: Int) -> UInt64 {
    let elapsed = start.elapsedNanoseconds
    searchTime.recordNanoseconds(Int64(clamping: elapsed))
    searchHops.record(hops)
    // Threads have their handles in different pages.
    let shard = Int(truncatingIfNeeded: UInt(pthread_self()) >> 12) & 7
    searches[shard].add(elapsed, hops: hops, distances: distances)
    return elapsed
  }

  func measured(_ canaries: CanaryReport) {
    for entry in canaries.collections {
      gauge("vecdb_canary_recall", of: entry.collection).record(entry.recall)
      activity.withLock { $0.canaryRecall[entry.collection] = entry.recall }
    }
  }

  /// Also the gauges by which a poor index is noticed from outside.
  func measured(_ health: CollectionHealth) {
    let collection = health.collection
    gauge("vecdb_search_recall", of: collection).record(health.recall)
    gauge("vecdb_index_recall", of: collection).record(health.indexRecall)
    gauge("vecdb_index_good", of: collection).record(health.isGood ? 1 : 0)
    activity.withLock { $0.canaryRecall[health.collection] = health.indexRecall }
  }

  // MARK: Damage

  func foundCorruption(_ count: Int = 1) {
    guard count > 0 else { return }
    corruptions.increment(by: count)
    activity.withLock { $0.corruptions += count }
  }

  func scrubbed(bytes: Int) {
    scrubbed.increment(by: bytes)
    activity.withLock { $0.scrub.bytesChecked += bytes }
  }

  /// A scrub's finding. Returns whether it is new.
  func scrubFound(_ problem: String) -> Bool {
    let isNew = activity.withLock { activity in
      guard !activity.scrub.problems.contains(problem) else { return false }
      if activity.scrub.problems.count < 64 { activity.scrub.problems.append(problem) }
      return true
    }
    if isNew { foundCorruption() }
    return isNew
  }

  /// A pass ended with these findings.
  func scrubPassed(_ problems: [String], timeMilliseconds: Int64) {
    scrubPasses.increment()
    activity.withLock { activity in
      activity.scrub.passes += 1
      activity.scrub.lastPassMilliseconds = timeMilliseconds
      activity.scrub.problems = Array(problems.prefix(64))
    }
  }
}

/// Counters that a few threads share.
private final class SearchCounters: Sendable {
  private let count = Atomic(0)
  private let nanoseconds = Atomic(0)
  private let maximum = Atomic(0)
  private let hops = Atomic(0)
  private let distances = Atomic(0)

  func add(_ elapsed: UInt64, hops: Int, distances: Int) {
    let elapsed = Int(clamping: elapsed)
    count.add(1, ordering: .relaxed)
    nanoseconds.add(elapsed, ordering: .relaxed)
    self.hops.add(hops, ordering: .relaxed)
    self.distances.add(distances, ordering: .relaxed)
    if elapsed > maximum.load(ordering: .relaxed) { maximum.max(elapsed, ordering: .relaxed) }
  }

  func add(to activity: inout ActivityStats) {
    activity.search.count += count.load(ordering: .relaxed)
    activity.search.totalSeconds += Double(nanoseconds.load(ordering: .relaxed)) / 1e9
    activity.search.maximumSeconds = max(
      activity.search.maximumSeconds, Double(maximum.load(ordering: .relaxed)) / 1e9)
    activity.searchHops += hops.load(ordering: .relaxed)
    activity.searchDistances += distances.load(ordering: .relaxed)
  }
}

extension TimingStats {
  fileprivate mutating func add(_ nanoseconds: UInt64) {
    let seconds = Double(nanoseconds) / 1e9
    count += 1
    totalSeconds += seconds
    maximumSeconds = max(maximumSeconds, seconds)
  }
}
