/// How much of what was acknowledged a promotion without a human may lose.
package enum LossLimit: Sendable, Hashable {
  /// Nothing: the certificate must say so.
  case none
  case batches(UInt64)
  case any

  func admits(_ loss: PromotionCertificate.Loss) -> Bool {
    switch (self, loss) {
    case (_, .none), (.any, _): true
    case (.batches(let limit), .atMost(let batches)): batches <= limit
    default: false
    }
  }
}

/// Decides for one node when it tries to be the primary, and how long it may acknowledge writes: a pure
/// state machine over the coordinator's answers, the node's own state and the time.
///
/// What always holds:
/// - It promotes only while it knows from the coordinator that the lease is its own. An answer that
///   did not come, or that it does not understand, changes nothing that it knows.
/// - Where writes are acknowledged without replicas, the permit to write ends a margin before the
///   lease can: it is counted from the *sending* of the last renewal that was answered, or, while the
///   coordinator is silent, from the sending of a question that everybody who may take the lease has
///   answered with a promise to wait.
/// - A node that gave such a promise does not ask for the lease before it is over.
/// - Only who has most takes a free lease at once; the others wait their turn. Who is unfit, is never to
///   be the primary, or still hears a primary that did not hand over, does not take it.
/// - One request is under way at a time.
///
/// Times are milliseconds of a clock that goes on while the machine is suspended.
package struct Coordination: Sendable {
  package struct Settings: Sendable {
    package var name: String
    /// How long a lease lasts that is not renewed.
    package var leaseMilliseconds: UInt64
    package var loss = LossLimit.none

    package init(name: String, leaseMilliseconds: UInt64, loss: LossLimit = .none) {
      self.name = name
      self.leaseMilliseconds = leaseMilliseconds
      self.loss = loss
    }

    /// So much earlier than its lease a primary stops: clocks may go wrong by a fifth.
    package var marginMilliseconds: UInt64 { leaseMilliseconds / 5 }
    package var renewMilliseconds: UInt64 { leaseMilliseconds / 5 }
    package var pollMilliseconds: UInt64 { max(10, leaseMilliseconds / 20) }
    /// A request without an answer is given up after this.
    package var requestMilliseconds: UInt64 { leaseMilliseconds / 3 }
    /// How long a candidate waits for each that goes before it.
    package var turnMilliseconds: UInt64 { leaseMilliseconds / 5 }
  }

  /// The node as it is now.
  package struct Own: Sendable {
    package var member: ClusterMember
    /// Whether writes are acknowledged without a replica: then only the permit stops a primary that
    /// was replaced.
    package var acknowledgesAlone: Bool

    package init(member: ClusterMember, acknowledgesAlone: Bool) {
      self.member = member
      self.acknowledgesAlone = acknowledgesAlone
    }
  }

  package enum Failure: Sendable, Hashable {
    /// Another node has more.
    case behind(String)
    case notProvable(String)
    case other(String)
  }

  package enum Event: Sendable {
    case tick
    case answered(number: UInt64, LeaseAnswer)
    /// What became of a promotion; nil: this node is the primary.
    case promoted(Failure?)
    case created(Failure?)
    /// Everybody who was asked has promised to wait, or not.
    case promised(sent: UInt64, byAll: Bool)
    /// The node is to end: it hands over first.
    case stop
  }

  package enum Action: Sendable, Hashable {
    case ask(number: UInt64, LeaseRequest)
    /// Becomes the primary; planned: the old one is there and hands over.
    case promote(isPlanned: Bool)
    /// Makes a new database and serves it.
    case create
    /// Asks these whether they wait for this primary.
    case askToWait([ClusterMember])
    /// This node does not belong to the cluster.
    case refuse(String)
    /// All that was to be done before the end is done.
    case finished
  }

  package enum Permit: Sendable, Hashable {
    /// Replicas decide.
    case unlimited
    case until(UInt64)
    case none
  }

  package enum Concern: String, Sendable, CaseIterable {
    case silent
    case failsafe
    case notProvable
    case behind
  }

  package let settings: Settings
  package internal(set) var view = ClusterView()
  package internal(set) var alarms: [Concern: String] = [:]
  /// How often this node went on writing without the coordinator.
  package internal(set) var failsafes = 0
  package internal(set) var lease: UInt64?
  /// When the last renewal that was answered was sent.
  var leaseSent: UInt64 = 0
  /// The coordinator said that the lease of the primary is under this node's lease.
  package internal(set) var isLeader = false
  /// The old primary was asked to hand over, and did not.
  var hasAskedInVain = false
  var pending: (number: UInt64, request: LeaseRequest, sent: UInt64)?
  var number: UInt64 = 0
  var notBefore: UInt64 = 0
  var lastRead: UInt64?
  var published: (member: ClusterMember, sent: UInt64)?
  /// When the coordinator last answered.
  var lastAnswer: UInt64 = 0
  var hasBegun = false
  var vacantSince: UInt64?
  /// It does not try before that.
  var retryAfter: UInt64 = 0
  /// It has promised a primary to wait until then.
  var waitsUntil: UInt64 = 0
  var failsafeUntil: UInt64 = 0
  var isFailsafe = false
  var lastQuestion: UInt64 = 0
  var isPromoting = false
  /// It hands over, and writes no more without replicas.
  var isYielding = false
  var yieldedAt: UInt64?
  var isStopping = false
  var stopDeadline: UInt64?
  var isFinished = false

  package init(_ settings: Settings) { self.settings = settings }

  /// Until when this node may acknowledge writes, if it is a primary.
  package func permit(_ own: Own) -> Permit {
    guard own.member.role == .primary else { return .none }
    guard own.acknowledgesAlone else { return .unlimited }
    guard !isYielding else { return .none }
    // A primary that nobody knows of may be passed over by the one before it.
    guard view.epoch >= own.member.epoch else { return .none }
    let end = permitEnd
    return end > 0 ? .until(end) : .none
  }

  var permitEnd: UInt64 { max(leaseEnd, failsafeUntil) }

  /// Until when this node knows that nobody else can have the lease.
  var leaseEnd: UInt64 {
    isLeader ? leaseSent + settings.leaseMilliseconds - settings.marginMilliseconds : 0
  }

  /// A primary without a coordinator asks this node to wait for it. Returns whether it will.
  package mutating func promiseToWait(now: UInt64) -> Bool {
    if isLeader || isPromoting { return false }
    if case .acquire = pending?.request { return false }
    waitsUntil = max(waitsUntil, now + settings.leaseMilliseconds)
    return true
  }

  package mutating func handle(_ event: Event, own: Own, now: UInt64) -> [Action] {
    guard !isFinished else { return [] }
    if !hasBegun { (hasBegun, lastAnswer) = (true, now) }
    var actions: [Action] = []
    switch event {
    case .tick:
      if let pending, now >= pending.sent + 2 * settings.requestMilliseconds {
        // Whoever was to answer has broken his word.
        answered(.noAnswer("no answer in time"), to: pending.request, pending.sent, own, now)
      }
    case .answered(let number, let answer):
      guard let pending, pending.number == number else { return [] }
      actions += answered(answer, to: pending.request, pending.sent, own, now)
    case .promoted(let failure): actions += promoted(failure, own, now)
    case .created(let failure):
      isPromoting = false
      if failure != nil { actions += giveBack(now) }
    case .promised(let sent, let byAll): promised(sent, byAll, own, now)
    case .stop:
      isStopping = true
      stopDeadline = now + settings.leaseMilliseconds
    }
    watch(own, now)
    actions += askToWait(own, now)
    actions += nextRequest(own, now)
    actions += finish(own, now)
    return actions
  }

  // MARK: Requests

  mutating func ask(_ request: LeaseRequest, now: UInt64) -> Action {
    number += 1
    pending = (number, request, now)
    return .ask(number: number, request)
  }

  /// What is due: to keep the lease comes first.
  private mutating func nextRequest(_ own: Own, _ now: UInt64) -> [Action] {
    guard pending == nil, now >= notBefore else { return [] }
    guard let lease else { return [ask(.join, now: now)] }
    if now >= leaseSent + settings.renewMilliseconds {
      return [ask(.renew(lease: lease), now: now)]
    }
    if isPublicationDue(own, now) {
      published = (own.member, now)
      return [ask(.publish(lease: lease, own.member), now: now)]
    }
    if lastRead.map({ now >= $0 + settings.pollMilliseconds }) ?? true {
      lastRead = now
      return [ask(.read, now: now)]
    }
    return []
  }

  private func isPublicationDue(_ own: Own, _ now: UInt64) -> Bool {
    guard let published else { return true }
    return own.member != published.member
      && (own.member.differsMuch(from: published.member)
        || now >= published.sent + settings.renewMilliseconds)
  }

  @discardableResult
  private mutating func answered(
    _ answer: LeaseAnswer, to request: LeaseRequest, _ sent: UInt64, _ own: Own, _ now: UInt64
  ) -> [Action] {
    pending = nil
    if case .noAnswer(let text) = answer {
      // Nothing is known: neither that it was done nor that it was not.
      notBefore = now + settings.pollMilliseconds / 2
      if case .publish = request { published = nil }
      if isSilent(now) { alarms[.silent] = "the coordinator does not answer: \(text)" }
      return []
    }
    lastAnswer = now
    alarms[.silent] = nil
    switch (request, answer) {
    case (.join, .joined(let granted)):
      lease = granted
      leaseSent = sent
      published = nil
    case (.renew, .renewed): leaseSent = sent
    case (.renew, .expired): loseLease()
    case (.read, .view(let view)): return looked(at: view, own, now)
    case (.acquire, .done):
      isLeader = true
      isYielding = false
      lastRead = nil
      return act(own, now)
    case (.acquire, .refused):
      vacantSince = nil
      lastRead = nil
    case (.transfer, .done), (.release, .done):
      followOthers()
      lastRead = nil
    case (.transfer, .refused):
      isYielding = false
      lastRead = nil
    // Its lease may be gone; the next renewal tells.
    case (.publish, .refused): published = nil
    case (.publish, _): break
    default: lastRead = nil
    }
    return []
  }

  private mutating func followOthers() {
    isLeader = false
    hasAskedInVain = false
    failsafeUntil = 0
  }

  private mutating func loseLease() {
    lease = nil
    followOthers()
    published = nil
  }

  private mutating func looked(at new: ClusterView, _ own: Own, _ now: UInt64) -> [Action] {
    view = new
    if let bound = new.databaseID, let mine = own.member.databaseID, bound != mine {
      return [
        .refuse("the cluster's name stands for database \(bound), and this one is \(mine)")
      ]
    }
    let isMine = new.leader != nil && new.leader?.lease == lease
    if isMine { isLeader = true } else { followOthers() }
    if new.leader == nil {
      vacantSince = vacantSince ?? now
    } else {
      vacantSince = nil
    }
    return act(own, now)
  }

  // MARK: The coordinator is silent

  func isSilent(_ now: UInt64) -> Bool {
    now >= lastAnswer + settings.requestMilliseconds
  }

  private mutating func watch(_ own: Own, _ now: UInt64) {
    if !isSilent(now) { alarms[.silent] = nil }
    let goesOn =
      isSilent(now) && own.member.role == .primary && now >= leaseEnd
      && (!own.acknowledgesAlone || now < failsafeUntil)
    if goesOn, !isFailsafe { failsafes += 1 }
    isFailsafe = goesOn
    alarms[.failsafe] =
      goesOn ? "this primary goes on without the coordinator, since its replicas answer" : nil
    // The view is old: whether the lease is free nobody knows.
    if isSilent(now) { vacantSince = nil }
    // And whose it is has to be seen anew.
    if isLeader, now >= leaseEnd {
      isLeader = false
      hasAskedInVain = false
    }
  }

  /// Asks everybody who may take the lease, as long as this node may still write.
  private mutating func askToWait(_ own: Own, _ now: UInt64) -> [Action] {
    guard isSilent(now), own.member.role == .primary, own.acknowledgesAlone, !isYielding,
      now < permitEnd, now >= lastQuestion + settings.renewMilliseconds,
      let allowed = view.allowed, allowed.contains(settings.name)
    else { return [] }
    lastQuestion = now
    let others = allowed.filter { $0 != settings.name }
    let members = others.compactMap { view.member($0) }
    guard members.count == others.count else { return [] }
    return [.askToWait(members)]
  }

  private mutating func promised(_ sent: UInt64, _ byAll: Bool, _ own: Own, _ now: UInt64) {
    // A question that was sent when this node might write; afterwards another may have begun.
    guard byAll, sent < permitEnd, own.member.role == .primary, !isYielding else { return }
    failsafeUntil = max(
      failsafeUntil, sent + settings.leaseMilliseconds - settings.marginMilliseconds)
  }
}
