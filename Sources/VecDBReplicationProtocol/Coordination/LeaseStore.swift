/// What a node asks of the coordinator. Each is one round trip.
package enum LeaseRequest: Sendable, Hashable {
  /// A new lease, under which the node's record and its being the primary will be.
  case join
  /// Extends a lease to its full time.
  case renew(lease: UInt64)
  /// Everything of the cluster, as it is now and not as it was.
  case read
  /// Puts the node's record under its lease.
  case publish(lease: UInt64, ClusterMember)
  /// Takes the lease of the primary if nobody has it.
  case acquire(lease: UInt64, name: String)
  /// Hands the lease of the primary to another member.
  case transfer(lease: UInt64, to: ClusterView.Leader)
  /// Gives the lease of the primary back.
  case release(lease: UInt64)
  /// Binds the name of the cluster to a database, if it is free and this lease is the primary's.
  case bind(lease: UInt64, databaseID: String)
  /// Says who may take the lease, and of which epoch the primary is, if this lease is the primary's.
  case allow(lease: UInt64, [String], epoch: UInt64)
  /// Nobody is asked to hand over any more.
  case clearWish(lease: UInt64)
}

/// What the coordinator answered. Whatever is not one of the certain answers is `noAnswer`: the
/// request may have been done, or may be done yet.
package enum LeaseAnswer: Sendable, Hashable {
  case joined(lease: UInt64)
  case renewed
  /// There is no such lease any more.
  case expired
  case view(ClusterView)
  /// It was done.
  case done
  /// It was not done, and will not be: its condition does not hold.
  case refused
  case noAnswer(String)
}

/// A coordinator: an engine that keeps a few small values, decides conditions on them in one order for
/// everybody, and forgets what is under a lease when that was not renewed in time.
///
/// What it must keep:
/// - `acquire` has at most one winner as long as the winner's lease lasts.
/// - A lease lasts at least its time, counted from the moment at which its last renewal *arrived*.
/// - `read` shows everything that was done before it was asked.
///
/// It decides who tries to be the primary. Who may, epochs and promises decide: a coordinator that
/// breaks these rules loses no write that a replica has confirmed.
package protocol LeaseStore: Sendable {
  /// Asks once, and answers before the request's time is over. Never throws: whatever is not
  /// certain is `noAnswer`.
  func ask(_ request: LeaseRequest) async -> LeaseAnswer
}
