import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: The side that follows

extension ClusterRun {
  mutating func tick(_ node: Int) throws {
    guard nodes[node].isUp else { return }
    for connection in nodes[node].served.keys.sorted() {
      guard var session = nodes[node].served[connection] else { continue }
      let actions = session.tick(history: nodes[node].store, now: now)
      nodes[node].served[connection] = session
      try perform(actions, on: connection, at: node)
    }
    if nodes[node].unsaved, save(node) { nodes[node].unsaved = false }
    try settle(nodes[node].acknowledgement.tick(now: now), at: node)
    try goOnChanging(node)
    if let (connection, _, old) = nodes[node].following {
      var session = old
      let actions = session.tick(
        history: nodes[node].store, fence: nodes[node].store.fence, now: now)
      nodes[node].following?.session = session
      try perform(actions, on: connection, at: node)
      look(node)
    }
    if nodes[node].promotion != nil { try decide(node) }
    if let fetching = nodes[node].fetching, now > fetchDeadline[node] {
      hangUp(fetching.connection, by: node)
    }
    goOnIfNobodyIsPrimary(node)
    if nodes[node].following == nil, nodes[node].fetching == nil { connect(node) }
    if scenario.coordination != nil { try coordinate(node, .tick) }
    if isMending { try operate(node) }
  }

  /// A follower of a follower looks now and then whether the primary can be had.
  private mutating func look(_ node: Int) {
    guard let (connection, peer, session) = nodes[node].following, session.state == .streaming,
      !session.isOfPrimary, now >= nodes[node].nextLook
    else { return }
    nodes[node].nextLook = now + 200
    guard
      let primary = members.first(where: { other in
        other != node && other != peer && nodes[other].isPrimary
          && !network.cut.contains([node, other]) && !network.cut.contains([other, node])
      })
    else { return }
    hangUp(connection, by: node)
    nodes[node].nextPeer = primary
    nodes[node].nextAttempt = now
  }

  private mutating func connect(_ node: Int) {
    if scenario.foreigners {
      // A wrong address now and then; and whoever is of another database asks anybody.
      if node == 3 {
        nodes[node].nextPeer = Int.random(in: members, using: &generator)
      } else if !isMending, generator.chance(0.1) {
        nodes[node].nextPeer = 3
      }
    }
    let peer = nodes[node].nextPeer
    guard nodes[node].promotion == nil, now >= nodes[node].nextAttempt else { return }
    nodes[node].attempts += 1
    guard peer != node, nodes[peer].isUp, !network.cut.contains([node, peer]) else {
      nodes[node].nextAttempt = now + nodes[node].backoff.next(using: &generator)
      nodes[node].nextPeer = (peer + 1) % 3
      return
    }
    let connection = network.open(from: node, to: peer)
    let store = nodes[node].store
    let hello = Message.Hello(
      name: nodes[node].name, identity: store.identity, end: store.end, fence: store.fence.known,
      samples: store.samples(), creditBytes: limits.creditBytes, nodeID: nodes[node].nodeID,
      promised: store.fence.promised)
    nodes[node].following = (
      connection, peer,
      ReplicaSession(hello: hello, lag: nodes[node].lag, now: now, limits: limits)
    )
    send(.hello(hello), on: connection, from: node)
  }

  mutating func follow(_ message: Message, on connection: Int, at node: Int) throws {
    if nodes[node].promotion?.connections[connection] != nil {
      if case .promise(let promise) = message {
        nodes[node].promotion?.machine.received(promise)
        nodes[node].promotion?.connections[connection] = nil
      }
      return
    }
    if nodes[node].fetching?.connection == connection {
      if case .snapshot(let snapshot) = message { try restore(snapshot, at: node) }
      return hangUp(connection, by: node)
    }
    guard nodes[node].following?.connection == connection,
      var session = nodes[node].following?.session
    else { return }
    let actions = session.received(
      message, fence: nodes[node].store.fence, history: nodes[node].store, now: now)
    if nodes[node].store.isWriter {
      // A primary only looks whether there is a higher epoch.
      for action in actions {
        switch action {
        case .raiseFence(let epoch) where epoch > nodes[node].store.identity.name:
          try stepDown(node, for: epoch)
        case .withdraw(let epoch): try withdrawn(epoch, at: node)
        default: break
        }
      }
      nodes[node].backoff.reset()
      hangUp(connection, by: node)
      nodes[node].nextAttempt = now + 200
      return
    }
    nodes[node].following?.session = session
    if session.heardNobody, nodes[node].following?.peer == (node + 1) % 3 {
      nodes[node].heardNobody = true
    }
    if session.state == .streaming { nodes[node].backoff.reset() }
    try perform(actions, on: connection, at: node)
  }

  mutating func perform(
    _ actions: [ReplicaSession.Action], on connection: Int, at node: Int
  ) throws {
    for action in actions {
      switch action {
      case .send(let message): send(message, on: connection, from: node)
      case .raiseFence(let epoch):
        try requireOurs(epoch, node)
        guard try raise(to: epoch, at: node) else { return hangUp(connection, by: node) }
      case .withdraw(let epoch): try withdrawn(epoch, at: node)
      case .adopt(let identity):
        guard nodes[node].store.fence.admits(identity.name) else {
          throw failure("node \(node) adopts \(identity.name) below its fence")
        }
        guard proveFollowing(node) else { return hangUp(connection, by: node) }
        nodes[node].followed = identity
        guard nodes[node].store.adopt(identity) else { return hangUp(connection, by: node) }
        try logGrew(node)
      case .append(let frames):
        diskFree[node] = max(now, diskFree[node]) + UInt64.random(in: 0...4, using: &generator)
        events.add(
          .committed(
            node: node, life: nodes[node].life, frames: frames, connection: connection),
          at: diskFree[node])
      case .compare(let lsn, let digest): expected.append((node, lsn, digest, connection))
      case .giveBack(let after):
        let frames = nodes[node].store.frames(after: after, count: .max)
        send(.pulled(frames, isLast: true), on: connection, from: node)
      case .rewind(let position, let identity):
        guard proveFollowing(node) else { return hangUp(connection, by: node) }
        note("\(node) at \(nodes[node].store.end.lsn) rewinds to \(position.lsn)")
        hangUp(connection, by: node)
        for other in nodes[node].served.keys.sorted() { hangUp(other, by: node) }
        if !nodes[node].store.rewind(to: position, in: identity) { fetch(node) }
      case .bootstrap:
        guard proveFollowing(node) else { return hangUp(connection, by: node) }
        hangUp(connection, by: node)
        for other in nodes[node].served.keys.sorted() { hangUp(other, by: node) }
        fetch(node)
      case .alarm(let concern, let text):
        note("\(node) alarms: \(text)")
        if concern == .giveBack { nodes[node].isStranded = isMending }
      case .close: hangUp(connection, by: node)
      }
    }
  }

  /// Epochs of another database say nothing here.
  func requireOurs(_ epoch: EpochName, _ node: Int) throws {
    guard members.contains(node) == (epoch.id.high != 999) else {
      throw failure("node \(node) takes \(epoch) of another database for one of its own")
    }
  }

  /// Makes a higher fence durable; false if that fails.
  private mutating func raise(to epoch: EpochName, at node: Int) throws -> Bool {
    _ = nodes[node].store.fence.raise(to: epoch)
    if epoch > nodes[node].store.identity.name { nodes[node].store.resumes = false }
    guard !save(node) else { return true }
    nodes[node].unsaved = true
    return false
  }

  mutating func committed(
    _ frames: [LogFrame], _ node: Int, _ life: Int, _ connection: Int
  ) throws {
    guard nodes[node].isUp, nodes[node].life == life,
      nodes[node].following?.connection == connection, let followed = nodes[node].followed
    else { return }
    guard nodes[node].store.fence.admits(followed.name) else {
      throw failure("node \(node) takes frames below its fence")
    }
    var bytes: UInt64 = 0
    for frame in frames {
      guard nodes[node].store.adopt(followed), nodes[node].store.append(frame) else {
        throw failure("node \(node) was sent a frame that does not fit")
      }
      bytes += UInt64(frame.payload.count + LogFrame.overheadBytes)
      for check in expected
      where check.node == node && check.lsn == frame.lsn
        && check.connection == connection && check.digest != nodes[node].store.digest
      {
        throw failure("node \(node) has another digest at \(frame.lsn)")
      }
    }
    expected.removeAll { $0.node == node && $0.lsn <= nodes[node].store.end.lsn }
    _ = nodes[node].store.adopt(followed)
    guard var session = nodes[node].following?.session else { return }
    let actions = session.committed(nodes[node].store.end.lsn, bytes: bytes, now: now)
    nodes[node].following?.session = session
    try perform(actions, on: connection, at: node)
    try logGrew(node)
  }

  private mutating func fetch(_ node: Int) {
    guard let peer = members.first(where: { nodes[$0].store.isWriter && nodes[$0].isUp })
    else { return }
    let connection = network.open(from: node, to: peer)
    nodes[node].fetching = (connection, peer)
    let store = nodes[node].store
    send(
      .openSnapshot(
        .init(
          name: nodes[node].name, identity: store.identity, end: store.end,
          fence: store.fence.known)), on: connection, from: node)
    fetchDeadline[node] = now + 300
  }

  private mutating func restore(_ snapshot: Message.Snapshot, at node: Int) throws {
    let position = try snapshot.manifest.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      _ = try reader.read(UInt32.self, "node")
      return try reader.readPosition("position")
    }
    guard let store = snapshots[position], nodes[node].store.fence.admits(snapshot.identity.name)
    else { return }
    _ = nodes[node].store.fence.raise(to: snapshot.identity.name)
    nodes[node].store.restore(store)
    note("\(node) fetched a snapshot at \(position.lsn)")
  }
}
