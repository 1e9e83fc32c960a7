import VecDBBytes
import VecDBLogStore

/// The side of a connection that is followed: decides what a follower gets. Pure: it is told what
/// happened and what time it is, and says what is to be done.
///
/// It serves any node that has a log, so that replicas can be chained.
package struct PrimarySession: Sendable {
  package enum Action: Sendable, Hashable {
    case send(Message)
    /// Read about this many bytes of log after this LSN and hand them to `ship`.
    case ship(after: UInt64, bytesMaximum: Int)
    /// A replica holds the log durably up to here.
    case holds(name: String, node: UniqueID, lsn: UInt64, isHello: Bool)
    /// Somebody knows a higher epoch: stop accepting writes, durably.
    case stepDown(EpochName)
    /// Frames that this node had lost come back from a replica.
    case restore([LogFrame])
    /// Somebody wants to be the primary.
    case judge(Message.PromiseRequest)
    /// Somebody asks how it would be answered if it wanted that; nothing changes.
    case probe(Message.PromiseRequest)
    /// An epoch that was promised will never begin.
    case withdraw(EpochName)
    case openSnapshot(Message.Hello)
    case sendBlocks([Digest])
    case close(String)
  }

  package enum State: Sendable, Hashable {
    case greeting
    case streaming
    /// Getting back what this node lost.
    case pulling
    /// Serves blocks of a snapshot.
    case fetching
    case closed
  }

  package private(set) var state = State.greeting
  package private(set) var name = ""
  package private(set) var nodeID = UniqueID.zero
  /// The last LSN handed to the connection.
  package private(set) var sentLSN: UInt64 = 0
  package private(set) var progress = Message.Progress(
    received: 0, durable: 0, applied: 0, searchable: 0)
  private let limits: SessionLimits
  /// Whether this node writes itself; a replica that is followed does not.
  private let isWriter: Bool
  private var sentBytes: UInt64 = 0
  private var creditLimit: UInt64 = 0
  private var isReading = false
  private var bytesBehind: UInt64 = 0
  /// When it last said something.
  package private(set) var heard: UInt64
  private var spoke: UInt64
  private var sentIdentity: LogIdentity?
  private var pendingDigest: (lsn: UInt64, digest: Digest)?

  package init(now: UInt64, isWriter: Bool, limits: SessionLimits = SessionLimits()) {
    heard = now
    spoke = now
    self.isWriter = isWriter
    self.limits = limits
  }

  /// The peer said something.
  package mutating func received(
    _ message: Message, fence: Fence, history: some HistoryReading, now: UInt64
  ) -> [Action] {
    guard state != .closed else { return [] }
    heard = now
    switch (message, state) {
    case (.hello(let hello), .greeting): return greet(hello, fence, history, now)
    case (.openSnapshot(let hello), .greeting):
      name = hello.name
      state = .fetching
      if let identity = hello.identity, identity.databaseID != history.identity.databaseID {
        return refuse(.foreignDatabase, foreign(identity, history), fence, history)
      }
      return [.openSnapshot(hello)]
    case (.requestBlocks(let hashes), .fetching): return [.sendBlocks(hashes)]
    case (.requestPromise(let request), .greeting), (.requestPromise(let request), .streaming),
      (.probe(let request), .greeting), (.probe(let request), .streaming):
      guard request.databaseID == history.identity.databaseID else {
        return refuse(
          .foreignDatabase, "the candidate belongs to another database", fence, history)
      }
      if case .probe = message { return [.probe(request)] }
      return [.judge(request)]
    case (.withdraw(let epoch), _): return [.withdraw(epoch)]
    case (.credit(let bytes), .streaming):
      creditLimit = max(creditLimit, bytes)
      return pump(history, now)
    case (.progress(let told), .streaming):
      guard told.received <= sentLSN, told.durable <= told.received, told.applied <= told.received
      else {
        return refuse(
          .protocolViolation,
          "replica '\(name)' claims LSN \(max(told.received, told.durable)), but was sent "
            + "\(sentLSN)", fence, history)
      }
      let grew = told.durable > progress.durable
      progress = told
      return grew ? [.holds(name: name, node: nodeID, lsn: told.durable, isHello: false)] : []
    case (.heartbeat(let beat), .streaming), (.heartbeat(let beat), .pulling):
      guard beat.epoch > history.identity.name, beat.epoch > fence.known else { return [] }
      return [.stepDown(beat.epoch)]
        + refuse(.staleEpoch, "a higher epoch is known", Fence(beat.epoch), history)
    case (.heartbeat, .fetching): return []
    case (.pulled(let frames, let isLast), .pulling):
      guard
        frames.allSatisfy({ $0.epochCounter == history.identity.currentEpoch.counter })
      else {
        return refuse(
          .protocolViolation, "the replica gave back frames of another epoch", fence, history)
      }
      if isLast { state = .closed }
      return [.restore(frames)] + (isLast ? [.close("the replica gave back the lost batches")] : [])
    case (.pullRefused(let text), .pulling):
      return refuse(
        .notServing, "the replica is ahead but will not give back: \(text)", fence, history)
    case (.refuse(let refusal), _):
      // A fence counts if it is of this database, as the peer says now or has said in its hello.
      let isOurs =
        refusal.databaseID == history.identity.databaseID
        || refusal.databaseID == .zero && (state == .streaming || state == .pulling)
      state = .closed
      let end = Action.close("the replica refuses: \(refusal.text)")
      guard isOurs, refusal.fence > history.identity.name else { return [end] }
      return [.stepDown(refusal.fence), end]
    default:
      return refuse(.protocolViolation, "an unexpected message", fence, history)
    }
  }

  private mutating func greet(
    _ hello: Message.Hello, _ fence: Fence, _ history: some HistoryReading, _ now: UInt64
  ) -> [Action] {
    name = hello.name
    nodeID = hello.nodeID
    let relation = Relation(of: hello, to: history)
    // First of all: an epoch says something within its own database alone.
    if relation == .foreign {
      return refuse(.foreignDatabase, foreign(hello.identity, history), fence, history)
    }
    // What the follower has seen binds this side too; one that has no database has seen nothing.
    if hello.identity != nil, hello.fence > max(fence.known, history.identity.name) {
      return [.stepDown(hello.fence)]
        + refuse(
          .staleEpoch, "this node is of an older epoch than its replica", Fence(hello.fence),
          history)
    }
    if isWriter, fence.epoch > history.identity.name {
      return refuse(.staleEpoch, "\(fence.epoch) fences this node off", fence, history)
    }
    if hello.promised.contains(where: { $0 > history.identity.name }) {
      // It takes nothing from here before it knows what became of that.
      return refuse(
        .notServing, "the replica has promised itself to a candidate of a higher epoch", fence,
        history)
    }
    switch relation {
    case .foreign:
      return refuse(.foreignDatabase, foreign(hello.identity, history), fence, history)
    case .trimmed: return last(.snapshotNeeded(history.identity), "a snapshot is needed")
    case .diverged(let position):
      return last(
        .diverged(position, history.identity), "the replica left this history at \(position)")
    case .ahead:
      guard isWriter else {
        return refuse(
          .notServing, "the replica is ahead of this node, which follows too", fence, history)
      }
      state = .pulling
      return [.send(.pull(history.end))]
    case .behind:
      state = .streaming
      sentLSN = hello.end.lsn
      creditLimit = hello.creditBytes
      spoke = now
      sentIdentity = history.identity
      progress = .init(
        received: hello.end.lsn, durable: hello.end.lsn, applied: hello.end.lsn,
        searchable: hello.end.lsn)
      let welcome = Message.Welcome(
        identity: history.identity, primaryEnd: history.end.lsn,
        heartbeatMilliseconds: UInt32(limits.heartbeatMilliseconds), isPrimary: isWriter)
      return [
        .send(.welcome(welcome)),
        .holds(name: name, node: nodeID, lsn: hello.end.lsn, isHello: true),
      ] + pump(history, now)
    }
  }

  /// The log has grown, or its epochs.
  package mutating func logGrew(history: some HistoryReading, now: UInt64) -> [Action] {
    pump(history, now)
  }

  /// The primary knows its digest at an LSN; it is sent between the frames around it.
  package mutating func note(digest: Digest, at lsn: UInt64) {
    if state == .streaming, lsn > sentLSN { pendingDigest = (lsn, digest) }
  }

  private mutating func pump(_ history: some HistoryReading, _ now: UInt64) -> [Action] {
    guard state == .streaming else { return [] }
    guard sentLSN <= history.end.lsn else {
      state = .closed
      return [.close("this history was set back to before LSN \(sentLSN)")]
    }
    var actions: [Action] = []
    if let sent = sentIdentity, sent != history.identity {
      sentIdentity = history.identity
      spoke = now
      actions.append(.send(.epochs(history.identity)))
    }
    guard !isReading, sentLSN < history.end.lsn, sentBytes < creditLimit else { return actions }
    isReading = true
    return actions + [.ship(after: sentLSN, bytesMaximum: limits.messageBytes)]
  }

  /// What `Action.ship` asked for; `bytesBehind` is the log beyond these frames.
  package mutating func ship(
    _ frames: [LogFrame], bytesBehind: UInt64, history: some HistoryReading, now: UInt64
  ) -> [Action] {
    isReading = false
    guard state == .streaming, let last = frames.last else { return [] }
    self.bytesBehind = bytesBehind
    var actions: [Action] = []
    var rest = frames[...]
    if let digest = pendingDigest, digest.lsn <= last.lsn {
      let cut = frames.firstIndex { $0.lsn > digest.lsn } ?? frames.count
      if frames.contains(where: { $0.lsn == digest.lsn }) {
        actions.append(send(frames[..<cut], history, behind: bytesBehind))
        actions.append(.send(.digest(lsn: digest.lsn, digest.digest)))
        rest = frames[cut...]
      }
      pendingDigest = nil
    }
    if !rest.isEmpty { actions.append(send(rest, history, behind: bytesBehind)) }
    spoke = now
    sentLSN = last.lsn
    return actions + pump(history, now)
  }

  private mutating func send(
    _ frames: ArraySlice<LogFrame>, _ history: some HistoryReading, behind: UInt64
  ) -> Action {
    sentBytes += frames.reduce(0) { $0 + UInt64($1.payload.count + LogFrame.overheadBytes) }
    return .send(
      .data(
        Message.Data(
          frames: Array(frames), primaryEnd: history.end.lsn, bytesBehind: behind)))
  }

  /// Time passes: heartbeats go out, silent and slow peers are let go.
  package mutating func tick(history: some HistoryReading, now: UInt64) -> [Action] {
    switch state {
    case .closed: return []
    case .greeting where now > heard + limits.helloMilliseconds:
      state = .closed
      return [.close("no hello came")]
    case .greeting: return []
    case .fetching where now > heard + limits.silenceMilliseconds * 20:
      state = .closed
      return [.close("the replica has fallen silent while it fetched a snapshot")]
    case .fetching: return []
    case .streaming, .pulling:
      if now > heard + limits.silenceMilliseconds {
        state = .closed
        return [.close("replica '\(name)' has fallen silent")]
      }
      let actions = pump(history, now)
      guard state != .closed, now >= spoke + limits.heartbeatMilliseconds else { return actions }
      spoke = now
      return actions + [
        .send(
          .heartbeat(
            Message.Heartbeat(
              end: history.end.lsn,
              bytesBehind: sentLSN < history.end.lsn ? max(bytesBehind, 1) : 0,
              epoch: history.identity.name)))
      ]
    }
  }

  private func foreign(_ theirs: LogIdentity?, _ history: some HistoryReading) -> String {
    "the replica belongs to database \(theirs?.databaseID ?? .zero), this is "
      + "\(history.identity.databaseID), or the two histories have nothing in common"
  }

  private mutating func last(_ message: Message, _ reason: String) -> [Action] {
    state = .closed
    return [.send(message), .close(reason)]
  }

  private mutating func refuse(
    _ reason: Message.Refusal.Reason, _ text: String, _ fence: Fence,
    _ history: some HistoryReading
  ) -> [Action] {
    last(
      .refuse(
        Message.Refusal(
          reason, text, fence: fence.known, databaseID: history.identity.databaseID)), text)
  }
}
