import VecDB

/// Searches at several settings of efSearch, with recall by distance and the median of some rounds.
struct EffortSweep {
  struct Point {
    var ef: Int
    var recall: Double
    var queriesPerSecond: Double
    /// Per second of the searching thread's processor time.
    var queriesPerCPUSecond: Double
    /// Resident memory after this setting's searches.
    var residentBytes: Int
    var anonymousBytes: Int
    /// Resident pages of float vectors, a part of `residentBytes`.
    var vectorBytes: Int
    /// Queries that got fewer hits than there are matching records, up to k.
    var short: Int
    var plan: String
  }

  let collection: VectorCollection
  let queries: [[Float]]
  let k: Int
  let rounds: Int
  var filter: Filter?
  var vectorBytes: () -> Int = { 0 }

  /// The distance of the true k-th neighbour of each query. Reads every vector.
  func radii() throws -> [Float] {
    try queries.map {
      try collection.search($0, k: k, options: SearchOptions(filter: filter, exact: true))
        .hits.last?.distance ?? -.infinity
    }
  }

  /// The points up to the first that reaches `enough`. Exact answers are looked up last, since they
  /// fill the memory with vectors: `beforeExact` is the moment to look at it.
  func run(_ efforts: [Int], enough: Double, beforeExact: () -> Void = {}) throws -> [Point] {
    struct Time {
      var ef: Int
      var seconds: Double
      var cpuSeconds: Double
      var residentBytes: Int
      var anonymousBytes: Int
      var vectorBytes: Int
      var distances: [[Float]]
      var plan: String
    }
    var times: [Time] = []
    for ef in efforts {
      let options = SearchOptions(efSearch: ef, filter: filter)
      var seconds: [Double] = []
      var cpuSeconds: [Double] = []
      var found: [SearchResult] = []
      for _ in 0..<rounds {
        found.removeAll(keepingCapacity: true)
        let start = ContinuousClock.now
        let startCPU = ProcessorClock.threadSeconds
        for query in queries {
          found.append(try collection.search(query, k: k, options: options))
        }
        seconds.append((ContinuousClock.now - start).inSeconds)
        cpuSeconds.append(ProcessorClock.threadSeconds - startCPU)
      }
      times.append(
        Time(
          ef: ef, seconds: median(seconds), cpuSeconds: median(cpuSeconds),
          residentBytes: ProcessMemory.residentBytes,
          anonymousBytes: ProcessMemory.anonymousBytes, vectorBytes: vectorBytes(),
          distances: found.map { $0.hits.map(\.distance) }, plan: found.first?.plan.rawValue ?? ""))
    }
    beforeExact()
    let radii = try radii()
    let wanted = try min(k, filter.map { try collection.count(where: $0) } ?? collection.count)
    var points: [Point] = []
    for time in times {
      var hits = 0
      var short = 0
      for (distances, radius) in zip(time.distances, radii) {
        hits += distances.count { $0 <= radius }
        if distances.count < wanted { short += 1 }
      }
      points.append(
        Point(
          ef: time.ef, recall: Double(hits) / Double(max(1, queries.count * wanted)),
          queriesPerSecond: Double(queries.count) / time.seconds,
          queriesPerCPUSecond: Double(queries.count) / time.cpuSeconds,
          residentBytes: time.residentBytes, anonymousBytes: time.anonymousBytes,
          vectorBytes: time.vectorBytes,
          short: short, plan: time.plan))
      if let last = points.last, last.recall >= enough { break }
    }
    return points
  }
}
