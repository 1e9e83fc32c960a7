import Bytes
import Synchronization
import VectorIndex

/// The health of one collection: measured now and then, kept, and acted on at once.
///
/// Where the index falls short of the floor, searches make up for it from then on: those that name
/// no effort walk wider; where that is not enough the walk goes over the float32 vectors; and where
/// that is not enough either, and comparing all records takes no longer than a slow search may,
/// every record is compared.
final class HealthMonitor: Sendable {
  /// What searches that name no effort use at most.
  private static let effortLimit = 512
  /// Components that a search may compare when nothing else helps: about 25 ms.
  private static let scanComponents = 128_000_000
  private static let k = 10

  private let last = Guarded<CollectionHealth?>(nil)
  private let generation = Guarded<UInt32?>(nil)
  private let turn = Guarded(())
  private let effort = Atomic<Int>(SearchOptions.defaultEfSearch)

  private let measured = Atomic<Bool>(false)
  private let poor = Atomic<Bool>(false)

  /// Whether the generation that serves was measured.
  var isMeasured: Bool { measured.load(ordering: .acquiring) }
  /// Whether it was found to fall short. For searches, which take no lock.
  var isPoor: Bool { poor.load(ordering: .acquiring) }

  /// The efSearch of searches that name none.
  var leastEffort: Int { effort.load(ordering: .relaxed) }

  /// What was measured last of the generation that serves; nil before that.
  func known(for runtime: CollectionRuntime) -> CollectionHealth? {
    generation.withLock { $0 } == runtime.generation.number ? last.withLock { $0 } : nil
  }

  /// Measures, and has searches make up for what is missing.
  func measure(_ runtime: CollectionRuntime, queries: Int) throws -> CollectionHealth {
    try turn.withLock { _ in try measureAlone(runtime, queries: queries) }
  }

  private func measureAlone(
    _ runtime: CollectionRuntime, queries: Int
  ) throws -> CollectionHealth {
    let serving = runtime.generation
    let index = serving.index
    let health = try Self.judge(index, runtime, queries: queries)
    switch health.compensation {
    case .none: index.compensation = .none
    case .vectors: index.compensation = .rows
    case .scan: index.compensation = .scan
    }
    effort.store(health.efSearch, ordering: .relaxed)
    let found = health
    last.withLock { $0 = found }
    generation.withLock { $0 = serving.number }
    poor.store(!health.isGood, ordering: .releasing)
    measured.store(true, ordering: .releasing)
    return health
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

  /// Another generation serves: what was measured of the last one says nothing of it.
  func forget() {
    generation.withLock { $0 = nil }
    measured.store(false, ordering: .releasing)
    poor.store(false, ordering: .releasing)
    effort.store(SearchOptions.defaultEfSearch, ordering: .relaxed)
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

extension Database {
  /// Measures every collection with fresh queries against exact answers, says what searches with
  /// default options find, and has searches make up for an index that falls short.
  ///
  /// - Parameter queries: of each collection at most; fewer, down to 32, where exact answers would
  ///   take long.
  /// Cost: an exact search for each query, on the calling thread.
  public func measureHealth(queries: Int = 100) throws -> [CollectionHealth] {
    try requireOpen()
    return try VecDBError.translating { try catalog.all.map { try engine.health(of: $0, queries) } }
  }
}

extension Engine {
  /// Measures a collection's health, and tells whoever looks at metrics.
  func health(of runtime: CollectionRuntime, _ queries: Int) throws -> CollectionHealth {
    let health = try runtime.health.measure(
      runtime, queries: Canaries.affordableQueries(runtime, min(32, queries)...max(32, queries)))
    telemetry.measured(health)
    return health
  }
}
