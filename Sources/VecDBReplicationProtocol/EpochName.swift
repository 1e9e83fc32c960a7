import VecDBBytes
import VecDBLogStore

/// What epochs are compared by: the counter, and for two promotions that took the same counter,
/// the random id. The order is total, so everybody refuses the same one of two.
package struct EpochName: Sendable, Hashable, Comparable, CustomStringConvertible {
  package static let none = EpochName(counter: 0, id: .zero)

  package var counter: UInt64
  package var id: UniqueID

  package init(counter: UInt64, id: UniqueID) {
    self.counter = counter
    self.id = id
  }

  package init(_ epoch: Epoch) { self.init(counter: epoch.counter, id: epoch.id) }

  package static func < (left: EpochName, right: EpochName) -> Bool {
    (left.counter, left.id.high, left.id.low) < (right.counter, right.id.high, right.id.low)
  }

  package var description: String { "epoch \(counter) (\(id))" }
}

extension LogIdentity {
  package var name: EpochName { EpochName(currentEpoch) }

  /// This identity without the epochs that begin after `position`.
  package func through(_ position: LogPosition) -> LogIdentity {
    var kept = epochs.prefix { $0.beganAtLSN <= position.lsn }
    if kept.isEmpty { kept = epochs.prefix(1) }
    return LogIdentity(databaseID: databaseID, epochs: Array(kept))
  }
}
