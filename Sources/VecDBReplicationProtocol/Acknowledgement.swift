import VecDBLogStore

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
    /// Writing begins although these members have not been heard.
    case startedWithout([String])
  }

  private struct Waiting: Sendable {
    var ticket: UInt64
    var lsn: UInt64
    var deadline: UInt64
  }

  package private(set) var terms: AcknowledgementTerms
  package private(set) var isDegraded = false
  /// How often writes were acknowledged without the replicas that the policy asks for.
  package private(set) var degradedCount = 0
  /// When this primary writes without having heard everybody it takes to know what it once
  /// acknowledged; nil: never.
  private let patienceEnd: UInt64?
  private var isPatient = true
  private var durable: [String: UInt64] = [:]
  private var heard: Set<String> = []
  /// Who first used a member's name: another node of that name does not count.
  private var owners: [String: UniqueID] = [:]
  private var waiting: [Waiting] = []
  private var end: UInt64 = 0

  /// - Parameter patienceEnd: when this primary stops waiting for members that it has not heard.
  package init(terms: AcknowledgementTerms, patienceEnd: UInt64? = nil) {
    self.terms = terms
    self.patienceEnd = patienceEnd
  }

  package var policy: AcknowledgementPolicy { terms.policy }
  package var waitingCount: Int { waiting.count }
  /// What the members are known to hold durably.
  package var heldByMembers: [String: UInt64] { durable }
  /// Members that have been heard since the start.
  package var heardMembers: Set<String> { heard.intersection(terms.waiting.flatMap(\.members)) }

  package var hasHeardAll: Bool { heard.isSuperset(of: terms.waiting.flatMap(\.members)) }

  /// The LSN that the needed number of members hold durably.
  package var heldLSN: UInt64 { terms.waiting.map(held).min() ?? .max }

  private func held(_ policy: AcknowledgementPolicy) -> UInt64 {
    let held = policy.members.map { durable[$0] ?? 0 }.sorted(by: >)
    return held.count >= policy.needed ? held[policy.needed - 1] : 0
  }

  /// Whether this primary may write. One that has just started may lack what it once acknowledged,
  /// if its disk was set back; enough members have to be heard to know. Where they are not there for
  /// long, it takes its own disk for right, and as many as a write needs are enough.
  package var isReadyToWrite: Bool {
    terms.degrades
      || terms.waiting.allSatisfy { policy in
        let count = heard.intersection(policy.members).count
        return count >= policy.hearingNeeded || !isPatient && count >= policy.needed
      }
  }

  private func isHeld(_ lsn: UInt64) -> Bool {
    terms.waiting.allSatisfy { policy in
      guard let lag = policy.maximumLag else { return true }
      let (reach, overflow) = held(policy).addingReportingOverflow(lag)
      return overflow || lsn <= reach
    }
  }

  /// Whether the needed members hold everything that was written.
  package var isEverythingHeld: Bool { isHeld(end) }

  package mutating func replace(terms new: AcknowledgementTerms) -> [Action] {
    terms = new
    if !new.degrades { isDegraded = false }
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
      Waiting(ticket: ticket, lsn: lsn, deadline: now + UInt64(terms.timeoutMilliseconds)))
    return []
  }

  /// Whether this node may speak as `name`: the first one that did may, and whoever says nothing of
  /// who it is.
  package func isOwner(_ node: UniqueID, of name: String) -> Bool {
    node == .zero || (owners[name] ?? node) == node
  }

  /// A replica said what it holds durably; `isHello` if it came back, perhaps with less.
  package mutating func holds(
    _ name: String, _ node: UniqueID = .zero, lsn: UInt64, isHello: Bool = false
  ) -> [Action] {
    guard isOwner(node, of: name) else { return [] }
    if node != .zero { owners[name] = node }
    durable[name] = isHello ? lsn : max(lsn, durable[name] ?? 0)
    if isHello { heard.insert(name) }
    return settle()
  }

  /// The node that used this name is gone, and another one may take it. What was held under it
  /// counts no more.
  package mutating func forget(owner name: String) {
    owners[name] = nil
    durable[name] = nil
    heard.remove(name)
  }

  /// Gives up or releases what has waited too long.
  package mutating func tick(now: UInt64) -> [Action] {
    var actions: [Action] = []
    if isPatient, let patienceEnd, now >= patienceEnd {
      let wasReady = isReadyToWrite
      isPatient = false
      if !wasReady, isReadyToWrite {
        let missing = Set(terms.waiting.flatMap(\.members)).subtracting(heard).sorted()
        actions.append(.startedWithout(missing))
      } else if !wasReady {
        isPatient = true
      }
    }
    guard waiting.contains(where: { $0.deadline <= now }) else { return actions }
    if terms.degrades {
      let tickets = waiting.map(\.ticket)
      degradedCount += tickets.count
      waiting = []
      defer { isDegraded = true }
      return actions + (isDegraded ? [.release(tickets)] : [.degraded, .release(tickets)])
    }
    let late = waiting.filter { $0.deadline <= now }.map(\.ticket)
    waiting = waiting.filter { $0.deadline > now }
    return actions + [.giveUp(late)]
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
