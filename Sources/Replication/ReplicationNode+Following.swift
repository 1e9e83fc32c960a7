import Bytes
import Dispatch
import Files
import LogStore
import ReplicationProtocol
import VecDB

// MARK: Following: one attempt after the other

extension ReplicationNode {
  /// One attempt to follow, or for a primary one look at whether it has been replaced.
  func runOnce() async {
    let isFollower = state.withLock { $0.record.isFollower }
    let isPromoting = state.withLock { $0.isPromoting }
    guard let peer = nextPeer(), !isPromoting else { return await pause(200) }
    do {
      let connection = try await transport.connect(peer)
      let end = await follow(peer, connection)
      try await handle(end, peer: peer)
      if case .closed(let text) = end, isFollower {
        state.withLock { $0.lastError = text }
        await pause(backoffMilliseconds())
      }
    } catch {
      let failure = "\(peer): \(error)"
      state.withLock { $0.lastError = failure }
      options.logger.info("following failed", metadata: ["error": "\(failure)"])
      await pause(backoffMilliseconds())
    }
    if !isFollower { await pause(1_000) }
  }

  private func pause(_ milliseconds: UInt64) async {
    do { try await Task.sleep(nanoseconds: milliseconds * 1_000_000) } catch { return }
  }

  private func backoffMilliseconds() -> UInt64 {
    generator.withLock { generator in
      state.withLock { $0.backoff.next(using: &generator) }
    }
  }

  private func nextPeer() -> NodeAddress? {
    state.withLock { state in
      guard !options.peers.isEmpty, state.isHalted == nil else { return nil }
      // The one that worked last is tried first, then all in turn.
      state.attempt += 1
      let peer = options.peers[state.attempt % options.peers.count]
      state.peer = peer
      return peer
    }
  }

  private func follow(_ peer: NodeAddress, _ connection: WireConnection) async -> Following.End {
    let (database, shipper, record, lag) = state.withLock {
      ($0.database, $0.shipper, $0.record, $0.lag)
    }
    let fence = Fence(EpochName(counter: record.epochCounter, id: record.epochID))
    let history = database.map { DatabaseHistory(database: $0) }
    let hello = Message.Hello(
      name: options.name, identity: history?.identity, end: history?.end ?? .zero,
      fence: fence.epoch, samples: history?.samples() ?? [],
      creditBytes: options.limits.creditBytes)
    let following = Following(
      hello: hello, connection: connection, database: record.isFollower ? database : nil,
      shipper: shipper, lag: lag, fence: fence, limits: options.limits, logger: options.logger)
    following.raise = { [weak self] epoch, done in self?.raiseFence(epoch, done) }
    following.onAlarm = { [weak self] text in self?.alarm(text) }
    following.onStreaming = { [weak self, weak following] in
      guard let self else { return }
      guard record.isFollower else {
        // A primary only wanted to know who is there.
        following?.stop()
        return
      }
      shipper?.feed(true)
      self.state.withLock {
        $0.backoff.reset()
        $0.lastError = nil
        $0.attempt -= 1
      }
    }
    state.withLock { $0.following = following }
    let end = await following.run(hello)
    let lagAtEnd = await onQueue {
      shipper?.feed(false)
      return following.session.lag
    }
    state.withLock {
      $0.following = nil
      $0.lag = lagAtEnd
    }
    return end
  }

  private func handle(_ end: Following.End, peer: NodeAddress) async throws {
    guard state.withLock({ $0.record.isFollower }), !isStopping else { return }
    switch end {
    case .closed(let text):
      options.logger.info("following ended", metadata: ["reason": "\(text)"])
    case .rewind(let position, let identity):
      try await rejoin(from: peer, after: position, identity)
    case .bootstrap(let identity):
      try await rejoin(from: peer, after: nil, identity)
    case .halt(let text):
      state.withLock { $0.isHalted = text }
      alarm("this node has stopped following: \(text)")
    }
  }

  /// Saves what is only here, then replaces the copy by one of the peer's, taking the blocks that
  /// both have from the old one.
  private func rejoin(
    from peer: NodeAddress, after position: LogPosition?, _ identity: LogIdentity
  ) async throws {
    var end = LogPosition.zero
    var name: LogIdentity?
    if let database = state.withLock({ $0.database }) {
      end = database.logEnd
      name = database.logIdentity
      if let position, let tail = try await database.saveTail(after: position) {
        state.withLock { $0.tails.append(tail) }
        options.logger.warning(
          "saved \(tail.batches) batches that the new primary does not have in \(tail.frames)")
      }
    }
    var record = state.withLock { $0.record }
    let hello = Message.Hello(
      name: options.name, identity: name, end: end,
      fence: EpochName(counter: record.epochCounter, id: record.epochID))
    let snapshot = try await RemoteSnapshot.open(peer, transport: transport, hello: hello)
    defer { snapshot.close() }
    let fence = EpochName(counter: record.epochCounter, id: record.epochID)
    guard snapshot.identity.name >= fence else {
      throw VecDBError(.inputOutput, "\(peer) is of an older epoch than \(fence)")
    }
    record.isFollower = true
    record.epochCounter = snapshot.identity.currentEpoch.counter
    record.epochID = snapshot.identity.currentEpoch.id
    try await closeDatabase()
    let run = BootstrapRun(path: path, files: files, configuration: configuration)
    let bound = record
    do {
      let report = try await withCheckedThrowingContinuation { continuation in
        // Blocks are waited for there: not a thing for the cooperative pool.
        DispatchQueue.global(qos: .userInitiated).async {
          continuation.resume(
            with: Result {
              try run.run(
                snapshot.manifest, identity: snapshot.identity, from: snapshot, node: bound)
            })
        }
      }
      options.logger.notice(
        "fetched a copy at LSN \(report.lsn)",
        metadata: [
          "fetchedBytes": "\(report.fetchedBytes)", "reusedBytes": "\(report.reusedBytes)",
          "seconds": "\(report.seconds)",
        ])
      state.withLock { $0.lastBootstrap = report }
    } catch {
      if try files.exists(path + "/log") { try await openDatabase() }
      throw error
    }
    try await openDatabase()
  }

  /// Makes a higher fence durable; a primary that has been replaced becomes a follower.
  private func raiseFence(_ epoch: EpochName, _ done: @escaping @Sendable () -> Void) {
    let shipper = shipper
    queue.async {
      if let shipper { shipper.stepDownOrRaise(epoch) }
    }
    bind(epoch, then: done)
  }

  /// A fence that was raised in one connection binds all others of the node.
  func steppedDown(_ epoch: EpochName) {
    bind(epoch) {}
    let following = state.withLock { $0.following }
    queue.async { following?.fenceRaised(to: Fence(epoch)) }
  }

  /// Makes the fence durable, and a follower of whoever is not of that epoch.
  func bind(_ epoch: EpochName, then done: @escaping @Sendable () -> Void) {
    let (database, record) = state.withLock { state -> (Database?, NodeRecord) in
      let known = EpochName(counter: state.record.epochCounter, id: state.record.epochID)
      if epoch > known {
        state.record.epochCounter = epoch.counter
        state.record.epochID = epoch.id
      }
      if let database = state.database, database.logIdentity.name < epoch {
        state.record.isFollower = true
      }
      return (state.database, state.record)
    }
    let (logger, files, path) = (options.logger, files, path)
    Task {
      do {
        if let database {
          try await database.bind(record)
        } else if try files.exists(path) {
          try record.write(in: path, files)
        }
      } catch { logger.error("the node's record cannot be written: \(error)") }
      done()
    }
  }
}
