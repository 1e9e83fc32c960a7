import Dispatch
import VecDB
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: Following: one attempt after the other

extension ReplicationNode {
  /// One attempt to follow, or for a primary one look at whether it has been replaced.
  func runOnce() async {
    await saveRecord()
    await reopenIfPoisoned()
    let isFollower = state.withLock { $0.record.isFollower }
    let isPromoting = state.withLock { $0.isPromoting }
    guard let peer = nextPeer(), !isPromoting else { return await pause(200) }
    do {
      let connection = try await transport.connect(peer)
      let end = await follow(peer, connection)
      try await handle(end, peer: peer)
      if case .closed(let text) = end, isFollower {
        state.withLock { $0.lastError = text }
        if !isStopping { tell(text, from: "\(peer)") }
        try await goOnIfNobodyIsPrimary()
        await pause(backoffMilliseconds())
      }
    } catch {
      let failure = "\(peer): \(error)"
      state.withLock {
        $0.lastError = failure
        $0.unprovenAttempts += 1
      }
      if isFollower { tell("\(error)", from: "\(peer)") }
      options.logger.debug("following failed", metadata: ["error": "\(failure)"])
      await pause(backoffMilliseconds())
    }
    if !isFollower { await pause(1_000) }
  }

  private func pause(_ milliseconds: UInt64) async {
    guard let peers = options.livePeers else {
      do { try await Task.sleep(nanoseconds: milliseconds * 1_000_000) } catch { return }
      return
    }
    // Whom to follow may be known at any moment.
    let (changes, end) = (peers.changes, ContinuousClock.now + .milliseconds(milliseconds))
    while ContinuousClock.now < end {
      guard peers.changes == changes else {
        return state.withLock { state in
          state.attempt = 0
          state.backoff.reset()
        }
      }
      do { try await Task.sleep(nanoseconds: 25_000_000) } catch { return }
    }
  }

  private func backoffMilliseconds() -> UInt64 {
    generator.withLock { generator in
      state.withLock { $0.backoff.next(using: &generator) }
    }
  }

  /// All in turn, beginning with the first; the one that worked last is tried first.
  private func nextPeer() -> NodeAddress? {
    let others = options.others
    return state.withLock { state in
      guard !others.isEmpty else { return nil }
      let peer = others[state.attempt % others.count]
      state.attempt = (state.attempt + 1) % others.count
      state.peer = peer
      return peer
    }
  }

  func hello(_ history: DatabaseHistory?, _ record: NodeRecord) -> Message.Hello {
    Message.Hello(
      name: options.name, identity: history?.identity, end: history?.end ?? .zero,
      fence: record.fence.known, samples: history?.samples() ?? [],
      creditBytes: options.limits.creditBytes, nodeID: record.nodeID,
      promised: record.fence.promised)
  }

  private func follow(_ peer: NodeAddress, _ connection: WireConnection) async -> Following.End {
    let (database, shipper, record, lag) = state.withLock {
      ($0.database, $0.shipper, $0.record, $0.lag)
    }
    let hello = hello(database.map { DatabaseHistory(database: $0) }, record)
    let following = Following(
      hello: hello, connection: connection, database: record.isFollower ? database : nil,
      shipper: shipper, lag: lag, fence: record.fence, limits: options.limits,
      logger: options.logger)
    following.raise = { [weak self] epoch, done in
      Task {
        do {
          try await self?.raiseFence(epoch)
          done(true)
        } catch { done(false) }
      }
    }
    following.onWithdrawn = { [weak self] epoch in Task { await self?.withdrawn(epoch) } }
    following.onAlarm = { [weak self] concern, text in
      switch concern {
      case .digest: self?.alarm(.digest, text)
      case .giveBack: self?.alarm(.giveBack, text)
      case .peer: self?.alarm(.peer("\(peer)"), "\(peer): \(text)")
      }
    }
    following.onStreaming = { [weak self, weak following] isOfPrimary in
      guard let self else { return }
      guard record.isFollower else {
        // A primary only wanted to know who is there.
        following?.stop()
        return
      }
      self.streaming(from: peer, shipper, isOfPrimary: isOfPrimary)
    }
    state.withLock { $0.following = following }
    let end = await following.run(hello)
    let (lagAtEnd, heardNobody) = await onQueue {
      shipper?.feed(false)
      return (following.session.lag, following.session.heardNobody)
    }
    state.withLock {
      $0.following = nil
      $0.lag = lagAtEnd
      $0.unprovenAttempts += 1
      if heardNobody, peer == options.others.first { $0.heardNobody = true }
    }
    return end
  }

  /// A primary that was started as a follower, as after a failover by the same command line as
  /// before. The node that it is told to follow is no primary and hears none, and no other peer is
  /// one: it is the primary that they wait for. As long as the first one is not reached, that may be
  /// the primary.
  private func goOnIfNobodyIsPrimary() async throws {
    let isAlone = state.withLock { state in
      state.isUnproven && state.heardNobody && state.unprovenAttempts >= options.others.count
        && !state.isPromoting
    }
    guard isAlone, !isStopping else { return }
    options.logger.info("no peer is the primary or hears one: this node was it, and continues")
    try await closeDatabase()
    state.withLock { $0.isUnproven = false }
    try await openDatabase()
    roleChanged()
  }

  private func streaming(from peer: NodeAddress, _ shipper: Shipper?, isOfPrimary: Bool) {
    shipper?.feed(true)
    let isFirst = state.withLock { state in
      state.backoff.reset()
      let isFirst = state.lastError != nil || state.told.count > 0
      state.lastError = nil
      state.told = [:]
      // This one again, if it is lost.
      if let index = options.others.firstIndex(of: peer) { state.attempt = index }
      return isFirst
    }
    if isFirst { options.logger.info("following", metadata: ["peer": "\(peer)"]) }
    clearAlarm(.peer("\(peer)"))
    clearAlarm(.giveBack)
    Task { [weak self] in
      do { try await self?.proveFollowing() } catch {
        self?.options.logger.error(
          "this node cannot become a replica", metadata: ["error": "\(error)"])
        self?.state.withLock { $0.following }?.stop()
      }
    }
    if !isOfPrimary { lookForPrimary(instead: peer) }
  }

  /// A follower of a follower moves to the primary as soon as it can be reached: writes wait for
  /// those that follow it directly.
  private func lookForPrimary(instead present: NodeAddress) {
    let others = options.others.filter { $0 != present }
    guard !others.isEmpty else { return }
    Task { [weak self] in
      while true {
        do { try await Task.sleep(nanoseconds: 1_000_000_000) } catch { return }
        for peer in others {
          guard let self, !self.isStopping, let following = self.state.withLock({ $0.following }),
            await self.onQueue({
              following.session.state == .streaming && !following.session.isOfPrimary
            })
          else { return }
          guard await self.isPrimary(peer) else { continue }
          self.options.logger.info("moving to the primary", metadata: ["peer": "\(peer)"])
          self.state.withLock { state in
            if let index = self.options.others.firstIndex(of: peer) { state.attempt = index }
          }
          await self.onQueue { following.stop() }
          return
        }
      }
    }
  }

  /// Asks a peer whether it is the primary of this history.
  private func isPrimary(_ peer: NodeAddress) async -> Bool {
    let (database, record) = state.withLock { ($0.database, $0.record) }
    guard let database else { return false }
    let hello = hello(DatabaseHistory(database: database), record)
    do {
      let connection = try await transport.connect(peer)
      let answer = await Question(connection).ask(
        .hello(hello), timeoutMilliseconds: Int(options.limits.helloMilliseconds))
      guard case .welcome(let welcome) = answer else { return false }
      return welcome.isPrimary && record.fence.admits(welcome.identity.name)
    } catch { return false }
  }

  private func handle(_ end: Following.End, peer: NodeAddress) async throws {
    guard state.withLock({ $0.record.isFollower }), !isStopping else { return }
    switch end {
    case .closed(let text):
      options.logger.debug("following ended", metadata: ["reason": "\(text)"])
    case .rewind(let position, let identity):
      try await proveFollowing()
      try await rejoin(from: peer, after: position, identity)
    case .bootstrap(let identity):
      try await proveFollowing()
      try await rejoin(from: peer, after: nil, identity)
    }
  }
}
