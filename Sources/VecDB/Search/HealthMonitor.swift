import Synchronization
import VecDBBytes
import VecDBIndex

/// The health of one collection: measured now and then, kept, and acted on at once.
///
/// Where the index falls short of the floor, searches make up for it from then on: those that name
/// no effort walk wider; where that is not enough the walk goes over the float32 vectors; and where
/// that is not enough either, and comparing all records takes no longer than a slow search may,
/// every record is compared.
final class HealthMonitor: Sendable {
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

  /// What was measured last, if it was of this generation; nil before that.
  func known(for generation: UInt32) -> CollectionHealth? {
    self.generation.withLock { $0 } == generation ? last.withLock { $0 } : nil
  }

  /// Has one thread measure at a time; others wait for it.
  func inTurn<Value>(_ body: () throws -> Value) rethrows -> Value {
    try turn.withLock { _ in try body() }
  }

  /// Has searches make up for what is missing.
  func note(_ health: CollectionHealth, of index: IndexGeneration, number: UInt32) {
    switch health.compensation {
    case .none: index.compensation = .none
    case .vectors: index.compensation = .rows
    case .scan: index.compensation = .scan
    }
    effort.store(health.efSearch, ordering: .relaxed)
    last.withLock { $0 = health }
    generation.withLock { $0 = number }
    poor.store(!health.isGood, ordering: .releasing)
    measured.store(true, ordering: .releasing)
  }

  /// Another generation serves: what was measured of the last one says nothing of it.
  func forget() {
    generation.withLock { $0 = nil }
    measured.store(false, ordering: .releasing)
    poor.store(false, ordering: .releasing)
    effort.store(SearchOptions.defaultEfSearch, ordering: .relaxed)
  }
}
