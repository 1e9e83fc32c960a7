import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol
import VecDBThreads

/// What became of a promotion.
public struct PromotionReport: Sendable, Hashable, Codable {
  public var isPromoted: Bool
  /// What is provable about acknowledged writes: `none` are lost, `atMost` so many batches, or
  /// `unbounded`.
  public var loss: String
  public var lossBatches: UInt64?
  public var reason: String
  public var databaseID: String
  public var oldEpoch: UInt64
  public var newEpoch: UInt64
  /// The last LSN and the chain of the old epoch that the new one builds on.
  public var lsn: UInt64
  public var chain: String
  /// The nodes that bound themselves to the new epoch, beside this one.
  public var heard: [String]
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  /// When the new primary acknowledges writes; nil from a node of an older version.
  public var acknowledgement: String?
  /// Indexes that find too little, a sentence each; see ``CollectionHealth/finding``. Measured after
  /// the new primary had begun to serve. Nil from a node of an older version.
  public var findings: [String]?
}

extension ReplicationNode {
  /// Makes this follower the primary of a new epoch.
  ///
  /// Every peer is asked to bind itself to the new epoch, after which it accepts nothing from the
  /// old primary. Without `force` the promotion goes ahead only if it is certain that no
  /// acknowledged write is lost.
  ///
  /// - Parameters:
  ///   - planned: the old primary is alive and hands over: it stops writing, this node takes what
  ///     is left, and nothing is lost whatever the acknowledgement policy is.
  ///   - force: go ahead without proof; the report says what is known.
  /// - Throws: `notReached` if another node has more, naming it, if it cannot be proven that
  ///   nothing is lost, or if a higher epoch is known.
  public func promote(
    planned: Bool = false, force: Bool = false, timeout: Duration = .seconds(3)
  ) async throws -> PromotionReport {
    try await VecDBError.translating {
      try await DatabaseTracing(configuration, path: path).trace("promotion") { span in
        let report = try await becomePrimary(
          planned, force ? .any : .none, timeout.wholeMilliseconds)
        span?.note("vecdb.lsn", Int64(clamping: report.lsn))
        span?.note("vecdb.promotion.epoch", Int64(clamping: report.newEpoch))
        span?.note("vecdb.promotion.loss", report.loss)
        return report
      }
    }
  }

  /// As `promote`, with a limit on what may be lost.
  package func takeOver(
    planned: Bool, limit: LossLimit, timeoutMilliseconds: Int
  ) async throws -> PromotionReport {
    try await VecDBError.translating {
      try await becomePrimary(planned, limit, timeoutMilliseconds)
    }
  }

  private func becomePrimary(
    _ planned: Bool, _ limit: LossLimit, _ timeoutMilliseconds: Int
  ) async throws -> PromotionReport {
    let started = ContinuousClock.now
    guard role == .follower else {
      throw VecDBError(
        .invalidArgument, "this node is the primary already", at: path,
        remedy: "You need not do anything.")
    }
    try state.withLock { state in
      if state.isPromoting {
        throw VecDBError(.invalidArgument, "a promotion is under way", at: path)
      }
      if state.isFetching { throw VecDBError.nothingServed(path) }
      state.isPromoting = true
      state.promotionOutcome = nil
    }
    defer { state.withLock { $0.isPromoting = false } }
    let database = try database
    let record = state.withLock { $0.record }
    let standing = try await database.standing()
    var random = SystemRandomNumberGenerator()
    var machine = Promotion(
      candidate: options.name, nodeID: record.nodeID, identity: standing.identity,
      end: standing.end, fence: record.fence, terms: try Self.terms(standing.policy),
      counterAbove: state.withLock { $0.counterHint }, random: random.next())
    if !planned {
      // Whether it would come about, before anybody is bound: a promotion that is refused has
      // changed nothing.
      await gather(.probe(machine.request()), timeoutMilliseconds, into: &machine)
      let outcome = machine.decide(accepting: limit)
      guard case .promote = outcome else {
        state.withLock { $0.promotionOutcome = outcome }
        throw failure(of: outcome, standing.end)
      }
    }
    let epoch = machine.beginAsking()
    do {
      if !planned { try await bindOwn(epoch, &machine) }
      await gather(
        .requestPromise(machine.request(isPlanned: planned)), timeoutMilliseconds, into: &machine)
      if planned { try await bindOwn(epoch, &machine) }
      let outcome = machine.decide(accepting: limit)
      guard case .promote(let certificate, let opened) = outcome else {
        state.withLock { $0.promotionOutcome = outcome }
        throw failure(of: outcome, machine.end)
      }
      var report = try await begin(opened, certificate, started: started)
      // Search goes on meanwhile; whoever promoted must know how good it is.
      do { report.findings = try await Self.findings(in: database) } catch {
        options.logger.info(
          "cannot measure the recall of this copy", metadata: ["error": "\(error)"])
      }
      return report
    } catch {
      await giveUp(epoch, above: machine.highest.counter, database)
      throw error
    }
  }

  private static func findings(in database: Database) async throws -> [String] {
    try await onBackground { try database.measureHealth(queries: 32).compactMap(\.finding) }
  }

  /// This node's own promise: from here on it follows nobody of a lower epoch. What its log has, and
  /// under which policy, is read after that.
  private func bindOwn(_ epoch: EpochName, _ machine: inout Promotion) async throws {
    let database = try database
    try await changeRecord(evenIfNotDurable: false) { [self] record in
      var fence = record.fence
      guard record.isFollower, fence.promise(epoch) else { return false }
      record.fence = fence
      // A primary that was started as a follower is the primary again if nothing comes of this.
      if state.withLock({ $0.isUnproven }) { record.resumes = true }
      state.withLock { $0.candidacy = epoch }
      return true
    }
    guard state.withLock({ $0.record.fence.epoch == epoch }) else {
      throw VecDBError(
        .notReached, "this node has promised itself to another candidate", at: path,
        remedy: "Look at the status of the other nodes; otherwise try again.")
    }
    let (following, wasUnproven) = state.withLock { state in
      defer { state.isUnproven = false }
      return (state.following, state.isUnproven)
    }
    if wasUnproven { _ = try await database.holdWrites(nil) }
    await onQueue { following?.stop() }
    let standing = try await database.standing()
    machine.bound(
      identity: standing.identity, end: standing.end, terms: try Self.terms(standing.policy))
  }

  /// Opens the epoch: the node's own record first, then the log.
  private func begin(
    _ epoch: Epoch, _ certificate: PromotionCertificate, started: ContinuousClock.Instant
  ) async throws -> PromotionReport {
    let database = try database
    let name = EpochName(epoch)
    let policy = options.acknowledgement?.policy ?? .asynchronous
    let terms = AcknowledgementTerms(policy)
    await turnstile.enter()
    defer { turnstile.leave() }
    var record = state.withLock { $0.record }
    // Meanwhile another candidate may have been promised something.
    guard record.fence.epoch == name else {
      throw VecDBError(
        .notReached, "this node has promised itself to another candidate", at: path,
        remedy: "Look at the status of the other nodes; otherwise try again.")
    }
    record.isFollower = false
    record.resumes = false
    do {
      let bound = record
      let open = {
        try await database.openEpoch(
          epoch, at: certificate.position, policy: terms.encoded(), record: bound)
      }
      if let permit = options.permit {
        try await permit.whileOpening(open)
      } else {
        try await open()
      }
    } catch {
      // What the disk has is not known; what counts is that this process goes on following.
      state.withLock { $0.isUnsaved = true }
      throw error
    }
    var fence = record.fence
    _ = fence.raise(to: name)
    record.fence = fence
    let bound = record
    let shipper = state.withLock { state -> Shipper? in
      state.record = bound
      state.candidacy = nil
      state.isUnsaved = true
      return state.shipper
    }
    await onQueue { shipper?.epochsChanged(fence: bound.fence, terms: terms) }
    roleChanged()
    var report = PromotionReport(
      certificate, isPromoted: true, seconds: (ContinuousClock.now - started) / .seconds(1))
    report.acknowledgement =
      policy.isAsynchronous
      ? "asynchronous" : "waits for \(policy.needed) of \(policy.members.joined(separator: ", "))"
    options.logger.info(
      "this node is the primary now",
      metadata: [
        "epoch": "\(epoch.counter)", "lsn": "\(certificate.position.lsn)", "loss": "\(report.loss)",
      ])
    return report
  }

  /// The epoch will never begin: this node and those who promised themselves to it are free again.
  /// Unless the log has it, in whatever way that came about.
  private func giveUp(_ epoch: EpochName, above counter: UInt64, _ database: Database) async {
    state.withLock { state in
      state.candidacy = nil
      state.counterHint = max(state.counterHint, epoch.counter, counter)
    }
    guard !database.logIdentity.epochs.contains(where: { EpochName($0) == epoch }),
      !database.isPoisoned
    else { return }
    do {
      try await changeRecord(evenIfNotDurable: true) { record in
        var fence = record.fence
        fence.giveUp(epoch)
        record.fence = fence
        record.resumeIfFree(database.logIdentity)
        return true
      }
    } catch {
      options.logger.error(
        "cannot record that this node gave up an epoch", metadata: ["error": "\(error)"])
    }
    for peer in options.others {
      Task { [weak self, transport, options] in
        // Who is not reached now asks when it is back.
        for pause in [0, 200, 1_000, 3_000, 10_000] as [UInt64] {
          guard self?.isStopping == false else { return }
          do {
            try await Task.sleep(nanoseconds: pause * 1_000_000)
            let connection = try await transport.connect(peer)
            connection.queue.async {
              connection.send(.withdraw(epoch))
              connection.close("that was all")
            }
            return
          } catch {
            options.logger.debug(
              "cannot tell a peer that this node gave up an epoch",
              metadata: ["peer": "\(peer)", "error": "\(error)"])
          }
        }
      }
    }
  }

  private func failure(of outcome: Promotion.Outcome, _ end: LogPosition) -> VecDBError {
    switch outcome {
    case .promote: VecDBError(.notReached, "the promotion was interrupted", at: path)
    case .behind(let name, let position):
      VecDBError(
        .notReached, "'\(name)' has more: it is at LSN \(position.lsn), this node at \(end.lsn)",
        at: path, remedy: "Promote '\(name)'. While the primary runs, promote with --planned.")
    case .refused(let certificate):
      VecDBError(
        .notReached, "it is not certain that no write is lost: \(certificate.reason)", at: path,
        remedy: "Start more of the replicas and try again, or promote with --force.")
    case .stale(let epoch):
      VecDBError(
        .notReached, "a higher epoch is known: \(epoch)", at: path,
        remedy: "Another node is being promoted. Look at its status; otherwise try again.")
    }
  }

  /// After this long nobody is waited for whose answer changes nothing.
  private static let courtesyMilliseconds = 300

  /// Asks all peers, and waits for their answers until those that came are enough.
  private func gather(
    _ message: Message, _ timeoutMilliseconds: Int, into machine: inout Promotion
  ) async {
    let started = ContinuousClock.now
    for await promise in ask(message, timeoutMilliseconds) {
      if let promise { machine.received(promise) }
      guard ContinuousClock.now - started > .milliseconds(Self.courtesyMilliseconds),
        case .promote(let certificate, _) = machine.decide(isForced: false),
        certificate.loss == .none
      else { continue }
      return
    }
  }

  /// Asks all peers at the same time, and gives their answers as they come; nil now and then.
  private func ask(_ message: Message, _ timeoutMilliseconds: Int) -> AsyncStream<Message.Promise?>
  {
    AsyncStream { continuation in
      let (transport, options) = (transport, options)
      let clock = Task {
        while !Task.isCancelled {
          do { try await Task.sleep(nanoseconds: 50_000_000) } catch { return }
          continuation.yield(nil)
        }
      }
      let asking = Task {
        await withTaskGroup(of: Void.self) { tasks in
          for peer in options.others {
            tasks.addTask {
              do {
                let connection = try await transport.connect(
                  peer, timeoutMilliseconds: timeoutMilliseconds)
                let answer = await Question(connection).ask(
                  message, timeoutMilliseconds: timeoutMilliseconds)
                guard case .promise(let promise) = answer else { return }
                if let text = PeerNames.mismatch(promise.name, connection.certifiedNames) {
                  options.logger.info(
                    "an answer does not count",
                    metadata: ["peer": "\(peer)", "reason": "\(text)"])
                } else {
                  continuation.yield(promise)
                }
              } catch {
                options.logger.debug(
                  "cannot ask a peer", metadata: ["peer": "\(peer)", "error": "\(error)"])
              }
            }
          }
        }
        continuation.finish()
      }
      continuation.onTermination = { _ in
        clock.cancel()
        asking.cancel()
      }
    }
  }
}

extension VecDBError {
  static func nothingServed(_ path: String) -> VecDBError {
    VecDBError(.closed, "the copy is being fetched", at: path, remedy: "Try again in a moment.")
  }
}

extension PromotionReport {
  init(_ certificate: PromotionCertificate, isPromoted: Bool, seconds: Double) {
    let (loss, batches): (String, UInt64?) =
      switch certificate.loss {
      case .none: ("none", nil)
      case .atMost(let batches): ("atMost", batches)
      case .unbounded: ("unbounded", nil)
      }
    self.init(
      isPromoted: isPromoted, loss: loss, lossBatches: batches, reason: certificate.reason,
      databaseID: "\(certificate.databaseID)", oldEpoch: certificate.oldEpoch.counter,
      newEpoch: certificate.newEpoch.counter, lsn: certificate.position.lsn,
      chain: certificate.position.chain.hex, heard: certificate.heard, seconds: seconds)
  }
}
