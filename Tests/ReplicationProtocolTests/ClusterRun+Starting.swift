import VecDBReplicationProtocol

// MARK: Nodes that start again, as what they were or as followers

extension ClusterRun {
  mutating func restart(_ node: Int) {
    guard !nodes[node].isUp else { return }
    note("restart \(node)")
    nodes[node].isUp = true
    nodes[node].nextAttempt = now
    beginCoordination(node)
    takeUp(node)
    let store = nodes[node].store
    if !save(node) { nodes[node].unsaved = true }
    nodes[node].acknowledgement = Acknowledgement(terms: store.terms, patienceEnd: patienceEnd)
    guard scenario.startsAsFollower, nodes[node].store.isWriter, !nodes[node].unsaved, now % 2 == 0
    else { return }
    note("\(node) was the primary and is started as a follower")
    nodes[node].isUnproven = true
    nodes[node].attempts = 0
    nodes[node].heardNobody = false
    // On the disk it stays what it was.
    nodes[node].store.isWriter = false
  }

  /// What a node that starts makes of what it finds.
  private mutating func takeUp(_ node: Int) {
    nodes[node].store.reload()
    // What it wanted to begin before, and did not, it will not begin any more.
    let store = nodes[node].store
    if nodes[node].store.fence.giveUpUnbegun(of: nodes[node].nodeID, identity: store.identity) {
      nodes[node].store.isWriter = false
    }
    if nodes[node].store.fence.known < store.identity.name {
      _ = nodes[node].store.fence.raise(to: store.identity.name)
    }
    let free = nodes[node].store
    if free.resumes, free.fence.admits(free.identity.name) {
      nodes[node].store.isWriter = true
      nodes[node].store.resumes = false
    }
  }

  /// A node that was started as a follower has found nobody to follow: it goes on as what it was.
  mutating func goOnIfNobodyIsPrimary(_ node: Int) {
    guard nodes[node].isUnproven, nodes[node].heardNobody, nodes[node].attempts >= 2,
      nodes[node].promotion == nil, nodes[node].following == nil, !nodes[node].unsaved
    else { return }
    nodes[node].isUnproven = false
    takeUp(node)
    if !save(node) { nodes[node].unsaved = true }
    let store = nodes[node].store
    note("\(node) hears of no primary\(store.isWriter ? ", and is it" : "")")
    nodes[node].acknowledgement = Acknowledgement(terms: store.terms, patienceEnd: patienceEnd)
    for connection in nodes[node].served.keys.sorted() { hangUp(connection, by: node) }
  }

  /// Somebody of its database serves it: now it is a follower on the disk as well.
  mutating func proveFollowing(_ node: Int) -> Bool {
    guard nodes[node].isUnproven else { return true }
    guard save(node) else { return false }
    nodes[node].isUnproven = false
    return true
  }
}
