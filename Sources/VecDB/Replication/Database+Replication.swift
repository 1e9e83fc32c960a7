import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What the replication layer does with a database. Everything that changes it runs on the writer.
extension Database {
  /// Plugs in who is told of commits; nil takes it out.
  package func attach(_ hooks: (any ReplicationHooks)?) async throws {
    try await writer.exclusively { engine in
      engine.replication = hooks
      hooks?.published(engine.state.position, dataDigest: engine.state.dataDigest)
    }
  }

  package var logIdentity: LogIdentity { engine.log.identity }
  package var logEnd: LogPosition { engine.log.end }
  package var log: WriteAheadLog { engine.log }
  package var files: any FileSystem { engine.fileSystem }
  package var figures: (lsn: UInt64, dataDigest: Digest, checkpointLSN: UInt64) {
    engine.shared.figures.withLock { ($0.lsn, $0.dataDigest, $0.checkpointLSN) }
  }

  /// When a write is acknowledged.
  package var acknowledgement: AcknowledgementInfo? {
    AcknowledgementRecord.info(engine.shared.figures.withLock { $0.acknowledgement })
  }

  /// What was done since the opening.
  package var activity: ActivityStats { engine.telemetry.now }

  /// What was measured last of searches in each collection.
  package var knownHealth: [CollectionHealth] {
    engine.shared.catalog.all.compactMap { $0.health.known(for: $0.generation.number) }
  }

  /// Waits until everything so far is acknowledged under the policy in force.
  package func waitUntilAcknowledged() async throws {
    let failure = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<VecDBError?, any Error>) in
      writer.submit(
        .exclusive { engine in
          do {
            let engine = try engine.get()
            engine.whenAcknowledged(engine.state.lsn) { continuation.resume(returning: $0) }
          } catch { continuation.resume(throwing: error) }
        }, sizeBytes: 0)
    }
    if let failure { throw failure }
  }

  /// The acknowledgement policy at the present end, in the form of the replication protocol.
  package func acknowledgementPolicy() async throws -> [UInt8] {
    try await writer.exclusively { $0.state.acknowledgement }
  }

  /// Commits frames of the primary; see `Engine.append(received:of:)`. Calls back on the writer.
  package func append(
    received frames: [LogFrame], of identity: LogIdentity,
    _ body:
      @escaping @Sendable (Result<(position: LogPosition, dataDigest: Digest), VecDBError>)
      -> Void
  ) {
    writer.submit(
      .exclusive { engine in
        do {
          let engine = try engine.get()
          try engine.append(received: frames, of: identity)
          self.buildAlong(engine)
          body(.success((engine.state.position, engine.state.dataDigest)))
        } catch { body(.failure(VecDBError(wrapping: error))) }
      }, sizeBytes: 0)
  }

  /// Begins with a candidate as soon as the log has its rebuild, so that little of it is left to be
  /// built when the swap comes.
  private func buildAlong(_ engine: Engine) {
    let isRebuilding = engine.shared.catalog.all.contains {
      $0.rebuilds.withLock { $0.state != nil }
    }
    if isRebuilding { rebuilds.wake() }
  }

  /// Takes up the epochs of the history that is followed, as far as they have begun.
  package func adopt(_ identity: LogIdentity) async throws {
    try await writer.exclusively { try $0.adopt(identity) }
  }

  /// Whether a write failed in a way after which nothing is written any more.
  package var isPoisoned: Bool { engine.telemetry.now.poisonings > 0 }

  package func nodeRecord() throws -> NodeRecord {
    try VecDBError.translating { try NodeRecord.read(in: path, engine.fileSystem) }
  }

  /// Binds the node: durable, and obeyed by every write after it, on return.
  ///
  /// - Parameter evenIfNotDurable: what happens if the record cannot be written. True: it binds this
  ///   process all the same. False: nothing has changed.
  package func bind(_ record: NodeRecord, evenIfNotDurable: Bool) async throws {
    try await writer.exclusively { engine in
      let earlier = engine.writeRefusal
      let refusal = record.refusal(
        epoch: engine.log.identity.currentEpoch, path: engine.directory.path)
      // Refused before it is durable; let in only after that.
      if refusal != nil { engine.writeRefusal = refusal }
      do { try record.write(in: engine.directory.path, engine.fileSystem) } catch {
        if !evenIfNotDurable { engine.writeRefusal = earlier }
        throw error
      }
      engine.writeRefusal = refusal
    }
  }

  /// Refuses writes until it is called again with nil, without binding the node.
  package func holdWrites(_ reason: VecDBError?) async throws -> LogPosition {
    try await writer.exclusively { engine in
      engine.writesHeld = reason
      return engine.state.position
    }
  }

  /// Where this copy is, and the acknowledgement policy there; behind everything that was handed
  /// to the writer before.
  package func standing() async throws -> (
    identity: LogIdentity, end: LogPosition, policy: [UInt8]
  ) {
    try await writer.exclusively { engine in
      (engine.log.identity, engine.state.position, engine.state.acknowledgement)
    }
  }

  /// Opens an epoch at the present end, which must be `expected`, makes `policy` its first record
  /// unless it holds already, and lets clients write. Durable on return; nobody is waited for,
  /// since the old policy bound the old primary.
  ///
  /// `record` is written first: without the epoch in the log it means nothing, so an error before
  /// that has opened nothing. Whether the log has the epoch, its identity tells.
  package func openEpoch(
    _ epoch: Epoch, at expected: LogPosition, policy: [UInt8], record: NodeRecord? = nil
  ) async throws {
    try await onWriter { engine in
      guard engine.state.position == expected else {
        throw VecDBError(
          .notReached, "the log is at \(engine.state.position), not at \(expected)",
          at: engine.directory.path, remedy: "Try the promotion again.")
      }
      try engine.requireHealthy()
      var identity = engine.log.identity
      identity.epochs.append(epoch)
      var opened = record ?? NodeRecord()
      if record == nil { opened.known = NodeRecord.EpochKey(counter: epoch.counter, id: epoch.id) }
      try opened.write(in: engine.directory.path, engine.fileSystem)
      try engine.log.adopt(identity)
      engine.writeRefusal = nil
      engine.writesHeld = nil
      if engine.state.acknowledgement != policy {
        _ = try engine.write([BatchPayload.encodeAcknowledgement(policy)])
      }
    }
  }

  /// Appends a policy to the log, and returns when it is durable here; nobody is waited for.
  package func appendAcknowledgementPolicy(_ policy: [UInt8]) async throws {
    try await onWriter { engine in
      guard engine.state.acknowledgement != policy else { return }
      _ = try engine.write([BatchPayload.encodeAcknowledgement(policy)])
    }
  }

  /// As `Writer.exclusively`, without waiting for replicas.
  private func onWriter(_ body: @escaping @Sendable (Engine) throws -> Void) async throws {
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      writer.submit(
        .exclusive { engine in
          continuation.resume(
            with: Result { try VecDBError.translating { try body(engine.get()) } })
        }, sizeBytes: 0)
    }
  }

  /// Reads log frames after `lsn`: about `bytesMaximum`, at least one if there is one. Throws
  /// `notFound` if they are trimmed away.
  package func logFrames(after lsn: UInt64, bytesMaximum: Int) throws -> [LogFrame] {
    struct Enough: Error {}
    var frames: [LogFrame] = []
    var bytes = 0
    do {
      let chunkBytes = min(max(1, bytesMaximum), WriteAheadLog.chunkBytes)
      try engine.log.read(after: lsn, through: lsn + 512, chunkBytes: chunkBytes) { frame in
        if bytes >= bytesMaximum { throw Enough() }
        frames.append(frame)
        bytes += frame.payload.count + LogFrame.overheadBytes
      }
    } catch is Enough {
      return frames
    } catch { throw VecDBError(wrapping: error) }
    return frames
  }

  /// Waits until everything through `lsn` is searchable here: reading your own writes on a replica.
  ///
  /// - Throws: `notReached` after the timeout, and says how far this copy is.
  public func waitUntilSearchable(
    minimumLSN: UInt64, timeout: Duration = .seconds(5)
  ) async throws {
    try await VecDBError.translating {
      let deadline = ContinuousClock.now + min(timeout, .seconds(1 << 40))
      while lsn < minimumLSN {
        try requireOpen()
        guard ContinuousClock.now < deadline else {
          throw VecDBError(
            .notReached, "LSN \(minimumLSN) is not searchable here yet; this copy is at LSN \(lsn)",
            at: path, remedy: "Wait longer, or ask the primary.")
        }
        try await Task.sleep(nanoseconds: 1_000_000)
      }
    }
  }
}
