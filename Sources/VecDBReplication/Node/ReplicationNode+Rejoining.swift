import VecDB
import VecDBLogStore
import VecDBReplicationProtocol
import VecDBThreads

// MARK: Fetching a copy: from another node, in the place of what is there

extension ReplicationNode {
  /// Saves what is only here, then replaces the copy by one of the peer's, taking the blocks that
  /// both have from the old one. Searches go on in the old one until the new one is proven.
  func rejoin(
    from peer: NodeAddress, after position: LogPosition?, _ identity: LogIdentity
  ) async throws {
    let mayBegin = state.withLock { state in
      guard !state.isPromoting else { return false }
      state.isFetching = true
      return true
    }
    guard mayBegin else { return }
    defer {
      state.withLock {
        $0.isFetching = false
        $0.fetched = nil
      }
    }
    let open = state.withLock { $0.database }
    // Nobody is told of this copy any more, and nobody binds it.
    let shipper = shipper
    await onQueue { shipper?.closeAll("this node fetches another copy") }
    if let open, let position, let tail = try await open.saveTail(after: position) {
      state.withLock { $0.tails.append(tail) }
      options.logger.warning(
        "saved batches that the new primary does not have",
        metadata: ["batches": "\(tail.batches)", "file": "\(tail.frames)"])
    }
    let record = state.withLock { $0.record }
    let hello = Message.Hello(
      name: options.name, identity: open?.logIdentity, end: open?.logEnd ?? .zero,
      fence: record.fence.known, nodeID: record.nodeID)
    let snapshot = try await RemoteSnapshot.open(peer, transport: transport, hello: hello)
    state.withLock { $0.snapshot = snapshot }
    defer {
      state.withLock { $0.snapshot = nil }
      snapshot.close()
    }
    guard !isStopping else { return }
    if let open, open.logIdentity.databaseID != snapshot.identity.databaseID {
      throw VecDBError(.inputOutput, "\(peer) belongs to another database")
    }
    _ = try following(snapshot, from: peer)
    let run = BootstrapRun(
      path: path, files: files, configuration: configuration,
      progress: { [weak self] progress in self?.state.withLock { $0.fetched = progress } })
    let partial = partial
    let copy = try await onBackground {
      try run.prepare(
        snapshot.manifest, identity: snapshot.identity, from: snapshot, beside: open,
        partial: partial)
    }
    try await takePlace(copy, of: snapshot, from: peer, instead: open)
    partial.discard()
  }

  /// What this node is bound to once it has that copy.
  private func following(_ snapshot: RemoteSnapshot, from peer: NodeAddress) throws -> NodeRecord {
    var record = state.withLock { $0.record }
    var fence = record.fence
    guard fence.admits(snapshot.identity.name) else {
      throw VecDBError(.inputOutput, "\(peer) is of an older epoch than \(fence.epoch)")
    }
    record.isFollower = true
    record.resumes = false
    _ = fence.raise(to: snapshot.identity.name)
    record.fence = fence
    return record
  }

  /// Closes the old copy, if there is one, puts the new one in its place and opens that. For these
  /// milliseconds whoever asks for the database waits.
  private func takePlace(
    _ copy: PreparedCopy, of snapshot: RemoteSnapshot, from peer: NodeAddress,
    instead old: Database?
  ) async throws {
    let (database, report) = try await exchange(copy, of: snapshot, from: peer, instead: old)
    try await plugIn(database)
    tell(try report.get())
  }

  private func exchange(
    _ copy: PreparedCopy, of snapshot: RemoteSnapshot, from peer: NodeAddress,
    instead old: Database?
  ) async throws -> (Database, Result<BootstrapRun.Report, any Error>) {
    // Since the copy was begun the node may have been bound to more, and may be no longer.
    await turnstile.enter()
    defer { turnstile.leave() }
    let record: NodeRecord
    do {
      let bound = try following(snapshot, from: peer)
      record = bound
      try await onBackground { try copy.bind(bound) }
    } catch {
      copy.discard()
      throw error
    }
    do {
      try await old?.endWork()
      let (path, configuration) = (path, openingConfiguration)
      return try await onBackground { [self] in
        state.withLock { state in
          state.isReplacing = true
          state.database = nil
          state.shipper = nil
        }
        defer { state.withLock { $0.isReplacing = false } }
        old?.closeNow()
        // If it cannot take the place, the older copy goes on.
        let published = Result { try copy.publish() }
        guard try files.exists(path + "/log") else {
          _ = try published.get()
          throw VecDBError.nothingServed(path)
        }
        let database = try Database.openNow(at: path, configuration: configuration)
        state.withLock { state in
          state.database = database
          if case .success = published { state.record = record }
        }
        return (database, published)
      }
    } catch {
      // What has begun to close is closed, and opened again by the next attempt.
      do { try await closeDatabase() } catch let closing {
        options.logger.info("cannot close the database", metadata: ["error": "\(closing)"])
      }
      throw error
    }
  }

  private func tell(_ report: BootstrapRun.Report) {
    state.withLock { $0.lastBootstrap = report }
    options.logger.info(
      "fetched a copy",
      metadata: [
        "lsn": "\(report.lsn)", "fetchedBytes": "\(report.fetchedBytes)",
        "reusedBytes": "\(report.reusedBytes)",
        "seconds": "\(report.seconds)",
      ])
  }
}
