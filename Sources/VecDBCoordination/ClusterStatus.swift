import VecDB
import VecDBReplicationProtocol

/// A cluster as its coordinator has it.
public struct ClusterStatus: Sendable, Codable {
  /// A node that has been heard within its lease.
  public struct Node: Sendable, Codable {
    public var name: String
    public var address: String
    /// `primary`, `follower`, or `empty` as long as it has no database.
    public var role: String
    /// Whether it has the lease of the primary.
    public var hasLease: Bool
    public var epoch: UInt64
    public var lsn: UInt64
    /// Batches that it was behind when it told of itself last.
    public var lagLSN: UInt64?
    public var isWritable: Bool
    public var hearsPrimary: Bool
    /// Whether it may take over; a reason if not.
    public var unfit: String?
    public var priority: Int
    public var version: String
    public var alarms: [String]
  }

  /// A setting that is not the same on all nodes, and the value of each.
  public struct Difference: Sendable, Codable {
    public var setting: String
    public var values: [String: String]
  }

  public var cluster: String
  public var databaseID: String?
  /// Who has the lease of the primary.
  public var leader: String?
  public var isPaused: Bool
  /// Nodes that may take over and have not been heard within their lease.
  public var missing: [String]
  public var nodes: [Node]
  public var differences: [Difference]

  package init(_ view: ClusterView, cluster: String) {
    self.cluster = cluster
    databaseID = view.databaseID
    leader = view.leader?.name
    isPaused = view.isPaused
    missing = (view.allowed ?? []).filter { view.member($0) == nil }
    nodes = view.members.map { member in
      let unfit: String? =
        if member.role == .empty {
          "it has no database yet"
        } else if member.isNeverPrimary {
          "it is never to be the primary"
        } else if member.isUnfit {
          "it fetches a copy or has an alarm"
        } else if let allowed = view.allowed, !allowed.contains(member.name) {
          "the primary has not heard it yet"
        } else {
          nil
        }
      return Node(
        name: member.name, address: member.address, role: member.role.rawValue,
        hasLease: view.leader?.lease == member.lease, epoch: member.epoch, lsn: member.lsn,
        lagLSN: member.lagLSN, isWritable: member.isWritable, hearsPrimary: member.hearsPrimary,
        unfit: unfit, priority: member.priority, version: member.version, alarms: member.alarms)
    }
    differences = Self.differences(view.members)
  }

  private static func differences(_ members: [ClusterMember]) -> [Difference] {
    let settings = members.map { member in
      member.settings.merging(["version": member.version]) { first, _ in first }
    }
    return Set(settings.flatMap(\.keys)).sorted().compactMap { key in
      let values = settings.map { $0[key] ?? "not set" }
      guard Set(values).count > 1 else { return nil }
      let pairs = zip(members.map(\.name), values).map { ($0, $1) }
      return Difference(
        setting: key, values: Dictionary(pairs) { first, _ in first })
    }
  }
}

/// What an operator asks and changes, from anywhere where the coordinator is reached.
public struct Cluster: Sendable {
  public let name: String
  private let store: EtcdStore

  /// - Throws: `invalidArgument` for a name that cannot be, or if the program was built without the
  ///   trait `Coordination`.
  public init(_ name: String, coordinator: Coordinator) throws {
    self.name = name
    store = try EtcdStore.make(coordinator, cluster: name, leaseSeconds: 15)
  }

  /// - Throws: `inputOutput` if the coordinator does not answer; `notFound` if it knows no such cluster.
  public func status() async throws -> ClusterStatus {
    ClusterStatus(try await view(), cluster: name)
  }

  private func view() async throws -> ClusterView {
    let view = try await store.view()
    guard view.databaseID != nil || !view.members.isEmpty else {
      throw VecDBError(
        .notFound, "the coordinator knows no cluster '\(name)'",
        remedy: "Start its first node: vecdb node DB --cluster \(name) --coordinator ….")
    }
    return view
  }

  /// Where the primary is reached.
  ///
  /// - Throws: `notReached` if there is none at this moment.
  public func primary() async throws -> String {
    let view = try await view()
    guard let leader = view.leader, let member = view.member(leader.name), member.role == .primary
    else {
      throw VecDBError(
        .notReached, "cluster '\(name)' has no primary at this moment",
        remedy: "Look at its nodes: vecdb cluster \(name).")
    }
    return member.address
  }

  /// Has the primary hand over to `node`, or to whoever has most, and waits for it.
  ///
  /// - Returns: the new primary's name.
  /// - Throws: `notReached` if that did not come about; then the old primary goes on.
  public func switchover(to node: String? = nil, timeout: Duration = .seconds(30)) async throws
    -> String
  {
    let before = try await view()
    guard let old = before.leader?.name else {
      throw VecDBError(
        .notReached, "cluster '\(name)' has no primary that could hand over",
        remedy: "Look at its nodes: vecdb cluster \(name).")
    }
    if let node {
      guard node != old else {
        throw VecDBError(.invalidArgument, "'\(node)' is the primary already")
      }
      guard let member = before.member(node) else {
        throw VecDBError(.notFound, "cluster '\(name)' has no node '\(node)' at this moment")
      }
      guard member.hearsPrimary, !member.isUnfit, !member.isNeverPrimary else {
        throw VecDBError(
          .notReached, "'\(node)' cannot take over",
          remedy: "It must follow the primary and have no alarm: vecdb cluster \(name).")
      }
    }
    try await store.change(.wish(SwitchoverWish(from: old, to: node)))
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
      let now = try await store.view()
      if let leader = now.leader, leader.name != old, let member = now.member(leader.name),
        member.role == .primary, member.isWritable
      {
        return leader.name
      }
      if now.wish == nil, now.leader?.name == old, now.member(old)?.role == .primary { break }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
    throw VecDBError(
      .notReached, "'\(old)' did not hand over",
      remedy: "Another node must follow it and have no alarm: vecdb cluster \(name).")
  }

  /// From now on nobody takes over, until ``resume()``; a switchover is possible all the same.
  public func pause() async throws {
    _ = try await view()
    try await store.change(.pause(true))
  }

  public func resume() async throws {
    _ = try await view()
    try await store.change(.pause(false))
  }

  /// Forgets a node that will not come back.
  ///
  /// - Throws: `invalidArgument` if it is still there, `notFound` if nobody knows it.
  public func remove(_ node: String) async throws {
    let view = try await view()
    guard view.member(node) == nil else {
      throw VecDBError(
        .invalidArgument, "node '\(node)' is still there",
        remedy: "Stop it, and wait until its lease is over.")
    }
    guard let allowed = view.allowed, allowed.contains(node) else {
      throw VecDBError(.notFound, "cluster '\(name)' has no node '\(node)'")
    }
    try await store.change(.allow(allowed.filter { $0 != node }, epoch: view.epoch))
  }

  /// Ends the connections.
  public func close() async { await store.close() }
}
