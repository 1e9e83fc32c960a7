import Bytes
import Files
import LogStore

/// What the replication layer does with a database. Everything that changes it runs on the writer.
extension Database {
  /// Plugs in who is told of commits; nil takes it out.
  package func attach(_ hooks: (any ReplicationHooks)?) async throws {
    try await queue.exclusively { engine in
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

  /// The acknowledgement policy at the present end, in the form of the replication protocol.
  package func acknowledgementPolicy() async throws -> [UInt8] {
    try await queue.exclusively { $0.state.acknowledgement }
  }

  /// Makes a policy part of the history. It is acknowledged under the one that it replaces.
  package func setAcknowledgementPolicy(_ policy: [UInt8]) async throws {
    try await queue.exclusively { engine in
      guard engine.state.acknowledgement != policy else { return }
      _ = try engine.write([BatchPayload.encodeAcknowledgement(policy)])
    }
  }

  /// Commits frames of the primary; see `Engine.append(received:of:)`. Calls back on the writer.
  package func append(
    received frames: [LogFrame], of identity: LogIdentity,
    _ body:
      @escaping @Sendable (Result<(position: LogPosition, dataDigest: Digest), VecDBError>)
      -> Void
  ) {
    queue.submit(
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
    try await queue.exclusively { try $0.adopt(identity) }
  }

  package func nodeRecord() throws -> NodeRecord {
    try VecDBError.translating { try NodeRecord.read(in: path, engine.fileSystem) }
  }

  /// Binds the node: durable, and obeyed by every write after it, on return.
  package func bind(_ record: NodeRecord) async throws {
    try await queue.exclusively { engine in
      // What was bound meanwhile is never taken back.
      var record = record
      let present = try NodeRecord.read(in: engine.directory.path, engine.fileSystem)
      if present.isAbove(record) {
        record.epochCounter = present.epochCounter
        record.epochID = present.epochID
      }
      try record.write(in: engine.directory.path, engine.fileSystem)
      engine.writeRefusal = record.refusal(
        epoch: engine.log.identity.currentEpoch, path: engine.directory.path)
    }
  }

  /// Refuses writes until it is called again with nil, without binding the node.
  package func holdWrites(_ reason: VecDBError?) async throws -> LogPosition {
    try await queue.exclusively { engine in
      let record = try NodeRecord.read(in: engine.directory.path, engine.fileSystem)
      engine.writeRefusal =
        record.refusal(epoch: engine.log.identity.currentEpoch, path: engine.directory.path)
        ?? reason
      return engine.state.position
    }
  }

  /// Opens an epoch at the present end, which must be `expected`, makes `policy` its first record
  /// unless it holds already, and lets clients write. Durable on return; nobody is waited for,
  /// since the old policy bound the old primary.
  package func openEpoch(
    _ epoch: Epoch, at expected: LogPosition, policy: [UInt8]
  ) async throws {
    try await onWriter { engine in
      guard engine.state.position == expected else {
        throw VecDBError(
          .notReached, "the log is at \(engine.state.position), not at \(expected)",
          at: engine.directory.path, remedy: "Try the promotion again.")
      }
      var identity = engine.log.identity
      identity.epochs.append(epoch)
      var record = NodeRecord()
      record.epochCounter = epoch.counter
      record.epochID = epoch.id
      try engine.log.adopt(identity)
      try record.write(in: engine.directory.path, engine.fileSystem)
      engine.writeRefusal = nil
      if engine.state.acknowledgement != policy {
        _ = try engine.write([BatchPayload.encodeAcknowledgement(policy)])
      }
    }
  }

  /// As `WriteQueue.exclusively`, without waiting for replicas.
  private func onWriter(_ body: @escaping @Sendable (Engine) throws -> Void) async throws {
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      queue.submit(
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
    minimumLSN: UInt64, timeoutMilliseconds: Int = 5_000
  ) async throws {
    let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
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
