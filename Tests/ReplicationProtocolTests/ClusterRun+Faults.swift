import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: What happens to the cluster, and what its operator does

extension ClusterRun {
  mutating func strike() throws {
    if let coordination = scenario.coordination { return try strikeCoordinated(coordination) }
    let node = Int.random(in: 0..<3, using: &generator)
    switch Int.random(in: 0..<16, using: &generator) {
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
    case 11, 12:
      guard scenario.policyChanges, let node = members.first(where: { nodes[$0].isWritable })
      else { return }
      try changePolicy(node)
    case 13, 14:
      guard scenario.directWrites,
        let node = members.first(where: { !nodes[$0].isUp && nodes[$0].store.record.isWriter })
      else { return }
      for _ in 0..<3 { try writeDirectly(node) }
    case 15:
      // Everybody, to come back in any order.
      guard scenario.crashes else { return }
      for node in members where nodes[node].isUp { crash(node) }
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

  mutating func standForElection(_ node: Int, isForced: Bool) throws {
    guard nodes[node].promotion == nil else { return }
    let store = nodes[node].store
    let machine = Promotion(
      candidate: nodes[node].name, nodeID: nodes[node].nodeID, identity: store.identity,
      end: store.end, fence: store.fence, terms: store.terms, random: generator.next())
    note("\(node) at \(store.end.lsn) asks around")
    var candidacy = SimulatedNode.Candidacy(
      machine: machine, connections: [:], deadline: now + 150, isForced: isForced)
    ask(.probe(machine.request()), for: &candidacy, by: node)
    nodes[node].promotion = candidacy
  }

  private mutating func ask(
    _ message: Message, for candidacy: inout SimulatedNode.Candidacy, by node: Int
  ) {
    candidacy.connections = [:]
    candidacy.deadline = now + 150
    for peer in nodes.indices where peer != node && nodes[peer].isUp {
      let connection = network.open(from: node, to: peer)
      candidacy.connections[connection] = peer
      send(message, on: connection, from: node)
    }
  }

  /// What was heard is enough: the candidate binds itself and asks for promises.
  private mutating func ask(_ node: Int, _ old: SimulatedNode.Candidacy) throws {
    // A promise that was given back may have made it the primary again.
    guard !nodes[node].store.isWriter else { return }
    var candidacy = old
    candidacy.isProbing = false
    let epoch = candidacy.machine.beginAsking()
    note("\(node) at \(nodes[node].store.end.lsn) stands for epoch \(epoch.counter)")
    let before = nodes[node].store.fence
    guard nodes[node].store.fence.promise(epoch) else { return }
    // A primary that was started as a follower is the primary again if nothing comes of this.
    let resumed = nodes[node].store.resumes
    if nodes[node].isUnproven { nodes[node].store.resumes = true }
    guard save(node) else {
      nodes[node].store.fence = before
      nodes[node].store.resumes = resumed
      return note("\(node) cannot bind itself")
    }
    nodes[node].isUnproven = false
    // It follows nobody of a lower epoch from now on.
    try letGo(node)
    let store = nodes[node].store
    candidacy.machine.bound(identity: store.identity, end: store.end, terms: store.terms)
    ask(.requestPromise(candidacy.machine.request()), for: &candidacy, by: node)
    nodes[node].promotion = candidacy
  }

  /// Stops following whoever is not admitted any more.
  private mutating func letGo(_ node: Int) throws {
    guard let (connection, _, old) = nodes[node].following else { return }
    var session = old
    let actions = session.fenceRaised(to: nodes[node].store.fence)
    nodes[node].following?.session = session
    try perform(actions, on: connection, at: node)
    if nodes[node].following != nil { hangUp(connection, by: node) }
  }

  mutating func probed(
    _ request: Message.PromiseRequest, on connection: Int, at node: Int
  ) {
    var fence = nodes[node].store.fence
    var promise = fence.judge(
      request, name: nodes[node].name, nodeID: nodes[node].nodeID,
      isPrimary: nodes[node].isWritable, history: nodes[node].store)
    if nodes[node].isUnproven {
      promise.isGranted = false
      promise.fence = nodes[node].store.fence.epoch
    }
    send(.promise(promise), on: connection, from: node)
  }

  mutating func judge(
    _ request: Message.PromiseRequest, on connection: Int, at node: Int
  ) throws {
    // A promise would make it a follower on the disk, and nobody the primary if it is given back.
    if nodes[node].isUnproven { return probed(request, on: connection, at: node) }
    let before = nodes[node].store
    let isPrimary = nodes[node].isWritable
    var promise = nodes[node].store.fence.judge(
      request, name: nodes[node].name, nodeID: nodes[node].nodeID, isPrimary: isPrimary,
      history: before)
    if promise.isGranted {
      if before.isWriter {
        nodes[node].store.isWriter = false
        nodes[node].store.resumes = true
      }
      if let own = nodes[node].promotion, !own.isProbing {
        nodes[node].store.fence.giveUp(own.machine.epoch)
      }
      if save(node) {
        nodes[node].promotion = nil
        if before.isWriter { try stoppedWriting(node, for: request.epoch) }
        try letGo(node)
      } else {
        note("\(node) cannot promise itself")
        nodes[node].store.fence = before.fence
        nodes[node].store.isWriter = before.isWriter
        nodes[node].store.resumes = before.resumes
        promise.isGranted = false
      }
    }
    send(.promise(promise), on: connection, from: node)
  }

  /// Gives up an epoch that this node wanted to begin, and lets the others know.
  private mutating func giveUp(_ epoch: EpochName, at node: Int) throws {
    note("\(node) gives up epoch \(epoch.counter)")
    nodes[node].store.fence.giveUp(epoch)
    try resume(node)
    if !save(node) { nodes[node].unsaved = true }
    for peer in members where peer != node && nodes[peer].isUp {
      let connection = network.open(from: node, to: peer)
      send(.withdraw(epoch), on: connection, from: node)
    }
  }

  /// An epoch that this node may have promised itself to will never begin.
  mutating func withdrawn(_ epoch: EpochName, at node: Int) throws {
    guard nodes[node].store.fence.withdraw(epoch) else { return }
    note("\(node) is free of epoch \(epoch.counter)")
    try resume(node)
    if !save(node) { nodes[node].unsaved = true }
  }

  private mutating func resume(_ node: Int) throws {
    let store = nodes[node].store
    guard store.resumes, store.fence.admits(store.identity.name) else { return }
    note("\(node) is the primary again")
    nodes[node].store.resumes = false
    nodes[node].store.isWriter = true
    for connection in nodes[node].served.keys.sorted() { hangUp(connection, by: node) }
  }

  mutating func decide(_ node: Int) throws {
    guard let candidacy = nodes[node].promotion,
      now >= candidacy.deadline || candidacy.connections.isEmpty
    else { return }
    nodes[node].promotion = nil
    nodes[node].nextAttempt = now
    let epoch = candidacy.machine.epoch
    switch candidacy.machine.decide(isForced: candidacy.isForced) {
    case .promote where candidacy.isProbing: try ask(node, candidacy)
    case .promote(let certificate, let opened):
      // Meanwhile it may have promised itself to another.
      let present = nodes[node].store
      guard present.fence.epoch == epoch, present.end == certificate.position else {
        return try giveUp(epoch, at: node)
      }
      // Its own file first: without the epoch in the log it means nothing.
      nodes[node].store.isWriter = true
      guard save(node) else {
        nodes[node].store.isWriter = false
        nodes[node].unsaved = true
        return try giveUp(epoch, at: node)
      }
      if scenario.crashes, !isMending, generator.chance(0.02) { return crash(node) }
      began[epoch] = (certificate.oldEpoch, certificate.loss != .none)
      try hold(certificate, at: node)
      nodes[node].store.open(opened)
      _ = nodes[node].store.fence.raise(to: epoch)
      nodes[node].store.resumes = false
      if !save(node) { nodes[node].unsaved = true }
      let terms = AcknowledgementTerms(scenario.policy(of: node))
      if nodes[node].store.terms != terms {
        _ = nodes[node].store.write(
          ModelStore.policyPayload(terms), timeMilliseconds: Int64(now))
      }
      nodes[node].acknowledgement = Acknowledgement(terms: terms, patienceEnd: patienceEnd)
      nodes[node].change = nil
      note(
        "\(node) is primary of epoch \(epoch.counter) from \(certificate.position.lsn): "
          + "\(certificate.loss)")
    case .behind(let name, let position):
      note("\(node) is behind \(name) at \(position.lsn)")
      if !candidacy.isProbing { try giveUp(epoch, at: node) }
      if isMending, let other = nodes.firstIndex(where: { $0.name == name }), nodes[other].isUp,
        !nodes[other].store.isWriter
      {
        try standForElection(other, isForced: false)
      }
    case .refused(let certificate):
      note("\(node) cannot prove: \(certificate.reason)")
      if !candidacy.isProbing { try giveUp(epoch, at: node) }
      if isMending, nodes[node].isStranded { try standForElection(node, isForced: true) }
    case .stale(let other):
      note("\(node) met epoch \(other.counter)")
      try giveUp(epoch, at: node)
    }
  }

  /// When a primary that starts now stops waiting for replicas that it has not heard. Where disks
  /// are set back, never.
  var patienceEnd: UInt64? { scenario.restoresPrimary ? nil : now + 600 }

  /// Writes the node's own file; false if that fails.
  mutating func save(_ node: Int) -> Bool {
    let isFailing = scenario.recordFaults && !isMending && generator.chance(0.2)
    let reachesDisk = isFailing && generator.chance(0.5)
    if isFailing { note("\(node) cannot write its file") }
    return nodes[node].store.persist(failing: isFailing, reachesDisk: reachesDisk)
  }

  /// Somebody writes to the database of a node that is down, with a program that opens the files.
  mutating func writeDirectly(_ node: Int) throws {
    nodes[node].store.reload()
    let store = nodes[node].store
    guard store.isWriter, store.fence.admits(store.identity.name), store.terms.isAsynchronous
    else { return }
    let id = nextWrite
    nextWrite += 1
    var payload = ByteWriter()
    payload.write(id)
    let frame = nodes[node].store.write(payload.bytes, timeMilliseconds: Int64(now))
    writes[id] = Write(epoch: store.identity.name, lsn: frame.lsn, isAcknowledged: true)
    note("\(node) was written to directly at \(frame.lsn)")
    if let write = writes[id] { try holdCertificates(against: write, id) }
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
        store: nodes[node].store, isForced: certificate.loss != .none))
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
      // What a promotion by force began elsewhere, the certificate of that one told.
      if isForcedAside(write.epoch, from: certified[index].oldEpoch) { continue }
      certified[index].counted.insert(id)
      let (found, missing) = (certified[index], certified[index].counted)
      guard UInt64(missing.count) <= found.bound else {
        throw failure(
          "the certificate of node \(found.node) for \(found.newEpoch) bounds the loss by "
            + "\(found.bound), but \(missing.count) acknowledged writes are missing, such as \(id)")
      }
    }
  }

  /// Whether an epoch descends from one that began by force and is none of those before `other`.
  private func isForcedAside(_ epoch: EpochName, from other: EpochName) -> Bool {
    var own: Set<EpochName> = []
    var ancestor = other
    while ancestor != .none {
      own.insert(ancestor)
      ancestor = began[ancestor]?.parent ?? .none
    }
    ancestor = epoch
    while ancestor != .none, !own.contains(ancestor) {
      if began[ancestor]?.isForced ?? false { return true }
      ancestor = began[ancestor]?.parent ?? .none
    }
    return false
  }

  /// The faults stop.
  mutating func mend() {
    note("the faults stop")
    isMending = true
    mendedAt = now
    network.faults = NetworkFaults()
    network.cut = []
    mendCoordination()
    for node in nodes.indices where !nodes[node].isUp { restart(node) }
  }

  /// What somebody who looks after the cluster does: promotes a node whose alarm says so. Nothing
  /// else needs anybody: whatever promotions failed, some node goes on as the primary.
  mutating func operate(_ node: Int) throws {
    guard now > lastOperation + 700, nodes.allSatisfy({ $0.promotion == nil }) else { return }
    if let stranded = members.first(where: { nodes[$0].isUp && nodes[$0].isStranded }),
      !nodes[stranded].store.isWriter
    {
      lastOperation = now
      for index in members where index != stranded { nodes[index].isStranded = false }
      return try standForElection(stranded, isForced: false)
    }
    // A disk that was set back may have had the only copy of an epoch that others wait for: then nobody
    // is the primary, or one that raises an alarm since it is not let write until it has heard a node
    // that is bound to the lost epoch.
    let isLed = members.contains { nodes[$0].isPrimary }
    guard now > mendedAt + (isLed ? 8_000 : 4_000),
      !isLed || scenario.restoresPrimary && !members.contains(where: { nodes[$0].isWritable })
    else { return }
    guard scenario.restoresPrimary else {
      throw failure("nobody is the primary, and nothing says so: \(states)")
    }
    lastOperation = now
    nodes[node].isStranded = true
    try standForElection(node, isForced: false)
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
