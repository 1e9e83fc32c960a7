import LogStore
import ReplicationProtocol

// MARK: What happens to the cluster, and what its operator does

extension ClusterRun {
  mutating func strike() throws {
    let node = Int.random(in: 0..<3, using: &generator)
    switch Int.random(in: 0..<12, using: &generator) {
    case 0, 1, 2:
      if scenario.crashes, nodes[node].isUp { crash(node) }
    case 3, 4, 5:
      guard scenario.cuts else { return }
      let other = (node + Int.random(in: 1...2, using: &generator)) % 3
      cut([node, other])
      if generator.chance(0.6) { cut([other, node]) }
    case 6, 7, 8:
      guard scenario.promotions, nodes[node].isUp, !nodes[node].store.isWriter else { return }
      try standForElection(node, isForced: scenario.forcedPromotions && generator.chance(0.5))
      // Two at once.
      let other = 3 - node
      if generator.chance(0.3), (1...2).contains(other), other != node, nodes[other].isUp,
        !nodes[other].store.isWriter
      {
        try standForElection(other, isForced: scenario.forcedPromotions)
      }
    case 9:
      guard scenario.trims else { return }
      let end = nodes[node].store.end.lsn
      if end > 10 {
        nodes[node].store.trim(through: UInt64.random(in: 1..<end, using: &generator))
      }
    case 10:
      guard scenario.restoresPrimary else { return }
      // Only what is no member may lose what it holds: the policy counts on members' disks.
      if backupOfPrimary == nil || generator.chance(0.3) {
        if nodes[0].store.isWriter { backupOfPrimary = nodes[0].store }
      } else if let backup = backupOfPrimary {
        crash(0)
        nodes[0].store = backup
        note("0 was set back to \(backup.end.lsn)")
      }
    default: return
    }
  }

  mutating func cut(_ link: [Int]) {
    guard network.cut.insert(link).inserted else { return }
    note("cut \(link)")
    events.add(.mend(.link(link)), at: now + UInt64.random(in: 20...900, using: &generator))
  }

  mutating func crash(_ node: Int) {
    note("crash \(node)")
    for connection in network.connections(of: node) {
      if let open = network.connections[connection] {
        let peer = open.client == node ? open.server : open.client
        forget(connection, at: peer)
        network.close(connection)
      }
    }
    nodes[node].crash()
    expected.removeAll { $0.node == node }
    diskFree[node] = now
    events.add(.mend(.restart(node)), at: now + UInt64.random(in: 10...600, using: &generator))
  }

  mutating func restart(_ node: Int) {
    guard !nodes[node].isUp else { return }
    note("restart \(node)")
    nodes[node].isUp = true
    nodes[node].nextAttempt = now
  }

  mutating func standForElection(_ node: Int, isForced: Bool) throws {
    guard nodes[node].promotion == nil else { return }
    let store = nodes[node].store
    let machine = Promotion(
      candidate: nodes[node].name, identity: store.identity, end: store.end,
      fence: store.fence.epoch, policy: scenario.policy,
      id: UniqueID(high: generator.next(), low: UInt64(node)))
    note("\(node) at \(store.end.lsn) stands for epoch \(machine.epoch.counter)")
    // Its own promise: it follows nobody of a lower epoch from now on, and writes in none.
    if store.isWriter { try stepDown(node, for: machine.epoch) }
    _ = nodes[node].store.fence.raise(to: machine.epoch)
    if let (connection, _, old) = nodes[node].following {
      var session = old
      let actions = session.fenceRaised(to: Fence(machine.epoch))
      nodes[node].following?.session = session
      try perform(actions, on: connection, at: node)
      if nodes[node].following != nil { hangUp(connection, by: node) }
    }
    var connections: [Int: Int] = [:]
    for peer in nodes.indices where peer != node && nodes[peer].isUp {
      let connection = network.open(from: node, to: peer)
      connections[connection] = peer
      send(.requestPromise(machine.request()), on: connection, from: node)
    }
    nodes[node].promotion = .init(
      machine: machine, connections: connections, deadline: now + 150, isForced: isForced)
  }

  mutating func judge(
    _ request: Message.PromiseRequest, on connection: Int, at node: Int
  ) throws {
    let store = nodes[node].store
    let promise = nodes[node].store.fence.judge(
      request, name: nodes[node].name, isPrimary: nodes[node].isWritable,
      history: store)
    if promise.isGranted {
      if store.isWriter { try stepDown(node, for: request.epoch) }
      nodes[node].promotion = nil
      if let (following, _, old) = nodes[node].following {
        var session = old
        let actions = session.fenceRaised(to: Fence(request.epoch))
        nodes[node].following?.session = session
        try perform(actions, on: following, at: node)
        if nodes[node].following != nil { hangUp(following, by: node) }
      }
    }
    send(.promise(promise), on: connection, from: node)
  }

  mutating func decide(_ node: Int) throws {
    guard let candidacy = nodes[node].promotion,
      now >= candidacy.deadline || candidacy.connections.isEmpty
    else { return }
    nodes[node].promotion = nil
    nodes[node].nextAttempt = now
    switch candidacy.machine.decide(isForced: candidacy.isForced) {
    case .promote(let certificate, let epoch):
      guard nodes[node].store.fence.epoch == candidacy.machine.epoch,
        nodes[node].store.end == certificate.position
      else { return note("\(node) promised itself to another") }
      try hold(certificate, at: node)
      nodes[node].store.open(epoch)
      nodes[node].store.isWriter = true
      nodes[node].acknowledgement = Acknowledgement(policy: scenario.policy)
      note(
        "\(node) is primary of epoch \(epoch.counter) from \(certificate.position.lsn): "
          + "\(certificate.loss)")
    case .behind(let name, let position):
      note("\(node) is behind \(name) at \(position.lsn)")
      if isMending, let other = nodes.firstIndex(where: { $0.name == name }), nodes[other].isUp,
        !nodes[other].store.isWriter
      {
        try standForElection(other, isForced: false)
      }
    case .refused(let certificate):
      note("\(node) cannot prove: \(certificate.reason)")
      if isMending { try standForElection(node, isForced: true) }
    case .stale(let epoch): note("\(node) met epoch \(epoch.counter)")
    }
  }

  /// Holds a certificate against all that was acknowledged until now, and remembers it for what is
  /// still to come: an old primary that has not heard of it goes on for a while.
  private mutating func hold(_ certificate: PromotionCertificate, at node: Int) throws {
    let bound: UInt64 =
      switch certificate.loss {
      case .none: 0
      case .atMost(let batches): batches
      case .unbounded: .max
      }
    certified.append(
      Certified(
        node: node, oldEpoch: certificate.oldEpoch, newEpoch: certificate.newEpoch, bound: bound,
        store: nodes[node].store))
    for (id, write) in writes.sorted(by: { $0.key < $1.key }) where write.isAcknowledged {
      try holdCertificates(against: write, id)
    }
  }

  /// An acknowledged write is in the history of every certificate that speaks for its epoch, or is
  /// one of those that the certificate gives up.
  mutating func holdCertificates(against write: Write, _ id: UInt64) throws {
    for index in certified.indices
    where write.epoch >= certified[index].oldEpoch && write.epoch < certified[index].newEpoch
      && !certified[index].store.contains(write: id, at: write.lsn)
    {
      certified[index].missing.insert(id)
      let (found, missing) = (certified[index], certified[index].missing)
      guard UInt64(missing.count) <= found.bound else {
        throw failure(
          "the certificate of node \(found.node) for \(found.newEpoch) bounds the loss by "
            + "\(found.bound), but \(missing.count) acknowledged writes are missing, such as \(id)")
      }
    }
  }

  /// The faults stop.
  mutating func mend() {
    note("the faults stop")
    isMending = true
    network.faults = NetworkFaults()
    network.cut = []
    for node in nodes.indices where !nodes[node].isUp { restart(node) }
  }

  /// What somebody who looks after the cluster does when there is no primary, or an alarm.
  mutating func operate(_ node: Int) throws {
    guard now > lastOperation + 700 else { return }
    let primaries = nodes.filter { $0.isUp && $0.store.isWriter }
    let top = nodes.map(\.store.fence.epoch).max() ?? .none
    let isServed = primaries.contains {
      $0.store.identity.name >= top && $0.store.fence.admits($0.store.identity.name)
    }
    let stranded = nodes.firstIndex { $0.isUp && $0.isStranded && !$0.store.isWriter }
    guard !isServed || stranded != nil, nodes.allSatisfy({ $0.promotion == nil }) else { return }
    lastOperation = now
    for index in nodes.indices { nodes[index].isStranded = false }
    try standForElection(stranded ?? node, isForced: false)
  }
}

extension ModelStore {
  /// Whether the write with this number is at its place; what was trimmed or fetched as a
  /// snapshot is believed, since chains are compared.
  func contains(write id: UInt64, at lsn: UInt64) -> Bool {
    if lsn <= start.lsn { return true }
    guard lsn <= end.lsn else { return false }
    let payload = frames[Int(lsn - start.lsn) - 1].payload
    return payload.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self).littleEndian } == id
  }
}
