import ArgumentParser
import FoundationEssentials
import Synchronization
import VecDB

/// Latency of searches on one thread: alone, while another inserts, during a backup, and during both;
/// and the rate of the inserts with and without the backup.
struct Mixed: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Search p50 and p99 idle, under full-speed inserts and during a backup; insert rates."
  )

  @Option(help: "Records before the inserts begin.") var count = 20_000
  @Option(help: "Components of a vector.") var dimensions = 128
  @Option(help: "Intrinsic dimension of the generated vectors.") var intrinsic = 16
  @Option(help: "efSearch.") var ef = 64
  @Option(help: "Seconds of searching per phase.") var seconds = 3.0
  @Option(help: "Records per batch of the inserts; the next begins when one is durable.")
  var batch = 100
  @Option(help: "Threads that build the index.") var buildThreads = 1
  @Option(help: "Rounds, better even; the median of the percentiles counts.") var rounds = 4
  @Option(help: "Bytes a second that the backups send at most; 0 for no limit.")
  var backupLimit = 0
  @Option(help: "Where to put the database.") var directory: String?

  private struct Latencies {
    var p50: [Double] = []
    var p99: [Double] = []
    var searches = 0
    var inserts: [Double] = []

    mutating func add(_ sorted: [Double]) {
      guard !sorted.isEmpty else { return }
      p50.append(sorted[sorted.count / 2])
      p99.append(sorted[sorted.count * 99 / 100])
      searches += sorted.count
    }
  }

  func validate() throws {
    guard count > 0, batch > 0, rounds > 0, seconds > 0 else {
      throw ValidationError("--count, --batch, --rounds and --seconds must be positive.")
    }
  }

  func run() async throws {
    try await withTemporaryDirectory(in: directory) { path in
      var configuration = DatabaseConfiguration()
      configuration.buildThreads = buildThreads
      let database = try await Database.open(at: path + "/db", configuration: configuration)
      let collection = try await database.createCollection(
        "c", dimensions: dimensions, metric: .l2)
      var generator = IntrinsicVectors(dimensions: dimensions, intrinsic: intrinsic)
      let queries = (0..<1000).map { _ in generator.next() }
      for chunk in stride(from: 0, to: count, by: 1000) {
        let records = (chunk..<min(chunk + 1000, count)).map {
          VectorRecord(key: String($0), vector: generator.next())
        }
        _ = try await collection.upsert(records)
      }
      var idle = Latencies()
      var inserting = Latencies()
      var backup = Latencies()
      var both = Latencies()
      // The phases in turn, and every second round backwards, so that slow moments of the machine and
      // the collection's growth, which makes inserts slower, meet all.
      for round in 0..<rounds {
        let phases: [() async throws -> Void] = [
          { idle.add(try search(collection, queries) { elapsed in elapsed >= seconds }) },
          {
            inserting = try await measure(inserting, collection, queries) { stop in
              try await insert(into: collection, round, until: stop)
            }
          },
          {
            backup = try await measure(backup, collection, queries, untilDone: true) { _ in
              // A repository of its own each time, so that all of it is sent.
              try await backups(of: database, to: "\(path)/repository-\(round)-", until: nil)
              return 0
            }
          },
          {
            both = try await measure(both, collection, queries) { stop in
              async let inserted = insert(into: collection, round + 1_000, until: stop)
              async let done: Void = backups(
                of: database, to: "\(path)/repository-\(round)+", until: stop)
              try await done
              return try await inserted
            }
          },
        ]
        for phase in round.isMultiple(of: 2) ? phases : phases.reversed() { try await phase() }
      }
      report(idle, inserting, backup, both, collection.count)
      try await database.close()
    }
  }

  /// A backup, or one after the other until told to stop, each into a repository of its own.
  private func backups(
    of database: Database, to prefix: String, until stop: StopFlag?
  ) async throws {
    var options = BackupOptions()
    options.bytesPerSecond = backupLimit > 0 ? backupLimit : nil
    var number = 0
    repeat {
      _ = try await database.backup(to: "\(prefix)\(number)", options: options)
      try FileManager.default.removeItem(atPath: "\(prefix)\(number)")
      number += 1
    } while stop?.isSet == false
  }

  /// Searches beside other work, which returns its rate of inserts: for some seconds, or until the
  /// work is done.
  private func measure(
    _ before: Latencies, _ collection: VectorCollection, _ queries: [[Float]],
    untilDone: Bool = false, _ work: @escaping @Sendable (StopFlag) async throws -> Double
  ) async throws -> Latencies {
    var latencies = before
    let stop = StopFlag()
    let done = StopFlag()
    let task = Task.detached {
      defer { done.set() }
      return try await work(stop)
    }
    do {
      latencies.add(
        try search(collection, queries) { elapsed in
          untilDone ? done.isSet : elapsed >= seconds || done.isSet
        })
    } catch {
      stop.set()
      _ = try? await task.value
      throw error
    }
    stop.set()
    latencies.inserts.append(try await task.value)
    return latencies
  }

  /// Inserts until told to stop, and returns how many a second.
  private func insert(
    into collection: VectorCollection, _ round: Int, until stop: StopFlag
  ) async throws -> Double {
    var generator = IntrinsicVectors(
      dimensions: dimensions, intrinsic: intrinsic, seed: UInt64(round) + 2)
    var inserted = 0
    let start = ContinuousClock.now
    while !stop.isSet {
      let records = (0..<batch).map {
        VectorRecord(key: "\(round)-\(inserted + $0)", vector: generator.next())
      }
      _ = try await collection.upsert(records)
      inserted += batch
    }
    // Not what a backup takes beyond the last insert.
    return Double(inserted) / (ContinuousClock.now - start).inSeconds
  }

  /// The seconds of each search, sorted.
  private func search(
    _ collection: VectorCollection, _ queries: [[Float]], until enough: (Double) -> Bool
  ) throws -> [Double] {
    let options = SearchOptions(efSearch: ef)
    var latencies: [Double] = []
    let start = ContinuousClock.now
    var now = start
    repeat {
      let query = queries[latencies.count % queries.count]
      let before = ContinuousClock.now
      _ = try collection.search(query, k: 10, options: options)
      now = ContinuousClock.now
      latencies.append((now - before).inSeconds)
    } while !enough((now - start).inSeconds)
    return latencies.sorted()
  }

  private func report(
    _ idle: Latencies, _ inserting: Latencies, _ backup: Latencies, _ both: Latencies,
    _ count: Int
  ) {
    print(
      "\(self.count) to \(count) records x \(dimensions), ef \(ef), one searching thread, "
        + "inserts in batches of \(batch), \(rounds) rounds\n")
    print("| phase | searches | p50 us | p99 us | p99 to idle | inserts/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    let phases = [
      ("idle", idle), ("inserting", inserting), ("backup", backup), ("inserting, backups", both),
    ]
    for (name, phase) in phases {
      let rate = name.hasPrefix("inserting") ? decimal(median(phase.inserts)) : "-"
      print(
        "| \(name) | \(phase.searches) | \(decimal(median(phase.p50) * 1e6)) "
          + "| \(decimal(median(phase.p99) * 1e6)) "
          + "| \(decimal(median(phase.p99) / median(idle.p99), 2)) | \(rate) |")
    }
    let share = median(both.inserts) / median(inserting.inserts) * 100
    print(
      "\nduring backups: p99 of searches \(decimal(median(backup.p99) / median(idle.p99), 2)) x idle, "
        + "inserts at \(decimal(share)) % of their rate without")
  }
}

/// Set once by one thread, seen by others.
final class StopFlag: Sendable {
  private let flag = Atomic(false)

  var isSet: Bool { flag.load(ordering: .acquiring) }

  func set() { flag.store(true, ordering: .releasing) }
}
