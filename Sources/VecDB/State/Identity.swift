import VecDBBytes
import VecDBLogStore

extension UniqueID {
  /// A new one, from the system's generator.
  static func random() -> UniqueID {
    var generator = SystemRandomNumberGenerator()
    return UniqueID(high: generator.next(), low: generator.next())
  }

  /// The form that manifests use.
  var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

  init(number: UInt128) {
    self.init(
      high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number))
  }
}

extension LogIdentity {
  /// A database that begins here.
  static func new() -> LogIdentity {
    LogIdentity(
      databaseID: .random(),
      epochs: [
        Epoch(counter: 1, id: .random(), parentID: .zero, beganAtLSN: 0, beganAtChain: .zero)
      ])
  }

  /// A new database whose first epoch of its own goes on from `position` of this history.
  func branching(at position: LogPosition) -> LogIdentity {
    // Epochs that began behind the branch are not part of its history.
    let kept = epochs.filter { $0.beganAtLSN <= position.lsn }
    let parent = kept.last ?? epochs[0]
    let epoch = Epoch(
      counter: currentEpoch.counter + 1, id: .random(), parentID: parent.id,
      beganAtLSN: position.lsn, beganAtChain: position.chain)
    return LogIdentity(
      databaseID: .random(), epochs: (kept.isEmpty ? [parent] : kept) + [epoch])
  }

  /// The same history under the id of another database, its last epoch above all that are known.
  func continuing(as id: UniqueID, above counter: UInt64) -> LogIdentity {
    var epochs = epochs
    if var last = epochs.popLast() {
      last.counter = max(last.counter, counter + 1)
      epochs.append(last)
    }
    return LogIdentity(databaseID: id, epochs: epochs)
  }
}
