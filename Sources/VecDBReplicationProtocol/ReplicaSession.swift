import VecDBBytes
import VecDBLogStore

/// The side of a connection that follows. Pure: it is told what happened and what time it is, and
/// says what is to be done.
package struct ReplicaSession: Sendable {
  package enum Action: Sendable, Hashable {
    case send(Message)
    /// Make this fence durable before doing what comes after it.
    case raiseFence(EpochName)
    /// An epoch that was promised will never begin.
    case withdraw(EpochName)
    /// Take up these epochs as far as the log reaches.
    case adopt(LogIdentity)
    /// Commit these frames, then call `committed`.
    case append([LogFrame])
    /// Hold the digest of the state at this LSN against the primary's.
    case compare(lsn: UInt64, Digest)
    /// Send the log after this LSN back to the primary, which lost it.
    case giveBack(after: UInt64)
    /// Save what follows the position, then go back to it.
    case rewind(LogPosition, LogIdentity)
    case bootstrap(LogIdentity)
    /// Tell whoever looks after the node; it goes on trying.
    case alarm(Concern, String)
    case close(String)
  }

  /// What an alarm is about.
  package enum Concern: Sendable, Hashable {
    /// The primary lost log that this node can no longer give back.
    case giveBack
    /// The peer does not let this node follow.
    case peer
  }

  package enum State: Sendable, Hashable {
    case greeting
    case streaming
    case givingBack
    case closed
  }

  /// The other side is of this database, or has none, is no primary, and hears none.
  package private(set) var heardNobody = false
  package private(set) var state = State.greeting
  /// The last LSN received, committed or not.
  package private(set) var receivedLSN: UInt64 = 0
  package private(set) var lag: Lag
  /// Whether the node that is followed is the primary, and not a follower itself.
  package private(set) var isOfPrimary = true
  private let limits: SessionLimits
  private let databaseID: UniqueID?
  private var identity: LogIdentity?
  private var receivedBytes: UInt64 = 0
  private var committedBytes: UInt64 = 0
  /// What the primary has said that it has beyond what it sent.
  private var beyondBytes: UInt64 = 0
  private var grantedBytes: UInt64
  private var heard: UInt64
  private var spoke: UInt64

  /// Begins with a hello that the caller sends.
  package init(hello: Message.Hello, lag: Lag, now: UInt64, limits: SessionLimits) {
    receivedLSN = hello.end.lsn
    databaseID = hello.identity?.databaseID
    grantedBytes = hello.creditBytes
    heard = now
    spoke = now
    self.lag = lag
    self.lag.applied(hello.end.lsn)
    self.limits = limits
  }

  package mutating func received(
    _ message: Message, fence: Fence, history: some HistoryReading, now: UInt64
  ) -> [Action] {
    guard state != .closed else { return [] }
    heard = now
    switch (message, state) {
    case (.welcome(let welcome), .greeting):
      guard isOurs(welcome.identity) else { return foreign() }
      guard let accepted = accept(welcome.identity, fence) else { return staleEpoch(fence) }
      state = .streaming
      isOfPrimary = welcome.isPrimary
      lag.heard(primaryLSN: welcome.primaryEnd, bytesBehind: 0, now: now)
      return accepted + [.adopt(welcome.identity)]
    case (.data(let data), .streaming):
      return take(data, now)
    case (.digest(let lsn, let digest), .streaming):
      guard lsn == receivedLSN else { return violation("a digest of another LSN") }
      return [.compare(lsn: lsn, digest)]
    case (.epochs(let new), .streaming):
      guard let identity, identity.isAncestor(of: new),
        // Of an epoch that began before what is here already, this is no prefix.
        new.epochs.dropFirst(identity.epochs.count).allSatisfy({ $0.beganAtLSN >= receivedLSN }),
        let accepted = accept(new, fence)
      else { return staleEpoch(fence) }
      return accepted + [.adopt(new)]
    case (.heartbeat(let beat), .streaming):
      guard fence.admits(beat.epoch) else { return staleEpoch(fence) }
      beyondBytes = beat.bytesBehind
      lag.heard(primaryLSN: beat.end, bytesBehind: missingBytes, now: now)
      return []
    case (.heartbeat, .givingBack): return []
    case (.withdraw(let epoch), _): return [.withdraw(epoch)]
    case (.snapshotNeeded(let new), .greeting):
      guard isOurs(new) else { return foreign() }
      guard let accepted = accept(new, fence) else { return staleEpoch(fence) }
      state = .closed
      return accepted + [.bootstrap(new)]
    case (.diverged(let position, let new), .greeting):
      guard isOurs(new) else { return foreign() }
      guard let accepted = accept(new, fence) else { return staleEpoch(fence) }
      state = .closed
      return accepted + [.rewind(position, new)]
    case (.pull(let position), .greeting):
      guard history.position(at: position.lsn) == position else {
        return cannotGiveBack(after: position, history)
      }
      state = .givingBack
      return [.giveBack(after: position.lsn)]
    case (.refuse(let refusal), _): return refused(refusal, fence)
    default: return violation("an unexpected message")
    }
  }

  /// The primary lost what this side has no log of any more, or went another way since. Nobody but
  /// an operator can say which of the two is to be kept.
  private mutating func cannotGiveBack(
    after position: LogPosition, _ history: some HistoryReading
  ) -> [Action] {
    state = .closed
    let isTrimmed = history.position(at: position.lsn) == nil
    let text =
      isTrimmed
      ? "the log after LSN \(position.lsn) is trimmed"
      : "the histories are not the same at LSN \(position.lsn)"
    return [
      .send(.pullRefused(text)),
      .alarm(
        .giveBack,
        "the primary ends at LSN \(position.lsn) and this node at \(history.end.lsn) of the same "
          + "epoch, but \(text): promote this node to keep the batches that the primary lost"),
      .close("the primary is behind, and \(text)"),
    ]
  }

  /// The fence that following this history needs; nil if it is one that must not be followed.
  private mutating func accept(_ new: LogIdentity, _ fence: Fence) -> [Action]? {
    guard fence.admits(new.name), isOurs(new) else { return nil }
    identity = new
    return new.name > fence.known ? [.raiseFence(new.name)] : []
  }

  private func isOurs(_ other: LogIdentity) -> Bool {
    databaseID == nil || databaseID == other.databaseID
  }

  private mutating func foreign() -> [Action] {
    state = .closed
    let text = "the node at the other end belongs to another database"
    return [.send(.refuse(.init(.foreignDatabase, text))), .alarm(.peer, text), .close(text)]
  }

  private mutating func take(_ data: Message.Data, _ now: UInt64) -> [Action] {
    guard let identity, !data.frames.isEmpty else { return violation("data without frames") }
    for frame in data.frames {
      guard frame.lsn == receivedLSN + 1 else {
        return violation("LSN \(frame.lsn) came instead of LSN \(receivedLSN + 1)")
      }
      guard frame.epochCounter == identity.epochCounter(at: frame.lsn) else {
        return violation("LSN \(frame.lsn) is of epoch \(frame.epochCounter)")
      }
      receivedLSN = frame.lsn
      receivedBytes += UInt64(frame.payload.count + LogFrame.overheadBytes)
    }
    beyondBytes = data.bytesBehind
    lag.heard(primaryLSN: max(data.primaryEnd, receivedLSN), bytesBehind: missingBytes, now: now)
    return [.append(data.frames)]
  }

  /// Frames are durable and searchable up to here; `bytes` is what they had.
  package mutating func committed(_ lsn: UInt64, bytes: UInt64, now: UInt64) -> [Action] {
    committedBytes += bytes
    lag.applied(lsn, bytesBehind: missingBytes)
    guard state == .streaming else { return [] }
    spoke = now
    var actions: [Action] = [.send(.progress(progress(lsn)))]
    // Half a window at a time, so that credit costs few messages.
    let granted = committedBytes + limits.creditBytes
    if granted - grantedBytes >= limits.creditBytes / 2 {
      grantedBytes = granted
      actions.append(.send(.credit(granted)))
    }
    return actions
  }

  /// Log that is not applied yet: what was received, and what the primary has beyond.
  private var missingBytes: UInt64 {
    beyondBytes + (receivedBytes > committedBytes ? receivedBytes - committedBytes : 0)
  }

  private func progress(_ lsn: UInt64) -> Message.Progress {
    Message.Progress(
      received: max(receivedLSN, lsn), durable: lsn, applied: lsn, searchable: lsn)
  }

  package mutating func tick(history: some HistoryReading, fence: Fence, now: UInt64)
    -> [Action]
  {
    guard state != .closed else { return [] }
    if now > heard + limits.silenceMilliseconds {
      state = .closed
      return [.close("the primary has fallen silent")]
    }
    guard state == .streaming, now >= spoke + limits.heartbeatMilliseconds else { return [] }
    spoke = now
    let beat = Message.Heartbeat(
      end: history.end.lsn, bytesBehind: 0, epoch: max(fence.known, history.identity.name))
    return [.send(.heartbeat(beat)), .send(.progress(progress(history.end.lsn)))]
  }

  /// This node has promised itself to a higher epoch: nothing more goes to a primary of a lower.
  package mutating func fenceRaised(to fence: Fence) -> [Action] {
    guard state != .closed, let identity, !fence.admits(identity.name) else { return [] }
    return staleEpoch(fence)
  }

  private mutating func refused(_ refusal: Message.Refusal, _ fence: Fence) -> [Action] {
    // A fence counts if it is of this database, as the peer says now or has said before.
    let isOurs =
      databaseID != nil
      && (refusal.databaseID == databaseID || refusal.databaseID == .zero && identity != nil)
    state = .closed
    heardNobody =
      refusal.reason == .notServing && refusal.fence <= fence.known
      && (isOurs && refusal.text == Message.Refusal.hearsNobody
        || refusal.text == Message.Refusal.hasNothing)
    let text = "the primary refuses: \(refusal.text)"
    switch refusal.reason {
    case .foreignDatabase: return [.alarm(.peer, text), .close(text)]
    // What a bad line damaged is no reason to wake anybody.
    case .protocolViolation: return [.close(text)]
    case .staleEpoch, .notServing, .overloaded, .notAllowed:
      let raise =
        isOurs && refusal.fence > fence.known ? [Action.raiseFence(refusal.fence)] : []
      return raise + [.close(text)]
    }
  }

  private mutating func staleEpoch(_ fence: Fence) -> [Action] {
    state = .closed
    let text = "the primary is of an older epoch than \(fence.epoch)"
    let refusal = Message.Refusal(
      .staleEpoch, text, fence: fence.known, databaseID: databaseID ?? .zero)
    return [.send(.refuse(refusal)), .close(text)]
  }

  private mutating func violation(_ text: String) -> [Action] {
    state = .closed
    return [.send(.refuse(.init(.protocolViolation, text))), .close(text)]
  }
}
