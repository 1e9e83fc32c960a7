import VecDBReplicationProtocol

// MARK: What must hold in the end

extension ClusterRun {
  /// One primary, everybody at its end with its chain, nobody behind.
  func isWhole() -> Bool {
    let nodes = self.nodes[members]
    let primaries = nodes.filter { $0.store.isWriter }
    guard let primary = primaries.first, primaries.count == 1, writesAgainAt != nil else {
      return false
    }
    return nodes.allSatisfy {
      $0.store.end == primary.store.end && $0.store.identity == primary.store.identity
        && ($0.id == primary.id
          || $0.following?.session.state == .streaming && $0.following?.peer == primary.id
            && $0.following?.session.lag.milliseconds(now: now) ?? .max == 0)
    } && primary.waiting.isEmpty
  }

  var states: String {
    nodes.map {
      "\($0.name) \($0.store.isWriter ? "writes" : "follows") at \($0.store.end.lsn) "
        + "(\($0.store.end.chain.hex.prefix(4))), \($0.store.identity.epochs.map(\.counter)) "
        + "\($0.store.identity.name), fence \($0.store.fence.epoch), "
        + "\($0.following.map { "\($0.session.state) from \($0.peer)" } ?? "alone"), behind "
        + "\($0.following?.session.lag.milliseconds(now: now) ?? 0) ms, "
        + "\($0.waiting.count) writes wait, \($0.store.start.lsn) trimmed"
        + ($0.store.resumes ? ", would go on writing" : "")
        + ($0.acknowledgement.isReadyToWrite ? "" : ", heard \($0.acknowledgement.heardMembers)")
    }.joined(separator: "; ")
  }

  func prove() throws {
    guard isWhole(), let primary = nodes[members].first(where: { $0.store.isWriter }) else {
      throw failure("the cluster did not become whole: \(states)")
    }
    for node in nodes[members] {
      for lsn in node.store.start.lsn...node.store.end.lsn {
        if let here = node.store.digest(at: lsn), let there = primary.store.digest(at: lsn),
          here != there
        {
          throw failure("nodes \(primary.id) and \(node.id) differ at LSN \(lsn)")
        }
      }
    }
    // Whatever the policy: a disk keeps what it has, and only a promotion leaves something behind.
    let lineage = Set(primary.store.identity.epochs.map { EpochName($0) })
    let givenUp = certified.filter { lineage.contains($0.newEpoch) }.reduce(into: Set()) {
      $0.formUnion($1.missing)
    }
    for (id, write) in writes.sorted(by: { $0.key < $1.key })
    where write.isAcknowledged && !givenUp.contains(id) {
      if !primary.store.contains(write: id, at: write.lsn) {
        throw failure("acknowledged write \(id) at LSN \(write.lsn) is lost")
      }
    }
  }
}
