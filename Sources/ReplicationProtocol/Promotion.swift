import Bytes
import LogStore

/// What is known about acknowledged writes when a new epoch begins. It claims only what follows
/// from the acknowledgement policy in the log and from who was heard.
///
/// It speaks for writes acknowledged from the old epoch on, before or after this moment. What an
/// earlier promotion left behind, the certificate of that one has told: a primary that was passed
/// over by force may have gone on in its own epoch without hearing of it.
package struct PromotionCertificate: Sendable, Hashable {
  package enum Loss: Sendable, Hashable {
    /// Every write that was or will be acknowledged in the old epoch is in the new history.
    case none
    /// At most so many of them are missing.
    case atMost(batches: UInt64)
    case unbounded
  }

  package var databaseID: UniqueID
  package var oldEpoch: EpochName
  package var newEpoch: EpochName
  /// Where the new epoch begins.
  package var position: LogPosition
  package var loss: Loss
  package var heard: [String]
  package var reason: String
}

/// A candidate that wants to open a new epoch: asks everybody for a promise and decides. Pure.
package struct Promotion: Sendable {
  package enum Outcome: Sendable, Hashable {
    case promote(PromotionCertificate, Epoch)
    /// Somebody who was heard has more: promote that one.
    case behind(name: String, LogPosition)
    /// Not provable and not forced.
    case refused(PromotionCertificate)
    /// A higher epoch is known already.
    case stale(EpochName)
  }

  package let epoch: EpochName
  private let candidate: String
  private let identity: LogIdentity
  private var end: LogPosition
  private let policy: AcknowledgementPolicy
  private var granted: [String: Message.Promise] = [:]
  private var highest: EpochName

  /// `id` is the new epoch's, made at random; its counter is above all that the fence knows.
  package init(
    candidate: String, identity: LogIdentity, end: LogPosition, fence: EpochName,
    policy: AcknowledgementPolicy, id: UniqueID
  ) {
    self.candidate = candidate
    self.identity = identity
    self.end = end
    self.policy = policy
    let counter = max(fence.counter, identity.currentEpoch.counter) + 1
    epoch = EpochName(counter: counter, id: id)
    highest = epoch
  }

  package func request(isPlanned: Bool = false) -> Message.PromiseRequest {
    Message.PromiseRequest(
      candidate: candidate, databaseID: identity.databaseID, epoch: epoch, end: end,
      isPlanned: isPlanned)
  }

  /// The candidate has taken more from the old primary since it began: a planned handover.
  package mutating func reached(_ position: LogPosition) { end = position }

  package mutating func received(_ promise: Message.Promise) {
    if promise.isGranted { granted[promise.name] = promise }
    highest = max(highest, promise.fence)
  }

  /// What follows from the promises so far; `isForced` goes on without proof.
  package func decide(isForced: Bool) -> Outcome {
    if highest > epoch { return .stale(highest) }
    for promise in granted.values.sorted(by: { $0.name < $1.name }) where isAhead(promise) {
      return .behind(name: promise.name, promise.end)
    }
    let certificate = certify()
    guard certificate.loss == .none || isForced else { return .refused(certificate) }
    let opened = Epoch(
      counter: epoch.counter, id: epoch.id, parentID: identity.currentEpoch.id,
      beganAtLSN: end.lsn, beganAtChain: end.chain)
    return .promote(certificate, opened)
  }

  /// Whether a node's history is worth more: of a later epoch, or longer in the same one.
  private func isAhead(_ promise: Message.Promise) -> Bool {
    let theirs = (promise.identity.name, promise.end.lsn)
    let ours = (identity.name, end.lsn)
    return theirs.0 != ours.0 ? theirs.0 > ours.0 : theirs.1 > ours.1
  }

  private func certify() -> PromotionCertificate {
    let members = Set(granted.keys).union([candidate]).intersection(policy.members)
    let primary = granted.values.first { $0.isPrimary && $0.identity.name == identity.name }
    var loss = PromotionCertificate.Loss.unbounded
    var reason: String
    if primary != nil {
      loss = .none
      reason = "the old primary stopped writing and this node has everything it wrote"
    } else if policy.isAsynchronous {
      reason = "the primary acknowledged writes without waiting for replicas"
    } else if policy.degrades {
      reason = "the primary may have gone on without replicas (policy 'degrade')"
    } else if members.count < policy.hearingNeeded {
      reason =
        "\(members.count) of \(policy.hearingNeeded) replicas were heard that it takes to know "
        + "every acknowledged write"
    } else if let lag = policy.maximumLag, lag > 0 {
      loss = .atMost(batches: lag)
      reason = "the primary stopped acknowledging beyond \(lag) batches"
    } else {
      loss = .none
      reason =
        "every acknowledged write is on \(policy.needed) of \(policy.members.count) replicas, and "
        + "\(members.count) were heard"
    }
    return PromotionCertificate(
      databaseID: identity.databaseID, oldEpoch: identity.name, newEpoch: epoch, position: end,
      loss: loss, heard: granted.keys.sorted(), reason: reason)
  }
}

extension Fence {
  /// Answers a candidate: a promise is given once for an epoch, and only to one that is higher than
  /// everything known. The caller makes the fence durable before it sends the answer, and stops
  /// writing or following.
  package mutating func judge(
    _ request: Message.PromiseRequest, name: String, isPrimary: Bool, history: some HistoryReading
  ) -> Message.Promise {
    let isGranted = request.epoch > history.identity.name && raise(to: request.epoch)
    return Message.Promise(
      name: name, isGranted: isGranted, identity: history.identity, end: history.end, fence: epoch,
      isPrimary: isPrimary,
      text: isGranted ? "" : "this node is bound to \(max(epoch, history.identity.name))")
  }
}
