import VecDBBytes
import VecDBIndex

/// What is measured of an index to tell whether a rebuild is worth it.
package struct RebuildFacts: Sendable, Hashable {
  /// Nodes of the graph, and those of them that are dead.
  package var nodes = 0
  package var deadNodes = 0
  /// Components outside the range of the codes, of all `components` since training.
  package var clipped: UInt64 = 0
  package var components: UInt64 = 0
  /// Recall of fresh queries now and when this generation was first measured; nil where it was not.
  package var recall: Double?
  package var firstRecall: Double?
  /// Whether another build may do better where recall is low: the codes were never measured, or the
  /// graph was built before they were given up.
  package var mayGain = false

  package init() {}

  /// Why a rebuild is worth it; nil if it is not.
  package var reason: String? {
    if let recall, recall < CollectionHealth.floor, mayGain {
      return "recall of fresh queries is \(RebuildJudge.text(recall)), below "
        + RebuildJudge.text(CollectionHealth.floor)
    }
    if let recall, let firstRecall, recall < firstRecall - Self.recallDrift {
      return "recall of fresh queries fell from \(RebuildJudge.text(firstRecall)) to "
        + RebuildJudge.text(recall)
    }
    if deadNodes >= Self.leastDeadNodes, deadNodes * 100 >= nodes * Self.deadPercent {
      return "\(deadNodes) of \(nodes) nodes of the graph are dead"
    }
    // Codes that are measured need no range to be right; another build would find the same one.
    if mayGain, components > 0, Double(clipped) > Double(components) * Self.clippedShare {
      return "\(clipped) of \(components) components lie outside the range that the codes were "
        + "trained for"
    }
    return nil
  }

  package static let recallDrift = 0.03
  package static let deadPercent = 30
  package static let leastDeadNodes = 1_000
  package static let clippedShare = 0.01
}

/// Tells when a rebuild is worth it, and remembers what it said.
final class RebuildAdvisor: Sendable {
  /// Between two looks.
  static let periodSeconds = 20
  private static let queries = 100
  /// Records written since the last measurement that call for another one, whatever their share,
  /// where measuring costs little.
  private static let manyRecords = 8_000

  private struct Known: Sendable {
    var generation: UInt32
    var firstRecall: Double?
    /// Recall is measured again when the collection has changed by a tenth.
    var recall: Double?
    var measuredSlots = 0
    var finding: String?
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
    _ runtime: CollectionRuntime, _ writer: Writer, _ engine: Engine
  ) throws -> String? {
    guard runtime.rebuilds.withLock({ $0.state }) == nil else { return nil }
    let generation = runtime.generation
    let index = generation.index
    var facts = try writer.exclusivelyBlocking { _ in
      var facts = RebuildFacts()
      facts.nodes = index.graphSlotCount
      facts.deadNodes = index.deadNodeCount
      facts.clipped = index.clippedCount
      facts.components =
        index.quantizer == nil || index.usesRows
        ? 0 : UInt64(index.assignedSlotCount) * UInt64(index.parameters.dimensions)
      facts.mayGain = index.parameters.codes == .bytes && index.parameters.metric != .hamming
      return facts
    }
    var now = known.withLock { $0[runtime.id] } ?? Known(generation: generation.number)
    if now.generation != generation.number { now = Known(generation: generation.number) }
    let written = index.assignedSlotCount + index.deadSlotCount
    let isDue =
      written * 10 > now.measuredSlots * 11
      || runtime.isCheapToMeasure && written > now.measuredSlots + Self.manyRecords
      || !runtime.health.isMeasured
    if facts.nodes > 0, isDue {
      let health = try engine.health(of: runtime, Self.queries)
      now.recall = health.indexRecall
      now.firstRecall = now.firstRecall ?? health.indexRecall
      now.measuredSlots = written
      if let finding = health.finding, now.finding == nil {
        engine.configuration.logger.warning(
          "an index falls short",
          metadata: ["collection": "\(runtime.definition.name)", "finding": "\(finding)"])
      }
      now.finding = health.finding
    }
    facts.recall = now.recall
    facts.firstRecall = now.firstRecall
    let reason = facts.reason
    let isNew = reason != nil && now.proposal == nil
    now.proposal = reason
    known.withLock { [now] in $0[runtime.id] = now }
    let name = runtime.definition.name
    engine.telemetry.proposed(rebuilding: name, isWorthIt: reason != nil)
    if isNew, let reason {
      engine.configuration.logger.info(
        "a rebuild is worth it", metadata: ["collection": "\(name)", "reason": "\(reason)"])
    }
    return reason
  }
}
