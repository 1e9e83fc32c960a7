import VecDBBlockStore
import VecDBFiles

/// Finds, where a restore point turned out to be damaged, what can be restored all the same. Reads
/// the whole repository.
struct IntactRestorePoints {
  private let repository: any Repository
  private let found: RepositoryVerifier.Report
  private let history: RepositoryHistory

  private let epoch: UInt64?

  /// - Parameter epoch: the last one whose restore points count; nil for all.
  init(_ repository: any Repository, through epoch: UInt64?) throws {
    self.repository = repository
    self.epoch = epoch
    found = try RepositoryVerifier(repository).verify()
    history = try RepositoryHistory(repository, through: epoch ?? .max)
  }

  /// What to do instead, as a sentence or two.
  func offer(besides plan: RestorePlan) throws -> String {
    let damaged = found.damagedManifests.map { "LSN \($0.lsn)" }.joined(separator: ", ")
    let touched = damaged.isEmpty ? "" : "Damaged restore points: \(damaged). "
    let wanted: UInt64 =
      if case .lsn(let lsn) = plan.target { lsn } else { plan.reachableLSN }
    let ofHistory = found.soundManifests.filter { $0.epochCounter <= epoch ?? .max }
    let sound = ofHistory.filter { $0.lsn <= wanted }
    let option = epoch.map { " --epoch \($0)" } ?? ""
    if let base = sound.last(where: { history.reach(of: $0) >= wanted && $0 != plan.entry }) {
      return touched
        + "The same state can be restored from restore point LSN \(base.lsn) and the log after it: "
        + "restore with --base \(base.lsn)\(option)."
    }
    let reaches = sound.map { (base: $0, lsn: min(history.reach(of: $0), wanted)) }
    if let nearest = reaches.max(by: { $0.lsn < $1.lsn }) {
      return touched
        + "The nearest intact state is LSN \(nearest.lsn): restore with --lsn \(nearest.lsn) --base "
        + "\(nearest.base.lsn)\(option)."
    }
    guard let later = ofHistory.first else {
      return touched + "No restore point is intact."
    }
    return touched
      + "The earliest intact state is LSN \(later.lsn), after the one that was asked for."
  }
}
