/// What a program can ask of the disk, as far as faults and the trace tell it apart.
package enum OperationKind: String, Sendable, CaseIterable {
  case create, write, truncate, sync, remove, rename, createDirectory, syncDirectory
  /// Reading and mapping. Only these do not count as operations.
  case read

  /// Every kind that changes the disk or makes it durable: these are numbered from 1 and are
  /// the points at which a crash is worth trying.
  package static let changing = Set(allCases).subtracting([.read])
}

/// One thing that goes wrong on a simulated disk.
///
/// A fault watches the operations of its kinds on its paths, lets `skipping` of them pass and then
/// strikes `times` of them. `Fault(.inputOutputError, skipping: n - 1)` hits the nth operation
/// from now; `Fault(.diskFull, pathContaining: "-wal", times: .max)` lasts until the faults are
/// removed.
package struct Fault: Sendable {
  package enum Effect: Sendable {
    /// The machine stops: the operation may or may not have happened, and nothing works until the
    /// restart.
    case powerFailure
    /// `EIO`. A write may have happened in part; of a failed sync, see `failedSync`.
    case inputOutputError
    /// `ENOSPC`, after a write has happened in part.
    case diskFull
    /// `EIO` from a sync. What was unsynced has reached the disk in part or not at all, and is
    /// forgotten: a later sync succeeds and does not bring it there, though reads still show it
    /// until the restart. Linux behaves in this way.
    case failedSync
    /// One bit of what is read, or written, is wrong, and nobody says so.
    case flippedBit
  }

  package var effect: Effect
  package var kinds: Set<OperationKind>
  /// Only paths that contain this text; nil means all.
  package var pathContaining: String?
  /// How many matching operations pass before the first that is hit.
  package var skipping: Int
  /// How many matching operations are then hit.
  package var times: Int

  /// - Parameter kinds: nil means those on which the effect makes sense: reads for `flippedBit`,
  ///   syncs for `failedSync`, creating and writing for `diskFull`, and all changes for the others.
  package init(
    _ effect: Effect, on kinds: Set<OperationKind>? = nil, pathContaining: String? = nil,
    skipping: Int = 0, times: Int = 1
  ) {
    self.effect = effect
    self.kinds =
      kinds
      ?? {
        switch effect {
        case .powerFailure, .inputOutputError: OperationKind.changing
        case .diskFull: [.create, .createDirectory, .write]
        case .failedSync: [.sync, .syncDirectory]
        case .flippedBit: [.read]
        }
      }()
    self.pathContaining = pathContaining
    self.skipping = skipping
    self.times = times
  }

  /// Counts one operation, and says whether it is hit.
  mutating func strikes(_ kind: OperationKind, _ path: String) -> Bool {
    guard times > 0, kinds.contains(kind) else { return false }
    if let pathContaining, !path.utf8.contains(pathContaining.utf8) { return false }
    guard skipping == 0 else {
      skipping -= 1
      return false
    }
    times -= 1
    return true
  }
}

extension String.UTF8View {
  fileprivate func contains(_ other: String.UTF8View) -> Bool {
    var rest = self[...]
    while true {
      if rest.starts(with: other) { return true }
      if rest.isEmpty { return false }
      rest = rest.dropFirst()
    }
  }
}
