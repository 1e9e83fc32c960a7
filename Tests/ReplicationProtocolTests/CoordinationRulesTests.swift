import Testing
import VecDBReplicationProtocol

/// Single rules of the state machine, with every answer by hand. A lease lasts 5 s here, and a primary
/// without replicas stops 1 s before that.
@Suite struct CoordinationRulesTests {
  /// A node that asks, and a coordinator that says what the test wants.
  private struct Driver {
    var machine: Coordination
    var own: Coordination.Own
    var view = ClusterView()
    var now: UInt64 = 1_000_000
    var asked: (number: UInt64, request: LeaseRequest)?
    var others: [Coordination.Action] = []

    init(role: ClusterMember.Role = .primary, alone: Bool = true, loss: LossLimit = .any) {
      machine = Coordination(.init(name: "a", leaseMilliseconds: 5_000, loss: loss))
      var member = ClusterMember(name: "a", address: "a:1")
      member.role = role
      member.databaseID = role == .empty ? nil : "d"
      member.epoch = 3
      member.lsn = 10
      own = .init(member: member, acknowledgesAlone: alone)
    }

    mutating func happen(_ event: Coordination.Event) {
      for action in machine.handle(event, own: own, now: now) {
        if case .ask(let number, let request) = action {
          asked = (number, request)
        } else {
          others.append(action)
        }
      }
    }

    mutating func answer(_ answer: LeaseAnswer) {
      guard let number = asked?.number else { return }
      asked = nil
      happen(.answered(number: number, answer))
    }

    /// What a coordinator answers that does everything.
    mutating func answerWell() {
      guard let request = asked?.request else { return }
      switch request {
      case .join: answer(.joined(lease: 7))
      case .renew: answer(.renewed)
      case .read: answer(.view(view))
      case .acquire(let lease, let name):
        view.leader = .init(name: name, lease: lease)
        answer(.done)
      case .transfer(_, let other):
        view.leader = other
        answer(.done)
      case .release:
        view.leader = nil
        answer(.done)
      case .bind(_, let id):
        view.databaseID = id
        answer(.done)
      case .allow(_, let names, let epoch):
        view.allowed = names
        view.epoch = epoch
        answer(.done)
      case .publish, .clearWish: answer(.done)
      }
    }

    mutating func run(_ milliseconds: UInt64, answering: Bool = true) {
      let end = now + milliseconds
      while now < end {
        happen(.tick)
        if answering { answerWell() } else if asked != nil { answer(.noAnswer("away")) }
        now += 10
      }
    }

    var permitEnd: UInt64 {
      if case .until(let end) = machine.permit(own) { end } else { 0 }
    }
  }

  private func member(_ name: String, lsn: UInt64 = 10, lease: UInt64) -> ClusterMember {
    var member = ClusterMember(name: name, address: "\(name):1")
    member.role = .follower
    member.databaseID = "d"
    member.epoch = 3
    member.lsn = lsn
    member.lease = lease
    return member
  }

  @Test func permitCountsFromTheSendingAndEndsAMarginBefore() {
    var node = Driver()
    node.run(500)
    #expect(node.machine.isLeader && node.permitEnd > node.now)
    // Until the next renewal is sent; its answer comes a second later.
    while node.asked.map({ if case .renew = $0.request { false } else { true } }) ?? true {
      node.happen(.tick)
      if case .renew? = node.asked?.request { break }
      node.answerWell()
      node.now += 10
    }
    let sent = node.now
    node.now += 1_000
    node.answer(.renewed)
    #expect(node.permitEnd == sent + 4_000)
  }

  @Test func renewalWithoutAnswerExtendsNothing() {
    var node = Driver()
    node.run(500)
    node.view.allowed = ["a"]
    node.run(100)
    let end = node.permitEnd
    node.run(3_000, answering: false)
    #expect(node.permitEnd == end)
  }

  @Test func withReplicasNoPermitIsNeeded() {
    var node = Driver(alone: false)
    #expect(node.machine.permit(node.own) == .unlimited)
    node.own.member.role = .follower
    #expect(node.machine.permit(node.own) == .none)
    node = Driver()
    #expect(node.machine.permit(node.own) == .none)
  }

  @Test func promiseToWaitIsKept() {
    var node = Driver(role: .follower)
    node.view.databaseID = "d"
    node.view.leader = .init(name: "b", lease: 9)
    node.run(500)
    let promised = node.now
    let isPromised = node.machine.promiseToWait(now: promised)
    #expect(isPromised)
    node.view.leader = nil
    node.view.members = [member("a", lease: 7)]
    while node.now < promised + 4_990 {
      node.run(10)
      #expect(!node.machine.isLeader, "\(node.now - promised) ms after the promise")
    }
    node.run(1_000)
    #expect(node.machine.isLeader && node.others == [.promote(isPlanned: false)])
    // Who has the lease promises nothing.
    let answer = node.machine.promiseToWait(now: node.now)
    #expect(!answer)
  }

  @Test func withoutCoordinatorAllMustWait() {
    var node = Driver()
    node.view.members = [member("b", lease: 8), member("c", lease: 9)]
    node.run(500)
    #expect(node.view.allowed == ["a", "b", "c"])
    node.run(2_000, answering: false)
    let question = node.others.last
    guard case .askToWait(let others)? = question else {
      Issue.record("nobody was asked: \(node.others)")
      return
    }
    #expect(others.map(\.name) == ["b", "c"])
    let end = node.permitEnd
    node.happen(.promised(sent: node.now, byAll: false))
    #expect(node.permitEnd == end)
    let sent = node.now
    node.happen(.promised(sent: sent, byAll: true))
    #expect(node.permitEnd == sent + 4_000)
    // A question that was sent too late proves nothing.
    node.now = sent + 4_500
    node.happen(.promised(sent: node.now - 100, byAll: true))
    #expect(node.permitEnd == sent + 4_000)
    // One of them is not known any more: it may take the lease unasked.
    node = Driver()
    node.view.members = [member("b", lease: 8)]
    node.view.allowed = ["a", "b", "c"]
    node.run(500)
    node.run(2_000, answering: false)
    #expect(node.others.isEmpty)
  }

  @Test func whoHasMostGoesFirst() {
    for (lsn, isFirst) in [(11 as UInt64, false), (9, true)] {
      var node = Driver(role: .follower)
      node.view.databaseID = "d"
      node.view.members = [member("a", lease: 7), member("b", lsn: lsn, lease: 8)]
      node.run(700)
      #expect(node.machine.isLeader == isFirst)
      // It waits one turn, and no longer.
      node.run(1_000)
      #expect(node.machine.isLeader)
    }
  }

  @Test(arguments: 0..<6) func whoDoesNotTry(index: Int) {
    var node = Driver(role: .follower)
    node.view.databaseID = "d"
    node.view.members = [member("a", lease: 7)]
    switch index {
    case 0: node.own.member.isUnfit = true
    case 1: node.own.member.isNeverPrimary = true
    case 2: node.own.member.hearsPrimary = true
    case 3: node.view.isPaused = true
    case 4: node.view.allowed = ["b"]
    default: node.view.leader = .init(name: "b", lease: 8)
    }
    node.run(10_000)
    #expect(!node.machine.isLeader && node.others.isEmpty)
  }

  @Test func refusedPromotionGivesTheLeaseBack() {
    var node = Driver(role: .follower)
    node.view.databaseID = "d"
    node.view.members = [member("a", lease: 7)]
    node.run(500)
    #expect(node.others == [.promote(isPlanned: false)])
    node.happen(.promoted(.notProvable("nobody answered")))
    node.run(300)
    #expect(!node.machine.isLeader && node.view.leader == nil)
    #expect(node.machine.alarms[.notProvable] != nil)
    // And tries again later.
    node.run(7_000)
    #expect(node.others.count == 2)
  }

  @Test func switchoverHandsTheLeaseOver() {
    var node = Driver()
    node.run(500)
    var other = member("b", lease: 8)
    other.hearsPrimary = true
    node.view.members = [other]
    node.view.wish = SwitchoverWish(from: "a", to: "b")
    node.run(500)
    #expect(node.view.leader == .init(name: "b", lease: 8, from: "a"))
    #expect(node.machine.permit(node.own) == .none)
  }

  @Test func whoHandsOverStopsBeforeItIsAnswered() {
    var node = Driver()
    var other = member("b", lease: 8)
    other.hearsPrimary = true
    node.view.members = [other]
    node.run(500)
    #expect(node.permitEnd > node.now)
    node.view.wish = SwitchoverWish(from: "a", to: "b")
    var isHandingOver = false
    for _ in 0..<100 where !isHandingOver {
      node.happen(.tick)
      if case .transfer? = node.asked?.request { isHandingOver = true } else { node.answerWell() }
      node.now += 10
    }
    #expect(isHandingOver && node.machine.permit(node.own) == .none)
    node.answer(.noAnswer("away"))
    #expect(node.machine.permit(node.own) == .none)
  }

  @Test func newPrimaryWaitsUntilItsEpochIsKnown() {
    var node = Driver()
    node.view.databaseID = "d"
    node.view.epoch = 2
    var isTelling = false
    for _ in 0..<100 where !isTelling {
      node.happen(.tick)
      if case .allow? = node.asked?.request { isTelling = true } else { node.answerWell() }
      node.now += 10
    }
    #expect(isTelling && node.machine.isLeader && node.machine.permit(node.own) == .none)
    node.answerWell()
    node.run(300)
    #expect(node.permitEnd > node.now)
  }

  @Test func stoppingWithoutSuccessorReleases() {
    var node = Driver()
    node.run(500)
    node.happen(.stop)
    node.run(1_000)
    #expect(node.view.leader == nil && node.others == [.finished])
  }

  @Test func anotherDatabaseIsRefused() {
    var node = Driver()
    node.view.databaseID = "e"
    node.run(200)
    guard case .refuse? = node.others.first else {
      Issue.record("a node of another database goes on")
      return
    }
  }
}
