import VecDBBlockStore
import VecDBLogStore

/// The path of epochs that leads to a database's present one, as a repository has it: which folder
/// an LSN of this history belongs into.
///
/// That is the folder of the epoch that wrote it, unless the repository has another history there:
/// what lies behind such a branch goes into the folder of the epoch that was opened for it.
struct ArchivePath: Sendable {
  private struct Step {
    var counter: UInt64
    /// The last LSN that does not belong to this epoch's folder.
    var begin: UInt64
  }

  private let steps: [Step]

  init(_ epochs: [Epoch], claims: [EpochClaim]) {
    steps = epochs.map { epoch in
      let claim = claims.first { $0.counter == epoch.counter && $0.id == epoch.id.number }
      return Step(
        counter: epoch.counter, begin: min(claim?.branch?.lsn ?? .max, epoch.beganAtLSN))
    }
  }

  /// The epochs on the path, oldest first.
  var counters: [UInt64] { steps.map(\.counter) }

  /// The counter of the folder that holds an LSN.
  func folder(of lsn: UInt64) -> UInt64 {
    (steps.last { $0.begin < lsn } ?? steps[0]).counter
  }

  /// The LSNs of an epoch's folder that belong to this history: after the lower bound, through the
  /// upper one. Nil if the epoch is not on the path.
  func extent(of counter: UInt64) -> (after: UInt64, through: UInt64)? {
    guard let index = steps.firstIndex(where: { $0.counter == counter }) else { return nil }
    // A later branch may lie before earlier ones.
    let end = steps[(index + 1)...].map(\.begin).min() ?? .max
    return (steps[index].begin, end)
  }

  /// Whether all of a piece belongs to this history.
  func owns(_ piece: LogPiece) -> Bool {
    guard let extent = extent(of: piece.epochCounter) else { return false }
    return piece.firstLSN > extent.after && piece.lastLSN <= extent.through
  }

  /// The last LSN of this history that is archived, with everything between it and what was
  /// archived before it; what was trimmed before it was archived does not count.
  func archivedEnd(_ pieces: [LogPiece]) -> UInt64 {
    for step in steps.reversed() {
      guard let extent = extent(of: step.counter) else { continue }
      let last = pieces.filter { $0.epochCounter == step.counter }.map(\.lastLSN).max()
      if let last, last > extent.after, extent.through > extent.after {
        return min(last, extent.through)
      }
    }
    return steps[0].begin
  }
}
