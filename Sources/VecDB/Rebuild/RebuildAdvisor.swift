import Bytes
import Metrics
import VectorIndex

/// Whether a database rebuilds an index by itself when that is worth it.
public enum RebuildPolicy: String, Sendable, Hashable, Codable, CaseIterable {
  case off
  /// Says so, with the reason: in the log, as the metric `vecdb_rebuild_proposed`, and in
  /// `rebuildStatus`.
  case suggest
  /// Begins it, with the parameters that the index has and the default gate and budget.
  case on
}

/// What is measured of an index to tell whether a rebuild is worth it.
package struct RebuildFacts: Sendable, Hashable {
  /// Nodes of the graph, and those of them that are dead.
  package var nodes = 0
  package var deadNodes = 0
  /// Components outside the range of the codes, of all `components` since training.
  package var clipped: UInt64 = 0
  package var components: UInt64 = 0
  /// Canary recall now and when this generation was first measured; nil where it was not.
  package var recall: Double?
  package var firstRecall: Double?

  package init() {}

  /// Why a rebuild is worth it; nil if it is not.
  package var reason: String? {
    if let recall, let firstRecall, recall < firstRecall - Self.recallDrift {
      return "canary recall fell from \(RebuildJudge.text(firstRecall)) to "
        + RebuildJudge.text(recall)
    }
    if deadNodes >= Self.leastDeadNodes, deadNodes * 100 >= nodes * Self.deadPercent {
      return "\(deadNodes) of \(nodes) nodes of the graph are dead"
    }
    if components > 0, Double(clipped) > Double(components) * Self.clippedShare {
      return "\(clipped) of \(components) components lie outside the range that the codes were "
        + "trained for"
    }
    return nil
  }

  package static let recallDrift = 0.02
  package static let deadPercent = 30
  package static let leastDeadNodes = 1_000
  package static let clippedShare = 0.01
}

/// Tells when a rebuild is worth it, and remembers what it said.
final class RebuildAdvisor: Sendable {
  /// Between two looks.
  static let periodSeconds = 300
  private static let queries = 64

  private struct Known: Sendable {
    var generation: UInt32
    var firstRecall: Double?
    /// Recall is measured again when the collection has changed by a tenth.
    var recall: Double?
    var measuredSlots = 0
    var proposal: String?
  }

  let policy: RebuildPolicy
  private let known = Guarded<[UInt32: Known]>([:])

  init(policy: RebuildPolicy) { self.policy = policy }

  /// What was proposed last, if it still holds.
  func proposal(for runtime: CollectionRuntime) -> String? {
    known.withLock { $0[runtime.id] }.flatMap {
      $0.generation == runtime.generation.number ? $0.proposal : nil
    }
  }

  /// Looks at a collection, and says and returns why it should be rebuilt. Never to be called on
  /// the writer.
  func advise(
    _ runtime: CollectionRuntime, _ queue: WriteQueue, _ engine: Engine
  ) throws -> String? {
    guard runtime.rebuilds.withLock({ $0.state }) == nil else { return nil }
    let generation = runtime.generation
    let index = generation.index
    var facts = try queue.exclusivelyBlocking { _ in
      var facts = RebuildFacts()
      facts.nodes = index.graphSlotCount
      facts.deadNodes = index.deadNodeCount
      facts.clipped = index.clippedCount
      facts.components =
        index.quantizer == nil
        ? 0 : UInt64(index.assignedSlotCount) * UInt64(index.parameters.dimensions)
      return facts
    }
    var now = known.withLock { $0[runtime.id] } ?? Known(generation: generation.number)
    if now.generation != generation.number { now = Known(generation: generation.number) }
    let slots = index.assignedSlotCount + index.deadSlotCount
    if facts.nodes > 0, slots * 10 > now.measuredSlots * 11 || now.recall == nil {
      let entry = try Canaries.measure(
        runtime, queries: Self.queries, k: 10, efSearch: SearchOptions.defaultEfSearch)
      now.recall = entry.recall
      now.firstRecall = now.firstRecall ?? entry.recall
      now.measuredSlots = slots
    }
    facts.recall = now.recall
    facts.firstRecall = now.firstRecall
    let reason = facts.reason
    let isNew = reason != nil && now.proposal == nil
    now.proposal = reason
    known.withLock { [now] in $0[runtime.id] = now }
    let name = runtime.definition.name
    Gauge(label: "vecdb_rebuild_proposed", dimensions: [("collection", name)])
      .record(reason == nil ? 0 : 1)
    if isNew, let reason {
      engine.configuration.logger.notice("a rebuild of '\(name)' is worth it: \(reason)")
    }
    return reason
  }
}
