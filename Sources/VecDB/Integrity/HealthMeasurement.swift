import VecDBBytes
import VecDBIndex

/// Measures what a collection's searches find, and the cheapest that makes up for a lack.
enum HealthMeasurement {
  /// What searches that name no effort use at most.
  private static let effortLimit = 512
  /// Components that a search may compare when nothing else helps: about 25 ms.
  private static let scanComponents = 128_000_000
  private static let k = 10

  /// Measures, and has searches make up for what is missing.
  static func measure(_ runtime: CollectionRuntime, queries: Int) throws -> CollectionHealth {
    try runtime.health.inTurn {
      let serving = runtime.generation
      let health = try judge(serving.index, runtime, queries: queries)
      runtime.health.note(health, of: serving.index, number: serving.number)
      return health
    }
  }

  /// Measures what searches find, and what is the cheapest that makes up for a lack.
  private static func judge(
    _ index: IndexGeneration, _ runtime: CollectionRuntime, queries: Int
  ) throws -> CollectionHealth {
    let usual = SearchOptions.defaultEfSearch
    var samples = [
      FreshQueries.leftOut(index, count: queries),
      FreshQueries.recent(index, count: queries / 2),
    ]
    let asked = runtime.reservoir.vectors
    if asked.count >= 32 { samples.append(FreshQueries.asked(Array(asked.prefix(queries)))) }
    for number in samples.indices { try samples[number].answer(index, k: k) }
    /// Of the kind of queries that fares worst.
    func recall(_ efSearch: Int, on walk: IndexGeneration.Compensation) throws -> Double {
      try samples.map { sample in
        try sample.recall(index, k: k, efSearch: efSearch, compensation: walk).mean
      }.min() ?? 1
    }
    let own = try recall(usual, on: .none)
    let view = index.view()
    var health = CollectionHealth(
      collection: runtime.definition.name, recall: own, indexRecall: own,
      queries: samples.reduce(0) { $0 + $1.queries.count }, efSearch: usual,
      compensation: .none, mayGain: runtime.mayBePoor, records: runtime.count, lsn: view.lsn)
    guard own < CollectionHealth.floor else { return health }
    let walks: [(IndexGeneration.Compensation, CollectionHealth.Compensation)] = [
      (.none, .none), (.rows, .vectors),
    ]
    for (walk, compensation) in walks
    where walk == .none || !index.usesRows && index.parameters.metric != .hamming {
      var efSearch = walk == .none ? usual * 3 / 2 : usual
      while efSearch <= effortLimit {
        let found = try recall(efSearch, on: walk)
        if found > health.recall {
          (health.recall, health.efSearch, health.compensation) = (found, efSearch, compensation)
        }
        if found >= CollectionHealth.floor { return health }
        efSearch = efSearch * 3 / 2
      }
    }
    if view.slotCount * index.parameters.dimensions <= scanComponents {
      (health.recall, health.efSearch, health.compensation) = (1, usual, .scan)
    }
    return health
  }
}

extension CollectionRuntime {
  /// Whether the index has 8-bit codes that nothing measured while it grew: those of version 0.1,
  /// and those that were asked for.
  var mayBePoor: Bool {
    options.codes == .bytes && definition.metric != .hamming && index.graphSlotCount > 0
  }

  /// Whether a measurement takes less than about 0.2 s of one core.
  var isCheapToMeasure: Bool {
    index.assignedSlotCount * definition.dimensions <= 20_000_000
  }
}

extension Engine {
  /// Measures a collection's health, and tells whoever looks at metrics.
  func health(of runtime: CollectionRuntime, _ queries: Int) throws -> CollectionHealth {
    let health = try HealthMeasurement.measure(
      runtime, queries: Canaries.affordableQueries(runtime, min(32, queries)...max(32, queries)))
    telemetry.measured(health)
    return health
  }
}
