import VecDBBlockStore

extension RepositoryHistory {
  /// The histories that a newer one left behind, oldest first: what the repository has of an epoch
  /// after the place where the newest history went another way.
  ///
  /// Lists the repository anew, and reads a manifest or a piece of log, for each history that it finds.
  func ended(in repository: any Repository) throws -> [EndedHistory] {
    guard let path else { return [] }
    let epochs = Set(entries.map(\.epochCounter)).union(pieces.map(\.epochCounter))
    var ended: [EndedHistory] = []
    for epoch in epochs.sorted() {
      let through = path.extent(of: epoch)?.through ?? 0
      let last = max(
        entries.filter { $0.epochCounter == epoch }.map(\.lsn).max() ?? 0,
        pieces.filter { $0.epochCounter == epoch }.map(\.lastLSN).max() ?? 0)
      guard last > through else { continue }
      let own = try RepositoryHistory(repository, through: epoch)
      let common = path.common(with: own.path, of: epoch)
      ended.append(EndedHistory(epoch: epoch, afterLSN: common, lastLSN: last))
    }
    return ended
  }
}

extension ArchivePath {
  /// The last LSN that this history shares with another one; `other` is nil if that is of one epoch.
  fileprivate func common(with other: ArchivePath?, of epoch: UInt64) -> UInt64 {
    guard let other else { return extent(of: epoch)?.through ?? 0 }
    return counters.reversed().lazy.compactMap { counter in
      guard let theirs = other.extent(of: counter), let ours = self.extent(of: counter) else {
        return nil
      }
      return min(theirs.through, ours.through)
    }.first ?? 0
  }
}
