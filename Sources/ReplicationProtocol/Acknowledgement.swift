/// Decides when each write may be acknowledged: a pure state machine over what the replicas have
/// said and the time.
///
/// What a member once held durably counts on after it is gone, until it comes back with less.
package struct Acknowledgement: Sendable {
  package enum Action: Sendable, Hashable {
    /// These writes may be acknowledged.
    case release([UInt64])
    /// These writes are in the log, but nobody knows whether they will survive the primary.
    case giveUp([UInt64])
    /// From now on writes are acknowledged without the replicas, until `restored`.
    case degraded
    case restored
  }

  private struct Waiting: Sendable {
    var ticket: UInt64
    var lsn: UInt64
    var deadline: UInt64
  }

  package private(set) var policy: AcknowledgementPolicy
  package private(set) var isDegraded = false
  /// How often writes were acknowledged without the replicas that the policy asks for.
  package private(set) var degradedCount = 0
  private var durable: [String: UInt64] = [:]
  private var heard: Set<String> = []
  private var waiting: [Waiting] = []
  private var end: UInt64 = 0

  package init(policy: AcknowledgementPolicy) { self.policy = policy }

  package var waitingCount: Int { waiting.count }
  /// What the members are known to hold durably.
  package var heldByMembers: [String: UInt64] { durable }

  /// The LSN that the needed number of members hold durably.
  package var heldLSN: UInt64 {
    guard policy.needed > 0 else { return .max }
    let held = policy.members.map { durable[$0] ?? 0 }.sorted(by: >)
    return held.count >= policy.needed ? held[policy.needed - 1] : 0
  }

  /// Whether this primary may write. One that has just started may lack what it once acknowledged,
  /// if its disk was set back; enough members have to be heard to know.
  package var isReadyToWrite: Bool {
    policy.isAsynchronous || policy.degrades
      || heard.intersection(policy.members).count >= policy.hearingNeeded
  }

  private func isHeld(_ lsn: UInt64) -> Bool {
    guard policy.needed > 0, let lag = policy.maximumLag else { return true }
    let (reach, overflow) = heldLSN.addingReportingOverflow(lag)
    return overflow || lsn <= reach
  }

  package mutating func replace(policy new: AcknowledgementPolicy) -> [Action] {
    policy = new
    return settle()
  }

  /// A write is durable here. `ticket` comes back in the action that ends its waiting.
  package mutating func committed(lsn: UInt64, ticket: UInt64, now: UInt64) -> [Action] {
    end = max(end, lsn)
    if isHeld(lsn) || isDegraded {
      if !isHeld(lsn) { degradedCount += 1 }
      return [.release([ticket])]
    }
    waiting.append(
      Waiting(ticket: ticket, lsn: lsn, deadline: now + UInt64(policy.timeoutMilliseconds)))
    return []
  }

  /// A replica said what it holds durably; `isHello` if it came back, perhaps with less.
  package mutating func holds(_ name: String, lsn: UInt64, isHello: Bool = false) -> [Action] {
    durable[name] = isHello ? lsn : max(lsn, durable[name] ?? 0)
    if isHello { heard.insert(name) }
    return settle()
  }

  /// Gives up or releases what has waited too long.
  package mutating func tick(now: UInt64) -> [Action] {
    guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
    if policy.degrades {
      let tickets = waiting.map(\.ticket)
      degradedCount += tickets.count
      waiting = []
      defer { isDegraded = true }
      return isDegraded ? [.release(tickets)] : [.degraded, .release(tickets)]
    }
    let late = waiting.filter { $0.deadline <= now }.map(\.ticket)
    waiting = waiting.filter { $0.deadline > now }
    return [.giveUp(late)]
  }

  /// This node is no primary any more: nothing that waits can be acknowledged.
  package mutating func abandon() -> [Action] {
    let tickets = waiting.map(\.ticket)
    waiting = []
    return tickets.isEmpty ? [] : [.giveUp(tickets)]
  }

  private mutating func settle() -> [Action] {
    var actions: [Action] = []
    let held = waiting.filter { isHeld($0.lsn) }.map(\.ticket)
    if !held.isEmpty {
      waiting = waiting.filter { !isHeld($0.lsn) }
      actions.append(.release(held))
    }
    if isDegraded, isHeld(end) {
      isDegraded = false
      actions.append(.restored)
    }
    return actions
  }
}
