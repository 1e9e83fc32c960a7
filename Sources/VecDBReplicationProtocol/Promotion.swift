import VecDBBytes
import VecDBLogStore

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

/// A candidate that wants to open a new epoch: first asks everybody how they would answer, which
/// binds nobody, and only if that would be enough for a promise; then decides. Pure.
///
/// Between the two the candidate binds itself, and takes up with `bound` where its log ends then:
/// what it counted on before may have changed.
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

  package private(set) var epoch: EpochName
  private let candidate: String
  private let nodeID: UniqueID
  private var identity: LogIdentity
  package private(set) var end: LogPosition
  private var terms: AcknowledgementTerms
  /// Epochs that this node knows of beside those of its own history.
  private let others: [EpochName]
  private var granted: [String: Message.Promise] = [:]
  /// The highest epoch that anybody has told of.
  package private(set) var highest: EpochName
  private var isProbing = true

  /// - Parameters:
  ///   - counterAbove: what was met in vain before; the new epoch is above it.
  ///   - random: makes the new epoch's id.
  package init(
    candidate: String, nodeID: UniqueID, identity: LogIdentity, end: LogPosition, fence: Fence,
    terms: AcknowledgementTerms, counterAbove: UInt64 = 0, random: UInt64
  ) {
    self.candidate = candidate
    self.nodeID = nodeID
    self.identity = identity
    self.end = end
    self.terms = terms
    others = fence.promised + [fence.known]
    let known = max(fence.epoch, identity.name)
    epoch = EpochName(
      counter: max(known.counter, counterAbove) + 1, candidate: nodeID, random: random)
    highest = epoch
  }

  package func request(isPlanned: Bool = false) -> Message.PromiseRequest {
    Message.PromiseRequest(
      candidate: candidate, databaseID: identity.databaseID, epoch: epoch, end: end,
      isPlanned: isPlanned)
  }

  /// The probes are over: the epoch to bind to, above all that was heard of.
  package mutating func beginAsking() -> EpochName {
    isProbing = false
    if highest > epoch { epoch.counter = highest.counter + 1 }
    highest = epoch
    granted = [:]
    return epoch
  }

  /// The candidate follows nobody any more, and this is what its log has, with the policy at its end.
  package mutating func bound(
    identity: LogIdentity, end: LogPosition, terms: AcknowledgementTerms
  ) {
    self.identity = identity
    self.end = end
    self.terms = terms
  }

  package mutating func received(_ promise: Message.Promise) {
    guard promise.identity.databaseID == identity.databaseID else { return }
    if promise.isGranted || isProbing { granted[promise.name] = promise }
    highest = max(highest, promise.fence)
  }

  /// What follows from the answers so far; `isForced` goes on without proof.
  package func decide(isForced: Bool) -> Outcome { decide(accepting: isForced ? .any : .none) }

  /// The same, if no more than `limit` may be lost.
  package func decide(accepting limit: LossLimit) -> Outcome {
    if !isProbing, highest > epoch { return .stale(highest) }
    for promise in granted.values.sorted(by: { $0.name < $1.name }) where isAhead(promise) {
      return .behind(name: promise.name, promise.end)
    }
    let certificate = certify()
    guard limit.admits(certificate.loss) else { return .refused(certificate) }
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
    let (loss, reason) = claim()
    return PromotionCertificate(
      databaseID: identity.databaseID, oldEpoch: identity.name, newEpoch: epoch, position: end,
      loss: loss, heard: granted.keys.sorted(), reason: reason)
  }

  private func claim() -> (PromotionCertificate.Loss, String) {
    if let other = unresolved {
      return (
        .unbounded, "a node that did not answer may have become the primary of \(other)"
      )
    }
    let primary = granted.values.first { $0.isPrimary && $0.identity.name == identity.name }
    if primary != nil {
      return (.none, "the old primary stopped writing, and this node has everything that it wrote")
    }
    // While the policy is being changed, a write may have waited as either of the two asks.
    let claims = ([terms.policy] + (terms.replaced.map { [$0] } ?? [])).map(claim)
    return claims.first { $0.0 == .unbounded }
      ?? claims.max { $0.0.batches < $1.0.batches } ?? (.unbounded, "there is no policy")
  }

  /// An epoch between the old one and the new one that somebody knows, or promised itself to, and
  /// whose candidate was not heard: it may have begun, and writes may have been acknowledged in it.
  private var unresolved: EpochName? {
    let heard = granted.values.map(\.nodeID) + [nodeID]
    return (others + granted.values.flatMap(\.promised)).first { other in
      other > identity.name && other < epoch && !heard.contains { other.isOf($0) }
    }
  }

  private func claim(under policy: AcknowledgementPolicy) -> (PromotionCertificate.Loss, String) {
    let members = Set(granted.keys).union([candidate]).intersection(policy.members)
    if policy.isAsynchronous {
      return (.unbounded, "the primary acknowledged writes without waiting for replicas")
    }
    if policy.degrades {
      return (.unbounded, "the primary may have gone on without replicas (policy 'degrade')")
    }
    if members.count < policy.promisesNeeded {
      return (
        .unbounded,
        "\(members.count) replicas answered, and a proof of every acknowledged write needs "
          + "\(policy.promisesNeeded)"
      )
    }
    if let lag = policy.maximumLag, lag > 0 {
      return (.atMost(batches: lag), "the primary stopped acknowledging beyond \(lag) batches")
    }
    return (
      .none,
      "every acknowledged write is on \(policy.needed) of \(policy.members.count) replicas, and "
        + "\(members.count) answered"
    )
  }
}

extension PromotionCertificate.Loss {
  fileprivate var batches: UInt64 {
    switch self {
    case .none: 0
    case .atMost(let batches): batches
    case .unbounded: .max
    }
  }
}
