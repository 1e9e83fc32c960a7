import VecDBFiles
import VecDBIndex

/// Decides when deleted records make maintenance due, and logs its steps: repairs of runs of slots,
/// all of the graph once, then the freeing of what nothing leads to any more.
///
/// A step is a batch like any other. Nothing of a cycle is remembered over a restart: one that was
/// broken off begins again, and what was repaired already costs little; a command takes a
/// moment on closing to bring it to its end. Belongs to the writer.
final class Maintainer {
  private struct Cycle {
    var collection: UInt32
    var next: Int
  }

  private var cycle: Cycle?
  private let failing = RepeatedFailure("cannot do maintenance", level: .error)
  /// Steps that were taken since the opening.
  private(set) var stepCount = 0
  /// Per collection: dead slots that the last cycle could not free. They are not due again.
  private var left: [UInt32: Int] = [:]

  /// Slots that a step repairs: fewer while writes wait for it.
  private static let idleStepSlots = 4_096
  private static let busyStepSlots = 1_024

  /// Takes a step if one is due; false if none is.
  func step(_ engine: Engine, isIdle: Bool) -> Bool {
    // A follower's maintenance comes with the log.
    guard engine.poison == nil, engine.refusal == nil else { return false }
    if cycle == nil {
      cycle = engine.state.sortedCollections.first { isDue($0, engine.configuration) }.map {
        Cycle(collection: $0.id, next: 0)
      }
    }
    guard let present = cycle, let collection = engine.state.collections[present.collection],
      collection.maySlotsBeFreed
    else {
      cycle = nil
      return false
    }
    let nodes = collection.index.graphSlotCount
    let end = min(nodes, present.next + (isIdle ? Self.idleStepSlots : Self.busyStepSlots))
    let isLast = present.next >= nodes
    do {
      let step: IndexGeneration.MaintenanceStep = isLast ? .collect : .repair(present.next..<end)
      _ = try engine.write([
        BatchPayload.encodeMaintenance(collection: collection.id, step)
      ])
    } catch {
      // With a full disk the next write that succeeds begins anew.
      failing.note(error, engine.configuration.logger)
      cycle = nil
      return false
    }
    failing.isOver(engine.configuration.logger)
    stepCount += 1
    cycle = isLast ? nil : Cycle(collection: collection.id, next: end)
    if isLast { left[collection.id] = collection.index.unfreedSlotCount }
    return true
  }

  /// Goes on with a cycle that has begun or is due, for so long at most: short commands would
  /// otherwise never come to the end of one. Before closing.
  func finish(_ engine: Engine, within limit: Duration) {
    let giveUp = ContinuousClock.now + limit
    while ContinuousClock.now < giveUp, step(engine, isIdle: true) {}
  }

  /// Whether dead slots of a collection wait to be freed. No slot is freed while a rebuild goes on: one
  /// that follows the other without this in between would keep them for ever.
  func hasWork(_ collection: CollectionRuntime, _ configuration: DatabaseConfiguration) -> Bool {
    cycle?.collection == collection.id || isDue(collection, configuration)
  }

  private func isDue(_ collection: CollectionRuntime, _ configuration: DatabaseConfiguration)
    -> Bool
  {
    let index = collection.index
    let nodes = index.graphSlotCount
    guard nodes > 0, collection.maySlotsBeFreed else { return false }
    let dead = index.unfreedSlotCount
    left[collection.id] = left[collection.id].map { min($0, dead) }
    let share = Int(Double(nodes) * configuration.maintenanceShare)
    return dead - (left[collection.id] ?? 0) >= max(configuration.maintenanceMinimum, share, 1)
  }
}
