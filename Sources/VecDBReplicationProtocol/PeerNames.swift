import VecDBLogStore

/// Who may speak under which name. Two nodes of one name would confirm for each other what only one
/// of them has, so the second one is not let in. Pure.
///
/// What always holds:
/// - A node that shows a certificate speaks under a name of that certificate.
/// - Of two nodes with one name, the one that is connected keeps it, and for `graceMilliseconds`
///   after that nobody else gets it.
/// - A node is connected once: a copy of its disk that runs elsewhere is not let in beside it.
package struct PeerNames: Sendable {
  /// Somebody who is connected.
  package struct Session: Sendable {
    package var name: String
    package var nodeID: UniqueID
    package var isStreaming: Bool
    package var heard: UInt64

    package init(name: String, nodeID: UniqueID, isStreaming: Bool, heard: UInt64) {
      self.name = name
      self.nodeID = nodeID
      self.isStreaming = isStreaming
      self.heard = heard
    }
  }

  package enum Verdict: Sendable, Hashable {
    case welcome
    /// Another node has the name from now on: what was held under it counts no more.
    case takesOver
    case refuse(Message.Refusal.Reason, String, alarm: String?)
  }

  package static let graceMilliseconds: UInt64 = 30_000
  /// How long a node is connected twice before somebody is told: a connection that was lost may end
  /// later here than there.
  package static let doubleMilliseconds: UInt64 = 5_000

  private let name: String
  private let nodeID: UniqueID
  private let liveMilliseconds: UInt64
  /// When a name was last used by somebody who was let in.
  private var seen: [String: UInt64] = [:]
  /// Since when a node tries to be connected twice, and when it last tried.
  private var doubles: [String: (since: UInt64, last: UInt64)] = [:]

  /// - Parameter liveMilliseconds: whoever was heard within that time is there.
  package init(of name: String, _ nodeID: UniqueID, liveMilliseconds: UInt64) {
    self.name = name
    self.nodeID = nodeID
    self.liveMilliseconds = liveMilliseconds
  }

  /// Why a name does not belong to a certificate; nil if it does, or if there is none.
  package static func mismatch(_ name: String, _ certified: [String]?) -> String? {
    guard let certified, !certified.contains(name.lowercased()) else { return nil }
    let names = certified.joined(separator: ", ")
    return "the certificate is of '\(names)', and the node says that it is '\(name)'"
  }

  /// - Parameters:
  ///   - certified: the names in the peer's certificate; nil without one.
  ///   - others: who else is connected.
  ///   - isOwner: whether the name is this node's as far as acknowledgement knows.
  package mutating func judge(
    _ hello: Message.Hello, certified: [String]?, others: [Session], isOwner: Bool,
    wantsToStream: Bool, now: UInt64
  ) -> Verdict {
    let peer = hello.name
    if let text = Self.mismatch(peer, certified) { return .refuse(.notAllowed, text, alarm: nil) }
    guard hello.nodeID != .zero else { return .welcome }
    if peer == name, hello.nodeID != nodeID {
      return .refuse(.notAllowed, "this node itself is called '\(name)'", alarm: nil)
    }
    let namesakes = others.filter { $0.name == peer && $0.nodeID != .zero }
    if namesakes.contains(where: { $0.nodeID != hello.nodeID }) {
      return .refuse(
        .notAllowed, "another node that is called '\(peer)' is connected",
        alarm: "two nodes are called '\(peer)': this node refuses the second one")
    }
    let isDouble = namesakes.contains { $0.isStreaming && now < $0.heard + liveMilliseconds }
    if wantsToStream, isDouble { return double(peer, now) }
    guard !isOwner else { return .welcome }
    guard now > (seen[peer] ?? 0) + Self.graceMilliseconds else {
      return .refuse(
        .notAllowed,
        "another node was called '\(peer)' less than \(Self.graceMilliseconds / 1_000) s ago",
        alarm: nil)
    }
    return .takesOver
  }

  private mutating func double(_ peer: String, _ now: UInt64) -> Verdict {
    var double = doubles[peer] ?? (now, now)
    if now > double.last + Self.doubleMilliseconds { double.since = now }
    double.last = now
    if doubles.count > 64 { doubles = [:] }
    doubles[peer] = double
    let lasts = now > double.since + Self.doubleMilliseconds
    return .refuse(
      .notServing, "'\(peer)' is connected already",
      alarm: lasts
        ? "'\(peer)' runs twice, from copies of one disk: this node refuses the second one" : nil)
  }

  /// Somebody of that name was let in, or was here until now.
  package mutating func saw(_ peer: String, now: UInt64) { seen[peer] = now }

  package func knows(_ peer: String) -> Bool { seen[peer] != nil }
}
