import Dispatch
import Foundation
import Synchronization
import Testing
import VecDBIndex

/// Meant for `swift test -c release --sanitize=thread` too.
@Suite struct ConcurrencyTests {
  @Test(arguments: [IndexParameters.Metric.l2, .cosine])
  func readersBesideTheWriter(metric: IndexParameters.Metric) throws {
    let dimensions = 8
    let parameters = try IndexParameters(
      dimensions: dimensions, metric: metric, degree: 6, efConstruction: 24)
    let index = try IndexGeneration(parameters: parameters, options: IndexOptions(threads: 2))
    var log = TestLog(seed: 41) { _, random in
      (0..<dimensions).map { _ in metric == .l2 ? Float(random.below(256)) : random.normal() }
    }
    log.append(births: 300)
    log.appendMixture(records: 4_000)
    let batches = log.batches
    // For every LSN: which slots are visible then.
    var liveCounts = [0]
    for batch in batches {
      liveCounts.append((liveCounts.last ?? 0) + batch.births.count - batch.deaths.count)
    }
    let counts = liveCounts
    let shared = Shared()
    onThreads(4) { thread in
      switch thread {
      case 0:
        defer { shared.isDone.store(true, ordering: .releasing) }
        for batch in batches {
          guard
            (try? index.apply(lsn: batch.lsn, deaths: batch.deaths, births: batch.births)) != nil
          else {
            shared.failures.wrappingAdd(1, ordering: .relaxed)
            return
          }
          index.publish(lsn: batch.lsn)
        }
      case 1:
        // The checkpoint thread's part needs a quiet writer to begin; here it only looks.
        while !shared.isDone.load(ordering: .acquiring) {
          let view = index.view()
          let selection = index.columnSelection(field: Array("group".utf8), at: view) {
            $0?.first == UInt8(ascii: "3")
          }
          if !selection.undecided.isEmpty { shared.failures.wrappingAdd(1, ordering: .relaxed) }
          selection.matching.visit { slot in
            if slot % 7 != 3 { shared.failures.wrappingAdd(1, ordering: .relaxed) }
          }
        }
      default:
        var random = TestRandom(seed: UInt64(thread))
        while !shared.isDone.load(ordering: .acquiring) {
          let view = index.view()
          let query = (0..<dimensions).map { _ in Float(1 + random.below(255)) }
          guard let outcome = try? index.search(query, k: 10, ef: 20, at: view) else {
            shared.failures.wrappingAdd(1, ordering: .relaxed)
            return
          }
          let isRight =
            outcome.hits.count == min(10, counts[Int(view.lsn)])
            && outcome.hits.allSatisfy { hit in
              index.isVisible(Int(hit.slot), in: view) && index.key(Int(hit.slot)) != nil
                && index.vector(Int(hit.slot)) != nil
            }
          if !isRight { shared.failures.wrappingAdd(1, ordering: .relaxed) }
          shared.searches.wrappingAdd(1, ordering: .relaxed)
        }
      }
    }
    #expect(shared.failures.load(ordering: .relaxed) == 0)
    #expect(shared.searches.load(ordering: .relaxed) > 0)
    #expect(index.checkInvariants() == [])
    let quiet = try IndexGeneration(parameters: parameters)
    try quiet.replay(batches)
    #expect(quiet.graphDigest() == index.graphDigest())
  }

  @Test func snapshotBesideTheWriter() throws {
    let log = CheckpointTests.log(records: 6_000, seed: 17)
    let index = try IndexGeneration(
      parameters: CheckpointTests.parameters.get(), options: IndexOptions(threads: 2))
    let half = log.batches.count / 2
    try index.replay(log.batches[..<half])
    let frozen = index.graphDigest()
    let snapshot = index.beginCheckpoint()
    let store = TestStoreBox()
    let rest = Array(log.batches[half...])
    onThreads(2) { thread in
      if thread == 0 {
        try? index.replay(rest)
      } else {
        try? store.store.take(snapshot)
      }
    }
    snapshot.finish()
    let opened = try store.store.open().graphDigest()
    #expect(opened == frozen)
    #expect(index.appliedLSN == UInt64(log.batches.count))
  }
}

extension ConcurrencyTests {
  /// However long a reader takes: what was alive when it began stays for it until it is done.
  @Test func whatIsFreedStaysForThoseWhoBeganBefore() throws {
    let parameters = try IndexParameters(dimensions: 8, metric: .l2)
    let index = try IndexGeneration(parameters: parameters)
    var log = TestLog(seed: 43) { _, random in (0..<8).map { _ in random.normal() } }
    log.append(births: 1_500)
    try index.replay(log.batches)
    let (hasBegun, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let shared = Shared()
    onThreads(2) { thread in
      if thread == 0 {
        index.reading {
          let view = index.view()
          hasBegun.signal()
          mayGoOn.wait()
          let query = [Float](repeating: 0, count: 8)
          let hits = try? index.exactSearch(query, k: 1_500, at: view).hits
          shared.searches.store(hits?.count ?? 0, ordering: .releasing)
        }
      } else {
        hasBegun.wait()
        _ = try? index.apply(lsn: 2, deaths: Array(1..<1_000), births: [])
        index.publish(lsn: 2)
        index.maintain(lsn: 3, .repair(0..<1_500))
        // Either the writer waits, or it is through with it long before.
        DispatchQueue.global().asyncAfter(deadline: .now() + 0.2) { mayGoOn.signal() }
        index.maintain(lsn: 4, .collect)
      }
    }
    #expect(shared.searches.load(ordering: .acquiring) == 1_500)
    #expect(index.freeSlotCount > 900)
    #expect(index.checkInvariants() == [])
  }
}

/// Runs `body` on as many threads of their own, whatever the number of processors.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for number in 0..<count {
    group.enter()
    Thread {
      body(number)
      group.leave()
    }.start()
  }
  group.wait()
}

/// Used by one thread, then by the one that waited for it.
private final class TestStoreBox: @unchecked Sendable { let store = TestStore() }

private final class Shared: Sendable {
  let isDone = Atomic<Bool>(false)
  let searches = Atomic<Int>(0)
  let failures = Atomic<Int>(0)
}
