import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: The other side of a promotion: binding oneself to a candidate

extension ReplicationNode {
  /// Answers a candidate. On the node's queue.
  func judge(
    _ request: Message.PromiseRequest, isProbe: Bool,
    _ answer: @escaping @Sendable (Message) -> Void
  ) {
    Task { [weak self] in
      guard let self else { return }
      do {
        let promise = isProbe ? try await self.probed(request) : try await self.judge(request)
        answer(.promise(promise))
      } catch {
        options.logger.info("cannot answer a candidate", metadata: ["error": "\(error)"])
      }
    }
  }

  /// How this node would answer; nothing changes.
  private func probed(_ request: Message.PromiseRequest) async throws -> Message.Promise {
    let database = try database
    let (shipper, record) = state.withLock { ($0.shipper, $0.record) }
    let isPrimary = await onQueue {
      shipper.map { $0.isWriter && !$0.isHoldingWrites } ?? false
    }
    var fence = record.fence
    var promise = fence.judge(
      request, name: options.name, nodeID: record.nodeID, isPrimary: isPrimary,
      history: DatabaseHistory(database: database))
    if state.withLock({ $0.isUnproven }) {
      // A promise would make it a follower on the disk, and nobody the primary if it is given back.
      promise.isGranted = false
      promise.fence = record.fence.epoch
      promise.text = "this node was the primary, and has not found the new primary yet"
    }
    // No candidate but the primary itself, which asks whether this node waits for it.
    if request.epoch == database.logIdentity.name, record.fence.admits(request.epoch),
      record.isFollower, let waits = options.waitsForPrimary, waits(request.candidate)
    {
      promise.text = Self.waitingText
    }
    return promise
  }

  /// What a node answers that waits for a primary which lost its coordinator.
  static let waitingText = "this node waits for its primary"

  /// Asks these nodes to wait for this primary. True if all of them will.
  package func askToWait(_ peers: [NodeAddress], timeoutMilliseconds: Int) async -> Bool {
    guard role == .primary, let database = state.withLock({ $0.database }) else { return false }
    let request = Message.PromiseRequest(
      candidate: options.name, databaseID: database.logIdentity.databaseID,
      epoch: database.logIdentity.name, end: database.logEnd, isPlanned: false)
    let (transport, logger) = (transport, options.logger)
    return await withTaskGroup(of: Bool.self) { tasks in
      for peer in peers {
        tasks.addTask {
          do {
            let connection = try await transport.connect(
              peer, timeoutMilliseconds: timeoutMilliseconds)
            let answer = await Question(connection).ask(
              .probe(request), timeoutMilliseconds: timeoutMilliseconds)
            guard case .promise(let promise) = answer else { return false }
            return promise.text == Self.waitingText
          } catch {
            logger.debug("cannot ask a peer to wait", metadata: ["error": "\(error)"])
            return false
          }
        }
      }
      return await tasks.reduce(true) { $0 && $1 }
    }
  }

  private func judge(_ request: Message.PromiseRequest) async throws -> Message.Promise {
    let database = try database
    guard let shipper else { throw VecDBError.nothingServed(path) }
    let first = try await probed(request)
    guard first.isGranted else { return first }
    let wasWriter = await onQueue { shipper.isWriter && !shipper.isHoldingWrites }
    let isHeld = wasWriter || request.isPlanned
    if request.isPlanned, wasWriter {
      guard try await handOver(request, database, shipper) else {
        await letWritesIn(database, shipper)
        var promise = first
        promise.isGranted = false
        promise.fence = .none
        promise.text = "the candidate did not fetch the remaining batches in time"
        return promise
      }
    } else if wasWriter {
      _ = try await database.holdWrites(
        VecDBError(.notPrimary, "another node is becoming the primary", at: path))
    }
    let promise = try await bind(to: request, database, shipper, wasWriter: wasWriter)
    if !promise.isGranted, isHeld { await letWritesIn(database, shipper) }
    return promise
  }

  private func letWritesIn(_ database: Database, _ shipper: Shipper) async {
    guard await onQueue({ shipper.isWriter && !shipper.isHoldingWrites }) else { return }
    do { _ = try await database.holdWrites(nil) } catch {
      options.logger.error("cannot accept writes", metadata: ["error": "\(error)"])
    }
  }

  /// Stops following first, so that nothing more is confirmed to a primary that the candidate does
  /// not hear of; then makes the promise durable. What cannot be made durable is not granted.
  private func bind(
    to request: Message.PromiseRequest, _ database: Database, _ shipper: Shipper, wasWriter: Bool
  ) async throws -> Message.Promise {
    let following = state.withLock { $0.following }
    await onQueue { following?.stop() }
    _ = try await database.standing()
    let name = options.name
    let answer = Guarded<Message.Promise?>(nil)
    do {
      try await changeRecord(evenIfNotDurable: false) { [self] record in
        var fence = record.fence
        let promise = fence.judge(
          request, name: name, nodeID: record.nodeID, isPrimary: wasWriter,
          history: DatabaseHistory(database: database))
        answer.withLock { $0 = promise }
        guard promise.isGranted else { return false }
        // Its own candidacy ends with that.
        if let own = state.withLock({ $0.candidacy }) { fence.giveUp(own) }
        record.fence = fence
        if !record.isFollower {
          record.isFollower = true
          record.resumes = true
        }
        return true
      }
    } catch {
      guard var promise = answer.withLock({ $0 }) else { throw error }
      promise.isGranted = false
      promise.text = "this node cannot write its record: \(error)"
      return promise
    }
    guard let promise = answer.withLock({ $0 }) else { throw VecDBError.nothingServed(path) }
    return promise
  }

  /// Stops writing and waits until the candidate has everything.
  private func handOver(
    _ request: Message.PromiseRequest, _ database: Database, _ shipper: Shipper
  ) async throws -> Bool {
    let end = try await database.holdWrites(
      VecDBError(
        .notPrimary, "this primary is handing over to '\(request.candidate)'", at: path,
        remedy: "Write to that node in a moment."))
    let deadline = ContinuousClock.now + .milliseconds(2_500)
    while ContinuousClock.now < deadline {
      let held = await onQueue {
        shipper.followers.first { $0.name == request.candidate }?.durableLSN
      }
      if let held, held >= end.lsn { return true }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    return false
  }
}
