// MARK: Who tries

extension Coordination {
  /// What follows from what the coordinator has just said.
  mutating func act(_ own: Own, _ now: UInt64) -> [Action] {
    guard pending == nil, let lease, !isPromoting else { return [] }
    if isLeader {
      guard now < leaseEnd else { return [] }
      switch own.member.role {
      case .primary: return lead(lease, own, now)
      case .follower:
        let isHandedOver = view.leader?.lease == lease && view.leader?.from != nil
        if isStopping || now < waitsUntil || now < retryAfter && (!isHandedOver || hasAskedInVain) {
          return release(lease, now)
        }
        isPromoting = true
        return [.promote(isPlanned: isHandedOver && !hasAskedInVain)]
      case .empty:
        guard view.databaseID == nil, now >= retryAfter else { return release(lease, now) }
        isPromoting = true
        return [.create]
      }
    }
    guard view.leader == nil, mayTry(own, now) else { return [] }
    return [ask(.acquire(lease: lease, name: settings.name), now: now)]
  }

  // MARK: The primary

  private mutating func lead(_ lease: UInt64, _ own: Own, _ now: UInt64) -> [Action] {
    alarms[.notProvable] = nil
    alarms[.behind] = nil
    if let yieldedAt, now >= yieldedAt + 2 * settings.leaseMilliseconds { self.yieldedAt = nil }
    if yieldedAt == nil { isYielding = false }
    guard let databaseID = own.member.databaseID else { return [] }
    if view.databaseID == nil {
      return [ask(.bind(lease: lease, databaseID: databaseID), now: now)]
    }
    let allowed = Set(view.allowed ?? []).union([settings.name]).union(
      view.members.filter { $0.databaseID == databaseID }.map(\.name))
    if Set(view.allowed ?? []) != allowed || view.epoch < own.member.epoch {
      let epoch = max(view.epoch, own.member.epoch)
      return [ask(.allow(lease: lease, allowed.sorted(), epoch: epoch), now: now)]
    }
    if let target = successor(own, now) {
      // Where no replica is waited for it writes no more from here on, whatever comes of it.
      isYielding = true
      yieldedAt = now
      return [ask(.transfer(lease: lease, to: target), now: now)]
    }
    if view.wish != nil { return [ask(.clearWish(lease: lease), now: now)] }
    if isStopping {
      isYielding = true
      return release(lease, now)
    }
    return []
  }

  /// To whom this primary hands over now, if it was asked to, ends, or is unfit.
  private func successor(_ own: Own, _ now: UInt64) -> ClusterView.Leader? {
    let wish = view.wish.flatMap { $0.from == settings.name ? $0 : nil }
    guard wish != nil || isStopping || own.member.isUnfit && !view.isPaused, yieldedAt == nil
    else { return nil }
    let others = Self.queue(of: view, databaseID: own.member.databaseID).filter {
      $0.name != settings.name && $0.hearsPrimary && $0.epoch == own.member.epoch
    }
    let target = wish?.to.map { name in others.first { $0.name == name } } ?? others.first
    return target.map { .init(name: $0.name, lease: $0.lease, from: settings.name) }
  }

  // MARK: Candidates

  /// Those that may become the primary; who goes first is first.
  static func queue(of view: ClusterView, databaseID: String?) -> [ClusterMember] {
    view.members.filter {
      $0.databaseID == databaseID && $0.role != .empty && !$0.isUnfit
        && (!$0.isNeverPrimary || $0.role == .primary)
        && view.allowed?.contains($0.name) ?? true
    }.sorted { left, right in
      if left.role != right.role { return left.role == .primary }
      if left.epoch != right.epoch { return left.epoch > right.epoch }
      if left.lsn != right.lsn { return left.lsn > right.lsn }
      if left.priority != right.priority { return left.priority > right.priority }
      return left.name < right.name
    }
  }

  private func mayTry(_ own: Own, _ now: UInt64) -> Bool {
    guard let vacantSince, !isStopping, now >= waitsUntil, now >= retryAfter,
      now < leaseSent + settings.leaseMilliseconds - settings.marginMilliseconds
    else { return false }
    switch own.member.role {
    case .primary: return isLastPrimary(own)
    case .empty:
      let isAlone = view.databaseID == nil && !view.members.contains { $0.databaseID != nil }
      guard isAlone, !own.member.isNeverPrimary, !view.isPaused else { return false }
      let names = view.members.filter { !$0.isNeverPrimary }.map(\.name)
      return isTurn(of: names.sorted().firstIndex(of: settings.name), since: vacantSince, now)
    case .follower:
      guard !view.isPaused, !own.member.isUnfit, !own.member.isNeverPrimary,
        !own.member.hearsPrimary,
        view.databaseID == nil || view.databaseID == own.member.databaseID,
        view.allowed?.contains(settings.name) ?? true, isNearEnough(own)
      else { return false }
      let queue = Self.queue(of: view, databaseID: own.member.databaseID).map(\.name)
      return isTurn(of: queue.firstIndex(of: settings.name), since: vacantSince, now)
    }
  }

  /// A primary takes the lease at once, unless one of a later epoch is there.
  private func isLastPrimary(_ own: Own) -> Bool {
    !own.member.isUnfit && own.member.epoch >= view.epoch
      && !view.members.contains { $0.role == .primary && $0.epoch > own.member.epoch }
  }

  private func isTurn(of place: Int?, since vacant: UInt64, _ now: UInt64) -> Bool {
    guard let place else { return false }
    return now >= vacant + UInt64(place) * settings.turnMilliseconds
  }

  /// Whether as much as the last primary told of may be missing here.
  private func isNearEnough(_ own: Own) -> Bool {
    guard settings.loss == .any || own.member.epoch >= view.epoch else { return false }
    guard case .batches(let bound) = settings.loss else { return true }
    let most = view.members.filter { $0.databaseID == own.member.databaseID }.map(\.lsn).max() ?? 0
    return most <= own.member.lsn || most - own.member.lsn <= bound
  }

  // MARK: What became of a promotion

  mutating func promoted(_ failure: Failure?, _ own: Own, _ now: UInt64) -> [Action] {
    isPromoting = false
    guard let failure else {
      alarms[.notProvable] = nil
      alarms[.behind] = nil
      return act(own, now)
    }
    if isLeader, view.leader?.from != nil, !hasAskedInVain {
      // The old primary did not hand over in time. It is asked once more as one that is gone.
      hasAskedInVain = true
      return act(own, now)
    }
    switch failure {
    case .notProvable(let reason):
      alarms[.notProvable] = "this node does not take over: \(reason)"
    case .behind(let name):
      alarms[.behind] = "this node does not take over: '\(name)' has more"
    case .other: break
    }
    return giveBack(now)
  }

  /// Gives the lease back, so that others may try; at once, or as soon as it is seen again.
  mutating func giveBack(_ now: UInt64) -> [Action] {
    retryAfter = now + settings.leaseMilliseconds
    hasAskedInVain = true
    guard pending == nil, let lease, isLeader else { return [] }
    return release(lease, now)
  }

  private mutating func release(_ lease: UInt64, _ now: UInt64) -> [Action] {
    // Whatever comes of it: from here on it is not counted on.
    isLeader = false
    failsafeUntil = 0
    return [ask(.release(lease: lease), now: now)]
  }

  // MARK: The end

  /// A node that ends waits until another one is the primary, or nobody can be.
  mutating func finish(_ own: Own, _ now: UInt64) -> [Action] {
    guard isStopping, let stopDeadline else { return [] }
    let isOver =
      !isPromoting && !isLeader && (own.member.role != .primary || yieldedAt == nil)
      && pending == nil
    guard isOver || now >= stopDeadline else { return [] }
    isFinished = true
    return [.finished]
  }
}
