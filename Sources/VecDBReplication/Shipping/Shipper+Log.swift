import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

// MARK: What the database's writer tells and asks

extension Shipper: ReplicationHooks {
  func committed(_ frames: [LogFrame]) {
    queue.async { [self] in
      window.append(frames)
      let now = Self.now()
      if now > lastDigest + 500 {
        // This group waits until it is applied, so that its digest can go right behind it.
        lastDigest = now
        isAwaitingDigest = true
      } else if !isAwaitingDigest, let last = frames.last {
        end = last.position
      }
      if let counter = frames.last?.epochCounter, counter != epoch, let database {
        identity = database.logIdentity
      }
      logGrew()
    }
  }

  func published(_ position: LogPosition, dataDigest: Digest) {
    queue.async { [self] in
      guard isAwaitingDigest else { return }
      isAwaitingDigest = false
      served.note(digest: dataDigest, at: position.lsn)
      end = position
      logGrew()
    }
  }

  func whenAcknowledged(_ lsn: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void) {
    if gate.waitsForNobody {
      return body(options.permit?.refusal == nil ? nil : gate.unconfirmed(lsn))
    }
    queue.async { [self] in
      guard isWriter else { return body(gate.outcomeUnknown(lsn, epoch: epoch)) }
      gate.committed(lsn, epoch: epoch, body)
    }
  }

  var refusal: VecDBError? { options.permit?.admission }

  func neededLSN(_ log: WriteAheadLog) -> UInt64? {
    guard let needed = needed.withLock({ $0 }) else {
      // Nobody is there; those who come back soon find some log.
      return log.startOfNewest(bytes: options.retainedLogBytes)
    }
    return max(needed, log.startOfNewest(bytes: options.retainedLogBytes))
  }
}

// MARK: What operators see

extension Shipper {
  struct Follower: Sendable, Codable {
    var name: String
    var receivedLSN: UInt64
    var durableLSN: UInt64
    var appliedLSN: UInt64
    var searchableLSN: UInt64
    var lagLSN: UInt64
    var lagBytes: UInt64
    var isFetchingSnapshot: Bool
  }

  var followers: [Follower] {
    served.all.map(\.session).filter { !$0.name.isEmpty }.map { session in
      let applied = session.progress.applied
      let isFetching = session.state == .fetching
      return Follower(
        name: session.name, receivedLSN: session.progress.received,
        durableLSN: session.progress.durable, appliedLSN: applied,
        searchableLSN: session.progress.searchable,
        lagLSN: isFetching ? end.lsn : end.lsn - min(end.lsn, applied),
        lagBytes: isFetching ? 0 : UInt64(bytesBehind(applied)), isFetchingSnapshot: isFetching)
    }.sorted { $0.name < $1.name }
  }
}
