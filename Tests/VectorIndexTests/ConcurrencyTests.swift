import Dispatch
import Foundation
import Synchronization
import Testing
import VectorIndex

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
