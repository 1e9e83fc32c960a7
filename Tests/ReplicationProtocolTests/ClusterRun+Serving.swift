import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: The side that is followed

extension ClusterRun {
  mutating func send(_ message: Message, on connection: Int, from node: Int) {
    guard let open = network.connections[connection] else { return }
    let peer = open.client == node ? open.server : open.client
    for (time, delivery) in network.send(
      message, on: connection, from: node, now: now, using: &generator)
    {
      events.add(.deliver(connection: connection, to: peer, delivery), at: time)
    }
  }

  mutating func hangUp(_ connection: Int, by node: Int) {
    guard let open = network.connections[connection] else { return }
    let peer = open.client == node ? open.server : open.client
    if !network.cut.contains([node, peer]) {
      events.add(
        .deliver(connection: connection, to: peer, .closed),
        at: max(now + 1, network.lastArrival(on: connection, from: node)))
    }
    forget(connection, at: node)
  }

  mutating func forget(_ connection: Int, at node: Int) {
    nodes[node].served[connection] = nil
    if nodes[node].fetching?.connection == connection { nodes[node].fetching = nil }
    guard nodes[node].following?.connection == connection else { return }
    if let session = nodes[node].following?.session { nodes[node].lag = session.lag }
    nodes[node].following = nil
    nodes[node].nextAttempt = now + nodes[node].backoff.next(using: &generator)
    nodes[node].nextPeer = (nodes[node].nextPeer + 1) % 3
  }

  mutating func deliver(
    _ delivery: SimulatedNetwork.Delivery, on connection: Int, to node: Int
  ) throws {
    guard nodes[node].isUp, let open = network.connections[connection] else { return }
    switch delivery {
    case .closed:
      forget(connection, at: node)
      if let index = nodes[node].promotion?.connections[connection] {
        _ = index
        nodes[node].promotion?.connections[connection] = nil
      }
    case .bytes(let bytes):
      let messages: [Message]
      do { messages = try network.receive(bytes, on: connection, at: node) } catch {
        return hangUp(connection, by: node)
      }
      for message in messages {
        if open.server == node {
          try serve(message, on: connection, at: node)
        } else {
          try follow(message, on: connection, at: node)
        }
      }
    }
  }

  private mutating func serve(_ message: Message, on connection: Int, at node: Int) throws {
    var session =
      nodes[node].served[connection]
      ?? PrimarySession(now: now, isWriter: nodes[node].store.isWriter, limits: limits)
    if case .hello(let hello) = message {
      for epoch in nodes[node].store.fence.withdrawn(of: hello.promised) {
        send(.withdraw(epoch), on: connection, from: node)
      }
    }
    // A replica follows no peer that follows it: only lower numbers serve while they follow.
    if case .hello = message, !nodes[node].store.isWriter,
      !scenario.isChained || nodes[node].isUnproven
        || (network.connections[connection]?.client ?? 0) < node
    {
      let isFed = nodes[node].following?.session.state == .streaming
      send(
        .refuse(
          .init(
            .notServing, isFed ? "a replica" : Message.Refusal.hearsNobody,
            fence: nodes[node].store.fence.known,
            databaseID: nodes[node].store.identity.databaseID)),
        on: connection, from: node)
      return hangUp(connection, by: node)
    }
    let actions = session.received(
      message, fence: nodes[node].store.fence, history: nodes[node].store, now: now)
    nodes[node].served[connection] = session
    try perform(actions, on: connection, at: node)
  }

  mutating func perform(
    _ actions: [PrimarySession.Action], on connection: Int, at node: Int
  ) throws {
    for action in actions {
      switch action {
      case .send(let message): send(message, on: connection, from: node)
      case .ship(let after, _):
        events.add(
          .ship(node: node, life: nodes[node].life, connection: connection, after: after),
          at: now + UInt64.random(in: 0...1, using: &generator))
      case .holds(let name, let id, let lsn, let isHello):
        guard nodes[node].store.isWriter else { break }
        try settle(
          nodes[node].acknowledgement.holds(name, id, lsn: lsn, isHello: isHello), at: node)
      case .probe(let request): probed(request, on: connection, at: node)
      case .withdraw(let epoch): try withdrawn(epoch, at: node)
      case .stepDown(let epoch):
        try requireOurs(epoch, node)
        try stepDown(node, for: epoch)
        try fenceRaised(node)
      case .restore(let frames):
        for frame in frames where frame.lsn == nodes[node].store.end.lsn + 1 {
          guard nodes[node].store.append(frame) else { return hangUp(connection, by: node) }
        }
        note("\(node) got back what it lost, now at \(nodes[node].store.end.lsn)")
        try logGrew(node)
      case .judge(let request): try judge(request, on: connection, at: node)
      case .openSnapshot:
        let position = nodes[node].store.end
        var writer = ByteWriter()
        writer.write(UInt32(node))
        writer.write(position)
        send(
          .snapshot(
            .init(manifest: writer.bytes, identity: nodes[node].store.identity)),
          on: connection, from: node)
        snapshots[position] = nodes[node].store
      case .sendBlocks: break
      case .close: hangUp(connection, by: node)
      }
    }
  }

  mutating func ship(_ node: Int, _ life: Int, _ connection: Int, _ after: UInt64) throws {
    guard nodes[node].isUp, nodes[node].life == life, var session = nodes[node].served[connection]
    else { return }
    let store = nodes[node].store
    let count = Int.random(in: 1...6, using: &generator)
    let frames = store.frames(after: after, count: count)
    if frames.isEmpty { return hangUp(connection, by: node) }
    let behind = store.end.lsn - (frames.last?.lsn ?? 0)
    let actions = session.ship(frames, bytesBehind: behind * 80, history: store, now: now)
    nodes[node].served[connection] = session
    try perform(actions, on: connection, at: node)
  }

  mutating func logGrew(_ node: Int) throws {
    for connection in nodes[node].served.keys.sorted() {
      guard var session = nodes[node].served[connection] else { continue }
      if generator.chance(0.2) {
        session.note(digest: nodes[node].store.digest, at: nodes[node].store.end.lsn)
      }
      let actions = session.logGrew(history: nodes[node].store, now: now)
      nodes[node].served[connection] = session
      try perform(actions, on: connection, at: node)
    }
  }

  // MARK: Changing the policy

  mutating func changePolicy(_ node: Int) throws {
    guard nodes[node].change == nil, nodes[node].store.terms.replaced == nil else { return }
    var target = scenario.policy(of: node)
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: target = .asynchronous
    case 1:
      target = AcknowledgementPolicy(
        members: members.filter { $0 != node }.map { "n\($0)" }, needed: 2, timeoutMilliseconds: 150
      )
    case 2:
      let only = (node + 1) % 3
      target = AcknowledgementPolicy(members: ["n\(only)"], needed: 1, timeoutMilliseconds: 150)
    default: break
    }
    let terms = nodes[node].store.terms.changing(to: target)
    note("\(node) changes its policy to \(target.needed) of \(target.members)")
    // It waits as both ask before anybody can read of it.
    try settle(nodes[node].acknowledgement.replace(terms: terms), at: node)
    _ = nodes[node].store.write(ModelStore.policyPayload(terms), timeMilliseconds: Int64(now))
    if terms.replaced != nil { nodes[node].change = (0, target) }
    try goOnChanging(node)
    try logGrew(node)
  }

  /// Waits for the first record of a change to be held, again and again.
  mutating func goOnChanging(_ node: Int) throws {
    guard nodes[node].isPrimary, nodes[node].store.terms.replaced != nil else { return }
    if nodes[node].change == nil {
      nodes[node].change = (0, nodes[node].store.terms.policy)
    }
    guard nodes[node].change?.ticket == 0 else { return }
    nextTicket += 1
    nodes[node].change?.ticket = nextTicket
    try settle(
      nodes[node].acknowledgement.committed(
        lsn: nodes[node].store.end.lsn, ticket: nextTicket, now: now), at: node)
  }

  private mutating func finishChanging(_ node: Int) throws {
    guard let target = nodes[node].change?.target else { return }
    nodes[node].change = nil
    let terms = AcknowledgementTerms(target)
    _ = nodes[node].store.write(ModelStore.policyPayload(terms), timeMilliseconds: Int64(now))
    try settle(nodes[node].acknowledgement.replace(terms: terms), at: node)
    note("\(node) has changed its policy")
    try logGrew(node)
  }

  // MARK: Writing and acknowledging

  mutating func write() throws {
    guard
      let node = members.filter({
        nodes[$0].isWritable && !isSuspended($0) && mayAcknowledge($0)
      }).randomElement(using: &generator)
    else { return }
    let store = nodes[node].store
    let epoch = store.identity.name
    if let other = writers[epoch], other != node {
      throw failure("nodes \(other) and \(node) both wrote in \(epoch)")
    }
    guard store.fence.admits(epoch) else { throw failure("node \(node) wrote below its fence") }
    writers[epoch] = node
    let id = nextWrite
    nextWrite += 1
    var payload = ByteWriter()
    payload.write(id)
    let frame = nodes[node].store.write(payload.bytes, timeMilliseconds: Int64(now))
    writes[id] = Write(epoch: epoch, lsn: frame.lsn)
    nodes[node].waiting[id] = frame.lsn
    // The local commit is durable; the crash may come before anything is shipped.
    if scenario.crashes, !isMending, generator.chance(0.01) { return crash(node) }
    if scenario.coordination?.suspends == true, !isMending, generator.chance(0.01) {
      let pause = UInt64.random(in: 10...1_200, using: &generator)
      suspend(node, for: pause)
      return events.add(
        .coordination(
          .acknowledge(node: node, life: nodes[node].life, lsn: frame.lsn, ticket: id)),
        at: now + pause)
    }
    try settle(
      nodes[node].acknowledgement.committed(lsn: frame.lsn, ticket: id, now: now), at: node)
    try logGrew(node)
  }

  mutating func settle(_ actions: [Acknowledgement.Action], at node: Int) throws {
    for action in actions {
      switch action {
      case .release(let tickets):
        for ticket in tickets where nodes[node].change?.ticket == ticket {
          try finishChanging(node)
        }
        for ticket in tickets where nodes[node].waiting[ticket] != nil {
          // The permit is asked for again when the answer goes out.
          guard mayAcknowledge(node), let lsn = nodes[node].waiting[ticket] else {
            nodes[node].waiting[ticket] = nil
            continue
          }
          if scenario.coordination != nil {
            try noteAcknowledgement(of: ticket, at: lsn, by: node)
          }
          if isMending, writesAgainAt == nil { writesAgainAt = now }
          nodes[node].waiting[ticket] = nil
          writes[ticket]?.isAcknowledged = true
          if let write = writes[ticket] { try holdCertificates(against: write, ticket) }
        }
      case .giveUp(let tickets):
        for ticket in tickets {
          nodes[node].waiting[ticket] = nil
          if nodes[node].change?.ticket == ticket { nodes[node].change?.ticket = 0 }
        }
      case .startedWithout(let missing): note("\(node) writes without having heard \(missing)")
      case .degraded: note("\(node) degrades")
      case .restored: note("\(node) is whole again")
      }
    }
  }

  /// A fence that was raised in one connection binds all others of the node.
  mutating func fenceRaised(_ node: Int) throws {
    guard let (connection, _, old) = nodes[node].following else { return }
    var session = old
    let actions = session.fenceRaised(to: nodes[node].store.fence)
    nodes[node].following?.session = session
    try perform(actions, on: connection, at: node)
  }

  mutating func stepDown(_ node: Int, for epoch: EpochName) throws {
    _ = nodes[node].store.fence.raise(to: epoch)
    if epoch > nodes[node].store.identity.name { nodes[node].store.resumes = false }
    let wasWriter = nodes[node].store.isWriter
    nodes[node].store.isWriter = false
    if !save(node) { nodes[node].unsaved = true }
    if wasWriter { try stoppedWriting(node, for: epoch) }
  }

  mutating func stoppedWriting(_ node: Int, for epoch: EpochName) throws {
    note("\(node) steps down for \(epoch.counter)")
    nodes[node].change = nil
    try settle(nodes[node].acknowledgement.abandon(), at: node)
    for connection in nodes[node].served.keys.sorted() { hangUp(connection, by: node) }
  }
}
