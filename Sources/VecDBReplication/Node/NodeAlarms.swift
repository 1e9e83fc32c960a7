import Logging
import VecDB

/// What needs somebody. Each kind is raised once, and goes when its cause has gone.
enum Alarm: Hashable, Sendable {
  /// A digest is not the primary's.
  case digest
  /// The log that the primary lost cannot be given back.
  case giveBack
  /// A peer does not let this node follow.
  case peer(String)
  /// The node's record cannot be written.
  case record
  /// Writing stopped after a failure.
  case poisoned
  /// Writes are not let in, since replicas are missing.
  case missingReplicas
  /// Writing began without having heard everybody.
  case startedWithout
  /// Replicas do not confirm writes.
  case unconfirmed
  /// A change of the policy waits.
  case policy
  /// Two nodes use one name.
  case name(String)
}

extension ReplicationNode {
  func alarm(_ kind: Alarm, _ text: String) {
    let isNew = state.withLock { state in
      guard state.alarms[kind] != text else { return false }
      defer { state.alarms[kind] = text }
      return state.alarms[kind] == nil && state.alarms.count < 100
    }
    if isNew {
      options.logger.critical("this node needs an operator", metadata: ["alarm": "\(text)"])
    }
  }

  /// What concerns a primary alone.
  func clearAlarmsOfPrimary() {
    for kind in [Alarm.missingReplicas, .startedWithout, .unconfirmed, .policy] {
      clearAlarm(kind)
    }
  }

  func clearAlarm(_ kind: Alarm) {
    let text = state.withLock { $0.alarms.removeValue(forKey: kind) }
    if let text { options.logger.notice("an alarm is over", metadata: ["alarm": "\(text)"]) }
  }

  /// Says what keeps this node from following: each thing once, and then how often it came when it
  /// has come ten times, a hundred times, and so on.
  func tell(_ text: String, from peer: String) {
    let count = state.withLock { state -> Int in
      if state.told.count > 100 { state.told = [:] }
      state.told[peer + text, default: 0] += 1
      return state.told[peer + text] ?? 1
    }
    guard RepeatedFailure.isPowerOfTen(count) else { return }
    // Nobody but the library can tell.
    options.logger.notice(
      "cannot follow",
      metadata: ["peer": "\(peer)", "reason": "\(text)", "count": "\(count)"])
  }
}
