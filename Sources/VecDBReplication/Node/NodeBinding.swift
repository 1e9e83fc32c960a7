import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

extension EpochName {
  init(_ key: NodeRecord.EpochKey) { self.init(counter: key.counter, id: key.id) }
  var key: NodeRecord.EpochKey { NodeRecord.EpochKey(counter: counter, id: id) }
}

extension NodeRecord {
  /// The same as the state machines know it.
  var fence: Fence {
    get {
      Fence(
        EpochName(known), promised: promised.map { EpochName($0) },
        givenUp: givenUp.map { EpochName($0) })
    }
    set {
      known = newValue.known.key
      promised = newValue.promised.map(\.key)
      givenUp = newValue.givenUp.map(\.key)
    }
  }

  /// A node that promised itself and is free again goes on writing, if it wrote before.
  mutating func resumeIfFree(_ identity: LogIdentity) {
    guard resumes, fence.admits(identity.name) else { return }
    resumes = false
    isFollower = false
  }

  /// What a node that starts makes of what it finds.
  mutating func takeUp(_ identity: LogIdentity) {
    var fence = fence
    // It may have ended between its own record and the epoch in the log.
    if fence.giveUpUnbegun(of: nodeID, identity: identity) { isFollower = true }
    _ = fence.raise(to: identity.name)
    self.fence = fence
    resumeIfFree(identity)
  }
}

/// Lets one task after the other through.
final class Turnstile: Sendable {
  private struct State {
    var isTaken = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Guarded(State())

  func enter() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if !state.isTaken {
          state.isTaken = true
          return true
        }
        state.waiting.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
  }

  func leave() {
    let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if state.waiting.isEmpty {
        state.isTaken = false
        return nil
      }
      return state.waiting.removeFirst()
    }
    next?.resume()
  }
}

// MARK: What the node is bound to: durable first, then obeyed by everything in this process

extension ReplicationNode {
  /// Changes the node's record, one change at a time. `body` returns whether there is a change.
  ///
  /// - Parameter evenIfNotDurable: what happens if the record cannot be written. True: this process
  ///   obeys it all the same, and tries to write it again. False: nothing has changed.
  /// - Throws: what writing the record throws.
  func changeRecord(
    evenIfNotDurable: Bool, _ body: @Sendable (inout NodeRecord) -> Bool
  ) async throws {
    await turnstile.enter()
    defer { turnstile.leave() }
    let (database, shipper, before) = state.withLock { ($0.database, $0.shipper, $0.record) }
    var record = before
    guard body(&record) || state.withLock({ $0.isUnsaved }) else { return }
    do {
      if let database {
        try await database.bind(record, evenIfNotDurable: evenIfNotDurable)
      } else if try files.exists(path + "/log") {
        try VecDBError.translating { try record.write(in: path, files) }
      }
      state.withLock { $0.isUnsaved = false }
      clearAlarm(.record)
    } catch {
      alarm(.record, "cannot write the node's record: \(error)")
      guard evenIfNotDurable else { throw error }
      state.withLock { $0.isUnsaved = true }
      obey(record, before, shipper)
      throw error
    }
    obey(record, before, shipper)
  }

  private func obey(_ record: NodeRecord, _ before: NodeRecord, _ shipper: Shipper?) {
    state.withLock { $0.record = record }
    let fence = record.fence
    queue.async { [self] in
      shipper?.raise(fence)
      if before.isFollower, !record.isFollower { shipper?.becomeWriter() }
      state.withLock { $0.following }?.fenceRaised(to: fence)
    }
    guard before.isFollower != record.isFollower else { return }
    if record.isFollower { clearAlarmsOfPrimary() }
    roleChanged()
  }

  /// An epoch that this node may have promised itself to will never begin.
  func withdrawn(_ epoch: EpochName) async {
    do {
      try await changeRecord(evenIfNotDurable: true) { [self] record in
        var fence = record.fence
        guard fence.withdraw(epoch) else { return false }
        record.fence = fence
        if let identity = state.withLock({ $0.database })?.logIdentity {
          record.resumeIfFree(identity)
        }
        return true
      }
    } catch {
      options.logger.error("cannot withdraw a promise", metadata: ["error": "\(error)"])
    }
  }

  /// A higher epoch has begun: a primary becomes a follower.
  func raiseFence(_ epoch: EpochName) async throws {
    try await changeRecord(evenIfNotDurable: true) { [self] record in
      var fence = record.fence
      let hasChanged = fence.raise(to: epoch)
      record.fence = fence
      guard let database = state.withLock({ $0.database }), database.logIdentity.name < epoch
      else { return hasChanged }
      let wasWriter = !record.isFollower || record.resumes
      record.isFollower = true
      record.resumes = false
      return hasChanged || wasWriter
    }
  }

  /// A fence that was raised in one connection binds all others of the node.
  func steppedDown(_ epoch: EpochName) {
    Task { [weak self] in
      do { try await self?.raiseFence(epoch) } catch {
        self?.options.logger.error(
          "cannot record a higher epoch", metadata: ["error": "\(error)"])
      }
    }
  }

  /// Tries again what could not be written.
  func saveRecord() async {
    guard state.withLock({ $0.isUnsaved }) else { return }
    do { try await changeRecord(evenIfNotDurable: true) { _ in false } } catch {
      // The alarm says so already.
    }
  }
}
