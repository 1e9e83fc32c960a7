import Dispatch
import Synchronization
import VecDB

/// What one setting of efSearch gives.
struct SearchPoint {
  var recall: Double
  var queriesPerSecond: Double
  var p50Microseconds: Double
  var p99Microseconds: Double
}

/// Searches a collection with all queries, in rounds, on one thread or several.
struct SearchMeasurement {
  let collection: VectorCollection
  let queries: [[Float]]
  let k: Int
  /// Per query, how far its true k-th neighbour is.
  let radii: [Double]
  let threads: Int
  let rounds: Int

  /// One unmeasured round, which tells the recall and warms caches, then the measured ones.
  func run(ef: Int) async throws -> SearchPoint {
    let options = SearchOptions(efSearch: ef)
    var recall = 0.0
    for (index, query) in queries.enumerated() {
      let hits = try collection.search(query, k: k, options: options).hits
      recall += Double(hits.count { isHit($0, index) }) / Double(min(k, max(1, collection.count)))
    }
    var rates: [Double] = []
    var latencies: [Double] = []
    for _ in 0..<rounds {
      let (seconds, microseconds) = try round(options)
      rates.append(Double(queries.count * threads) / seconds)
      latencies += microseconds
    }
    rates.sort()
    latencies.sort()
    return SearchPoint(
      recall: recall / Double(queries.count), queriesPerSecond: rates[rates.count / 2],
      p50Microseconds: latencies[latencies.count / 2],
      p99Microseconds: latencies[min(latencies.count - 1, latencies.count * 99 / 100)])
  }

  /// Rounding may put an equally near hit a little farther away than the truth's arithmetic does.
  private func isHit(_ hit: Hit, _ query: Int) -> Bool {
    let radius = radii[query]
    let slack = 1e-6 * (collection.metric == .cosine ? 1 + abs(radius) : abs(radius))
    return Double(hit.distance) <= radius + slack
  }

  /// Every thread goes through all queries, each from another place.
  private func round(_ options: SearchOptions) throws -> (Double, [Double]) {
    let results = Mutex<(latencies: [Double], error: (any Error)?)>(([], nil))
    let start = ContinuousClock.now
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      var latencies: [Double] = []
      latencies.reserveCapacity(queries.count)
      do {
        let first = thread * queries.count / threads
        var before = ContinuousClock.now
        for step in 0..<queries.count {
          let index = (first + step) % queries.count
          _ = try collection.search(queries[index], k: k, options: options)
          let after = ContinuousClock.now
          latencies.append((after - before).inSeconds * 1e6)
          before = after
        }
        results.withLock { $0.latencies += latencies }
      } catch {
        results.withLock { $0.error = error }
      }
    }
    let seconds = (ContinuousClock.now - start).inSeconds
    return try results.withLock { state in
      if let error = state.error { throw error }
      return (seconds, state.latencies)
    }
  }
}
