import VecDB

/// Writes metrics as Prometheus reads them.
struct MetricsPage {
  private(set) var text = ""

  typealias Sample = (labels: [(String, String)], value: Double)

  mutating func gauge(_ name: String, _ help: String, _ value: Double) {
    gauge(name, help, [([], value)])
  }

  mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
    write(name, "gauge", help, samples)
  }

  /// The name ends with `_total`.
  mutating func counter(_ name: String, _ help: String, _ value: Int) {
    write(name, "counter", help, [([], Double(value))])
  }

  /// How often something was done and how long it took, as a summary without quantiles.
  mutating func summary(_ name: String, _ help: String, _ timing: TimingStats) {
    header(name, "summary", help)
    text += "vecdb_\(name)_sum \(timing.totalSeconds)\nvecdb_\(name)_count \(timing.count)\n"
  }

  private mutating func header(_ name: String, _ type: String, _ help: String) {
    text += "# HELP vecdb_\(name) \(help)\n# TYPE vecdb_\(name) \(type)\n"
  }

  private mutating func write(
    _ name: String, _ type: String, _ help: String, _ samples: [Sample]
  ) {
    guard !samples.isEmpty else { return }
    header(name, type, help)
    for (labels, value) in samples {
      let written = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
      text += "vecdb_\(name)\(written.isEmpty ? "" : "{\(written)}") \(Self.number(value))\n"
    }
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    guard value == value.rounded(), abs(value) < 1e15 else { return "\(value)" }
    return "\(Int64(value))"
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
  }
}

extension MetricsPage {
  init(_ status: NodeStatus, _ activity: ActivityStats?, _ health: [CollectionHealth] = []) {
    func flag(_ value: Bool?) -> Double { value == true ? 1 : 0 }
    gauge("is_primary", "1 on the primary", flag(status.role == .primary))
    gauge("writable", "1 while the node accepts writes", flag(status.isWritable))
    gauge("epoch", "Counter of the current epoch", Double(status.epoch))
    gauge("lsn", "Last searchable LSN", Double(status.lsn))
    gauge("checkpoint_lsn", "LSN of the newest checkpoint", Double(status.checkpointLSN))
    gauge("alarms", "Problems that need an operator", Double(status.alarms.count))
    gauge("poisoned", "1 while a failed write stops all writing", flag(status.isPoisoned))
    gauge("degraded", "1 while the primary acknowledges without replicas", flag(status.isDegraded))
    counter(
      "degraded_writes_total", "Writes acknowledged without replicas", status.degradedWrites)
    gauge("waiting_writes", "Writes that wait for replicas", Double(status.waitingWrites))
    gauge(
      "needed_replicas", "Replicas that a write waits for; 0 is asynchronous",
      Double(status.acknowledgement?.needed ?? 0))
    counter("refused_connections_total", "Connections that the node refused", status.refusals)
    counter("reopenings_total", "Times the database was opened again", status.reopenings ?? 0)
    gauge("fetching_copy", "1 while the node fetches a copy", flag(status.isFetching))
    gauge(
      "fetched_bytes", "Bytes of the copy fetched so far", Double(status.fetchedBytes ?? 0))
    gauge(
      "fetch_size_bytes", "Size of the copy that the node fetches",
      Double(status.fetchTotalBytes ?? 0))
    if let expires = status.certificateExpires {
      gauge(
        "certificate_expires_seconds", "When the node's certificate expires, seconds since 1970",
        Double(expires))
    }
    gauge("followers", "Nodes that follow this one", Double(status.followers.count))
    gauge(
      "follower_lag_lsn", "Batches that a replica is behind",
      status.followers.map { ([("follower", $0.name)], Double($0.lagLSN)) })
    gauge(
      "follower_lag_bytes", "Bytes of log that a replica is behind",
      status.followers.map { ([("follower", $0.name)], Double($0.lagBytes)) })
    if status.role == .follower {
      gauge("connected", "1 while the node hears the primary", flag(status.isConnected))
      gauge("lag_lsn", "Batches behind the primary", Double(status.lagLSN ?? 0))
      gauge("lag_bytes", "Bytes of log behind the primary", Double(status.lagBytes ?? 0))
      gauge(
        "lag_seconds", "Seconds behind the primary; NaN if the node has never heard it",
        status.lagSeconds ?? .nan)
    }
    if let activity { add(activity) }
    let measured = health.sorted { $0.collection < $1.collection }
    func samples(_ value: (CollectionHealth) -> Double) -> [Sample] {
      measured.map { ([("collection", $0.collection)], value($0)) }
    }
    gauge("search_recall", "Recall of searches, including compensation", samples(\.recall))
    gauge("index_recall", "Recall of the index alone", samples(\.indexRecall))
    gauge(
      "index_good", "1 if the index reaches the floor by itself", samples { $0.isGood ? 1 : 0 })
  }

  /// What the engine tells through swift-metrics as well.
  private mutating func add(_ activity: ActivityStats) {
    counter("commit_groups_total", "Transactions of the log", activity.commitGroups)
    counter("batches_total", "Batches written", activity.batches)
    summary("log_append_seconds", "Writing a group to the log and syncing it", activity.logAppend)
    summary("apply_seconds", "Applying a group to the index", activity.apply)
    counter("checkpoints_total", "Checkpoints written", activity.checkpoint.count)
    counter("checkpoints_failed_total", "Checkpoints failed", activity.failedCheckpoints)
    summary("checkpoint_seconds", "Writing a checkpoint", activity.checkpoint)
    summary("search_seconds", "Searches", activity.search)
    counter("search_hops_total", "Nodes that searches expanded", activity.searchHops)
    gauge("queued_bytes", "Bytes of writes that wait for the writer", Double(activity.queuedBytes))
    counter("disk_full_total", "Writes refused because the disk was full", activity.diskFull)
    counter("overloaded_total", "Writes refused because the queue was full", activity.overloads)
    counter("poisoned_total", "Failures that stopped all writing", activity.poisonings)
    counter("corruption_found_total", "Damage found", activity.corruptions)
    counter("scrub_bytes_total", "Bytes that the scrub has read", activity.scrub.bytesChecked)
    counter("scrub_passes_total", "Passes of the scrub", activity.scrub.passes)
    gauge(
      "canary_recall", "Recall of the last canary queries",
      activity.canaryRecall.sorted { $0.key < $1.key }.map { ([("collection", $0.key)], $0.value) })
  }
}
