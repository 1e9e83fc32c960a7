import VecDB
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: Opening the database, and the acknowledgement policy

extension ReplicationNode {
  /// Opens the database and plugs the shipper in.
  ///
  /// - Parameter asFollower: it follows whatever it was. On the disk it stays what it was until
  ///   somebody of its database was reached.
  func openDatabase(asFollower: Bool = false) async throws {
    let database = try await Database.open(at: path, configuration: openingConfiguration)
    try await plugIn(database, asFollower: asFollower)
  }

  /// There must be a database.
  var openingConfiguration: DatabaseConfiguration {
    var configuration = configuration
    configuration.createIfMissing = false
    return configuration
  }

  /// Makes a database that was just opened that of this node; if that fails, it is closed.
  func plugIn(_ database: Database, asFollower: Bool = false) async throws {
    do { try await connect(database, asFollower: asFollower) } catch {
      state.withLock { state in
        if state.database === database { state.database = nil }
      }
      do { try await database.close() } catch let closing {
        options.logger.info("cannot close the database", metadata: ["error": "\(closing)"])
      }
      throw error
    }
  }

  private func connect(_ database: Database, asFollower: Bool) async throws {
    let found = try database.nodeRecord()
    var record = found
    // One that was never a node gets the name that was made for it.
    if record.nodeID == .zero { record.nodeID = state.withLock { $0.record.nodeID } }
    record.takeUp(database.logIdentity)
    let isUnproven = asFollower && !record.isFollower || state.withLock { $0.isUnproven }
    if isUnproven {
      record.isFollower = true
    } else if record != found {
      try await database.bind(record, evenIfNotDurable: false)
    }
    let terms = try Self.terms(try await database.acknowledgementPolicy())
    let shipper = Shipper(
      database: database, queue: queue, options: options, record: record, terms: terms)
    shipper.onStepDown = { [weak self] epoch in self?.steppedDown(epoch) }
    shipper.onWithdrawn = { [weak self] epoch in Task { await self?.withdrawn(epoch) } }
    shipper.judge = { [weak self] request, isProbe, answer in
      self?.judge(request, isProbe: isProbe, answer)
    }
    shipper.onAlarm = { [weak self] kind, text in
      if let text { self?.alarm(kind, text) } else { self?.clearAlarm(kind) }
    }
    if shipper.isHoldingWrites {
      _ = try await database.holdWrites(
        VecDBError(
          .readOnly, "this primary has just started and has not heard from enough replicas yet",
          at: path, remedy: "Start the replicas."))
    } else if isUnproven {
      _ = try await database.holdWrites(
        VecDBError(.readOnly, "this copy is about to follow a primary", at: path))
    }
    let bound = record
    state.withLock {
      $0.database = database
      $0.shipper = shipper
      $0.record = bound
      $0.isUnproven = isUnproven
      $0.isFetching = false
    }
    try await database.attach(shipper)
    database.nodeHandler.withLock { handler in
      handler = { [weak self] text in
        guard let self else { throw VecDBError.nothingServed(database.path) }
        return try await self.answer(text)
      }
    }
    if !record.isFollower { try await takeUpPolicy(of: database, shipper, terms) }
  }

  /// The other side was reached and is of this database: now the directory is a follower's.
  func proveFollowing() async throws {
    guard state.withLock({ $0.isUnproven }) else { return }
    try await changeRecord(evenIfNotDurable: false) { record in
      record.isFollower = true
      record.resumes = false
      return true
    }
    let database = state.withLock { state in
      state.isUnproven = false
      return state.database
    }
    _ = try await database?.holdWrites(nil)
  }

  /// Makes the policy that the options name that of the log.
  private func takeUpPolicy(
    of database: Database, _ shipper: Shipper, _ terms: AcknowledgementTerms
  ) async throws {
    let wanted = options.acknowledgement?.policy ?? terms.policy
    guard terms != AcknowledgementTerms(wanted) else { return }
    let first = terms.changing(to: wanted)
    // Before anybody can read of it, writes wait as it asks.
    await onQueue { shipper.replaceTerms(first) }
    // Without a permit nothing can be logged yet.
    guard first.replaced != nil || options.permit?.refusal != nil else {
      return try await database.appendAcknowledgementPolicy(first.encoded())
    }
    Task { [weak self] in await self?.changePolicy(of: database, shipper, through: first) }
  }

  /// Logs the change, waits until the replicas of the old policy hold that, and ends it.
  private func changePolicy(
    of database: Database, _ shipper: Shipper, through first: AcknowledgementTerms
  ) async {
    var isOver = false
    while !isOver, !isStopping, state.withLock({ $0.database }) === database {
      do {
        guard await isWritable else {
          alarm(.policy, "a change of the acknowledgement policy waits until writes are accepted")
          try await Task.sleep(nanoseconds: 50_000_000)
          continue
        }
        try await database.appendAcknowledgementPolicy(first.encoded())
        if first.replaced == nil { break }
        try await database.waitUntilAcknowledged()
        let last = AcknowledgementTerms(first.policy)
        try await database.appendAcknowledgementPolicy(last.encoded())
        await onQueue { shipper.replaceTerms(last) }
        options.logger.info(
          "the acknowledgement policy has changed",
          metadata: ["policy": "\(first.policy.isAsynchronous ? "asynchronous" : "replicas")"])
        isOver = true
      } catch let error as VecDBError where error.code == .outcomeUnknown {
        alarm(.policy, "the replicas do not confirm a change of the acknowledgement policy")
      } catch {
        options.logger.error(
          "cannot change the acknowledgement policy", metadata: ["error": "\(error)"])
        return
      }
    }
    clearAlarm(.policy)
  }

  static func terms(_ bytes: [UInt8]) throws -> AcknowledgementTerms {
    do { return try AcknowledgementTerms(decoding: bytes) } catch {
      throw VecDBError(.corrupt, "cannot read the acknowledgement policy: \(error)")
    }
  }

  // MARK: Opening it again

  /// A database that cannot be written to any more is opened again: recovery decides what was
  /// written. What it cannot cure comes back, later each time.
  func reopenIfPoisoned() async {
    guard let database = state.withLock({ $0.database }), database.isPoisoned else {
      if state.withLock({ $0.database }) == nil, !state.withLock({ $0.isFetching }) {
        await reopen("the database is not open")
      }
      return
    }
    await reopen("a write failed, and its outcome is unknown")
  }

  private func reopen(_ reason: String) async {
    do { guard try files.exists(path + "/log") else { return } } catch { return }
    alarm(.poisoned, "\(reason); this node opens the database again")
    let pause = generator.withLock { generator in
      state.withLock { $0.reopening.next(using: &generator) }
    }
    do {
      try await Task.sleep(nanoseconds: pause * 1_000_000)
      guard !isStopping else { return }
      try await closeDatabase()
    } catch {
      options.logger.info("cannot close the database", metadata: ["error": "\(error)"])
    }
    do {
      try await openDatabase()
      state.withLock { $0.reopenings += 1 }
      unopened.isOver(options.logger)
      options.logger.warning("the database was opened again")
      scheduleCalm()
    } catch {
      state.withLock { $0.lastError = "\(error)" }
      unopened.note(error, options.logger)
    }
  }

  /// The alarm goes when writing has worked for a while.
  private func scheduleCalm() {
    let reopenings = state.withLock { $0.reopenings }
    Task { [weak self] in
      do { try await Task.sleep(nanoseconds: 30_000_000_000) } catch { return }
      guard let self, self.state.withLock({ $0.reopenings }) == reopenings,
        let database = self.state.withLock({ $0.database }), !database.isPoisoned
      else { return }
      self.state.withLock { $0.reopening.reset() }
      self.clearAlarm(.poisoned)
    }
  }
}
