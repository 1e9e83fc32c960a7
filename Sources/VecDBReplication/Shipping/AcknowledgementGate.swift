import Dispatch
import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// Holds writes back until the policy is kept: those that wait to be acknowledged, and at the start
/// all of them.
///
/// What always holds:
/// - Every write that came in is answered once: when it is released, when it is given up, or when
///   this node stops writing.
/// - A write is answered without an error only by an action of `Acknowledgement`, or under an
///   asynchronous policy.
/// - While writes are held at the start, the database refuses them; `letIn` is asked for once at a
///   time, and the hold ends with it.
/// - Each alarm that it raises it takes back when its cause has gone.
///
/// On the node's queue, but for `isAsynchronous`, which the database's writer reads.
final class AcknowledgementGate {
  private(set) var acknowledgement: Acknowledgement
  private let isAsynchronous: Guarded<Bool>
  private var completions: [UInt64: (lsn: UInt64, body: @Sendable (VecDBError?) -> Void)] = [:]
  private var nextTicket: UInt64 = 0
  private var isUnconfirmed = false
  /// Whether clients' writes are refused until enough replicas were heard.
  private(set) var isHolding: Bool
  private var beganHolding: UInt64?
  private var isLettingIn = false
  private let options: ReplicationOptions
  /// Raises an alarm, or with nil takes it back.
  var onAlarm: (@Sendable (Alarm, String?) -> Void)?

  init(options: ReplicationOptions, terms: AcknowledgementTerms, isWriter: Bool) {
    self.options = options
    acknowledgement = Acknowledgement(
      terms: terms,
      patienceEnd: options.startPatienceMilliseconds.map { Shipper.now() + UInt64($0) })
    isAsynchronous = Guarded(terms.isAsynchronous)
    isHolding = isWriter && !acknowledgement.isReadyToWrite
  }

  /// Whether nobody is waited for; any thread may ask.
  var waitsForNobody: Bool { isAsynchronous.withLock { $0 } }

  // MARK: Policies

  /// This node writes from now on, in an epoch that it began. What its history has it has seen
  /// itself: nobody has to be heard first.
  func begin(_ terms: AcknowledgementTerms) {
    acknowledgement = Acknowledgement(terms: terms)
    isAsynchronous.withLock { $0 = terms.isAsynchronous }
    isHolding = false
    confirmed()
    onAlarm?(.missingReplicas, nil)
  }

  func replace(_ terms: AcknowledgementTerms, epoch: UInt64) {
    isAsynchronous.withLock { $0 = terms.isAsynchronous }
    settle(acknowledgement.replace(terms: terms), epoch)
  }

  // MARK: Writes and those that confirm them

  /// A write is durable here; `body` is called when it may be acknowledged, or never will be.
  func committed(_ lsn: UInt64, epoch: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void) {
    nextTicket += 1
    completions[nextTicket] = (lsn, body)
    settle(acknowledgement.committed(lsn: lsn, ticket: nextTicket, now: Shipper.now()), epoch)
  }

  func holds(_ name: String, _ node: UniqueID, lsn: UInt64, isHello: Bool, epoch: UInt64) {
    settle(acknowledgement.holds(name, node, lsn: lsn, isHello: isHello), epoch)
    if isHello, acknowledgement.hasHeardAll { onAlarm?(.startedWithout, nil) }
  }

  func tick(epoch: UInt64) {
    settle(acknowledgement.tick(now: Shipper.now()), epoch)
    if acknowledgement.isEverythingHeld { confirmed() }
  }

  /// This node writes no more: nothing that waits can be acknowledged.
  func abandon(epoch: UInt64) {
    let tickets = acknowledgement.abandon()
    // What ends with the part of a primary is no fault of the replicas.
    for case .giveUp(let tickets) in tickets { giveUp(tickets, epoch) }
    confirmed()
  }

  func forget(owner name: String) { acknowledgement.forget(owner: name) }

  private func settle(_ actions: [Acknowledgement.Action], _ epoch: UInt64) {
    for action in actions {
      switch action {
      case .release(let tickets):
        // The permit may have ended since the write came in.
        guard options.permit?.refusal == nil else {
          for ticket in tickets {
            guard let (lsn, body) = completions.removeValue(forKey: ticket) else { continue }
            body(unconfirmed(lsn))
          }
          continue
        }
        confirmed()
        for ticket in tickets { completions.removeValue(forKey: ticket)?.body(nil) }
      case .giveUp(let tickets):
        if !isUnconfirmed {
          isUnconfirmed = true
          onAlarm?(
            .unconfirmed,
            "replicas do not confirm writes in time: the writes end with an unknown outcome")
        }
        giveUp(tickets, epoch)
      case .degraded: options.logger.error("writes are acknowledged without replicas")
      case .restored: options.logger.info("enough replicas have caught up again")
      case .startedWithout(let missing):
        onAlarm?(
          .startedWithout,
          "writing began without having heard \(missing.joined(separator: ", ")) since the start: "
            + "if this host's disk was set back, it lacks the writes that only they have")
      }
    }
  }

  /// No write waits any more for somebody who does not answer.
  private func confirmed() {
    guard isUnconfirmed else { return }
    isUnconfirmed = false
    onAlarm?(.unconfirmed, nil)
  }

  private func giveUp(_ tickets: [UInt64], _ epoch: UInt64) {
    for ticket in tickets {
      guard let (lsn, body) = completions.removeValue(forKey: ticket) else { continue }
      body(outcomeUnknown(lsn, epoch: epoch))
    }
  }

  /// The write came to its end when this node might not be the primary any more.
  func unconfirmed(_ lsn: UInt64) -> VecDBError {
    VecDBError(
      .outcomeUnknown,
      "the write is in the log of this host (LSN \(lsn)), but this host may not be the primary any "
        + "more", at: options.name,
      remedy: "Write the same records again: vecdb does not write a record twice.")
  }

  func outcomeUnknown(_ lsn: UInt64, epoch: UInt64) -> VecDBError {
    VecDBError(
      .outcomeUnknown,
      "the write is in the log of this host (epoch \(epoch), LSN \(lsn)), but "
        + "\(acknowledgement.policy.needed) replicas did not confirm it in time",
      at: options.name,
      remedy: "Write the same records again: vecdb does not write a record twice.")
  }

  // MARK: The start

  /// Whether writes may be let in now; then the caller does, and calls `letIn` afterwards.
  /// `isAsked` is a reason to let them in beside the hold at the start.
  func beginLettingIn(isAsked: Bool) -> Bool {
    guard acknowledgement.isReadyToWrite, !isLettingIn, isHolding || isAsked else { return false }
    isLettingIn = true
    return true
  }

  func letIn() {
    isLettingIn = false
    isHolding = false
    onAlarm?(.missingReplicas, nil)
  }

  /// Writes that cannot be let in are no secret.
  func watchHold(isWriter: Bool) {
    guard isWriter, isHolding else {
      beganHolding = nil
      return
    }
    let began = beganHolding ?? Shipper.now()
    beganHolding = began
    guard Shipper.now() > began + 10_000 else { return }
    let heard = acknowledgement.heardMembers.sorted().joined(separator: ", ")
    let asked = acknowledgement.terms.waiting.map {
      "\($0.needed) of \($0.members.joined(separator: ", "))"
    }.joined(separator: " and ")
    onAlarm?(
      .missingReplicas,
      "no write can be acknowledged: writes wait for \(asked), and this primary has heard from "
        + "\(heard.isEmpty ? "nobody" : heard) since the start; start the replicas, or serve with "
        + "--asynchronous once enough of them are back")
  }
}
