import VecDBReplicationProtocol

/// A coordinator that keeps its word about leases, and nothing else: it can be away, and what it is
/// asked or answers can be late or lost.
struct SimulatedLeaseStore {
  private struct Lease {
    var milliseconds: UInt64
    var expiry: UInt64
  }

  private(set) var view = ClusterView()
  private var leases: [UInt64: Lease] = [:]
  private var records: [UInt64: ClusterMember] = [:]
  private var nextLease: UInt64 = 1
  /// Leases under which somebody was the primary.
  private(set) var everLed: Set<UInt64> = []
  var isAway = false

  init() {}

  mutating func expire(now: UInt64) {
    for (id, lease) in leases where lease.expiry <= now { end(id) }
  }

  private mutating func end(_ id: UInt64) {
    leases[id] = nil
    records[id] = nil
    if view.leader?.lease == id { view.leader = nil }
  }

  /// A new leader among its own servers: every lease gets its full time again.
  mutating func changeServers(now: UInt64) {
    leases = leases.mapValues {
      Lease(milliseconds: $0.milliseconds, expiry: now + $0.milliseconds)
    }
  }

  /// It breaks its word: the lease of the primary is gone although it was renewed.
  mutating func loseLeader() { view.leader = nil }

  mutating func setPaused(_ isPaused: Bool) { view.isPaused = isPaused }
  mutating func wish(_ wish: SwitchoverWish?) { view.wish = wish }

  mutating func answer(
    _ request: LeaseRequest, leaseMilliseconds: UInt64, now: UInt64
  ) -> LeaseAnswer {
    expire(now: now)
    switch request {
    case .join:
      nextLease += 1
      leases[nextLease] = Lease(
        milliseconds: leaseMilliseconds, expiry: now + leaseMilliseconds)
      return .joined(lease: nextLease)
    case .renew(let id):
      guard let lease = leases[id] else { return .expired }
      leases[id]?.expiry = max(lease.expiry, now + lease.milliseconds)
      return .renewed
    case .read:
      var answer = view
      answer.members = records.sorted { $0.key < $1.key }.map { id, record in
        var record = record
        record.lease = id
        return record
      }
      return .view(answer)
    case .publish(let id, let member):
      guard leases[id] != nil else { return .refused }
      records[id] = member
      return .done
    case .acquire(let id, let name):
      guard view.leader == nil, leases[id] != nil else { return .refused }
      view.leader = .init(name: name, lease: id)
      everLed.insert(id)
      return .done
    case .transfer(let id, let other):
      guard view.leader?.lease == id, leases[other.lease] != nil else { return .refused }
      view.leader = other
      everLed.insert(other.lease)
      return .done
    case .release(let id):
      guard view.leader?.lease == id else { return .refused }
      view.leader = nil
      return .done
    case .bind(let id, let databaseID):
      guard view.leader?.lease == id, view.databaseID == nil else { return .refused }
      view.databaseID = databaseID
      return .done
    case .allow(let id, let names, let epoch):
      guard view.leader?.lease == id else { return .refused }
      view.allowed = names
      view.epoch = epoch
      return .done
    case .clearWish(let id):
      guard view.leader?.lease == id else { return .refused }
      view.wish = nil
      return .done
    }
  }
}
