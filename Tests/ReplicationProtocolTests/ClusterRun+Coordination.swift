import VecDBLogStore
import VecDBReplicationProtocol

/// What a coordinated scenario adds: a coordinator, and what can go wrong with it.
struct CoordinationScenario {
  var loss = LossLimit.none
  var leaseMilliseconds: UInt64 = 300
  /// Nodes stand still now and then, while their clocks go on.
  var suspends = true
  var coordinatorFails = true
  /// It gives the lease to another although it was renewed: then only promises keep nodes apart.
  var breaksItsWord = false
  var switchovers = false
}

extension ClusterScenario {
  static func coordinated(seed: UInt64, using generator: inout SplitMix64) -> ClusterScenario {
    var scenario = ClusterScenario(seed: seed, using: &generator)
    scenario.name = "coordinated"
    scenario.faultMilliseconds = 2_500
    scenario.promotions = false
    scenario.forcedPromotions = false
    scenario.restoresPrimary = false
    scenario.isChained = false
    scenario.foreigners = false
    scenario.policyChanges = false
    scenario.directWrites = false
    scenario.forgetsPolicy = false
    scenario.startsAsFollower = false
    var coordination = CoordinationScenario()
    coordination.suspends = generator.chance(0.7)
    coordination.coordinatorFails = generator.chance(0.7)
    coordination.switchovers = generator.chance(0.5)
    if generator.chance(0.5) { coordination.loss = .any }
    coordination.breaksItsWord =
      generator.chance(0.2) && scenario.policy.needed > 0 && !scenario.policy.degrades
      && scenario.policy.maximumLag == 0 && coordination.loss == .none
    scenario.coordination = coordination
    return scenario
  }
}

/// What a simulated node has beside its database when it is coordinated.
struct SimulatedCoordination {
  var machine: Coordination
  /// Its clock: parts of a thousand that it goes wrong, and where it began.
  var drift: Int64
  var offset: UInt64
  var suspendedUntil: UInt64 = 0
  var awaitsPromotion = false
  /// A question to all others whether they wait: when it was sent, and who has not answered.
  var question: (number: UInt64, sent: UInt64, open: Set<Int>)?
}

enum CoordinationEvent {
  case asked(node: Int, life: Int, number: UInt64, LeaseRequest)
  case answered(node: Int, life: Int, number: UInt64, LeaseAnswer)
  case question(to: Int, from: Int, life: Int, number: UInt64)
  case promise(to: Int, from: Int, life: Int, number: UInt64, Bool)
  case acknowledge(node: Int, life: Int, lsn: UInt64, ticket: UInt64)
  case reachable(node: Int)
  case storeIsBack

  /// Whom it happens to.
  var node: Int? {
    switch self {
    case .answered(let node, _, _, _), .question(let node, _, _, _),
      .promise(let node, _, _, _, _), .acknowledge(let node, _, _, _):
      node
    case .asked, .reachable, .storeIsBack: nil
    }
  }
}

extension ClusterRun {
  mutating func beginCoordination(_ node: Int) {
    guard let coordination = scenario.coordination, members.contains(node) else { return }
    nodes[node].coordination = SimulatedCoordination(
      machine: Coordination(
        .init(
          name: nodes[node].name, leaseMilliseconds: coordination.leaseMilliseconds,
          loss: coordination.loss)),
      drift: Int64.random(in: -30...30, using: &generator),
      offset: UInt64.random(in: 1_000...1_000_000, using: &generator))
  }

  func clock(_ node: Int) -> UInt64 {
    guard let coordination = nodes[node].coordination else { return now }
    return UInt64(Int64(coordination.offset + now) + Int64(now) * coordination.drift / 1_000)
  }

  private func own(_ node: Int) -> Coordination.Own {
    let simulated = nodes[node]
    var member = ClusterMember(name: simulated.name, address: "\(node):1")
    member.role = simulated.isPrimary ? .primary : .follower
    member.databaseID = "db"
    member.epoch = simulated.store.identity.name.counter
    member.lsn = simulated.store.end.lsn
    member.hearsPrimary =
      simulated.following?.session.state == .streaming
      && simulated.following?.session.isOfPrimary ?? false
    member.isUnfit = simulated.unsaved || simulated.fetching != nil
    let alone = simulated.acknowledgement.terms.waiting.contains {
      $0.isAsynchronous || $0.degrades || $0.maximumLag != 0
    }
    return .init(
      member: member,
      acknowledgesAlone: alone || simulated.acknowledgement.terms.waiting.isEmpty)
  }

  func isSuspended(_ node: Int) -> Bool { nodes[node].coordination?.suspendedUntil ?? 0 > now }

  /// Whether the coordination lets this node acknowledge writes now.
  func mayAcknowledge(_ node: Int) -> Bool {
    guard let machine = nodes[node].coordination?.machine else { return true }
    switch machine.permit(own(node)) {
    case .unlimited: return true
    case .until(let end): return clock(node) < end
    case .none: return false
    }
  }

  /// Nobody acknowledges in an epoch after somebody did in a later one; unless a replica confirmed the
  /// write in time, so that the later one has it.
  mutating func noteAcknowledgement(of write: UInt64, at lsn: UInt64, by node: Int) throws {
    let epoch = nodes[node].store.identity.name
    if let latest = latestAcknowledgement, latest.epoch > epoch {
      guard !own(node).acknowledgesAlone,
        nodes[latest.node].store.contains(write: write, at: lsn)
      else {
        throw failure(
          "node \(node) acknowledges in \(epoch) after node \(latest.node) did in \(latest.epoch)")
      }
      return
    }
    latestAcknowledgement = (epoch, node)
  }

  mutating func coordinate(_ node: Int, _ event: Coordination.Event) throws {
    guard nodes[node].isUp, var coordination = nodes[node].coordination else { return }
    let actions = coordination.machine.handle(event, own: own(node), now: clock(node))
    nodes[node].coordination = coordination
    for action in actions { try perform(action, at: node) }
    // A promotion that came to an end in whatever way.
    if nodes[node].coordination?.awaitsPromotion == true, nodes[node].promotion == nil {
      nodes[node].coordination?.awaitsPromotion = false
      let isPromoted = nodes[node].isPrimary
      try coordinate(node, .promoted(isPromoted ? nil : .other("nothing came of it")))
    }
  }

  private mutating func perform(_ action: Coordination.Action, at node: Int) throws {
    guard let coordination = scenario.coordination, nodes[node].isUp else { return }
    switch action {
    case .ask(let number, let request):
      let life = nodes[node].life
      if storeCuts.contains(node) || leaseStore.isAway || isLost() {
        return answerLater(node, number, .noAnswer("cut"), after: delay(20...150))
      }
      events.add(
        .coordination(.asked(node: node, life: life, number: number, request)),
        at: now + delay(0...8))
    case .promote:
      guard let lease = nodes[node].coordination?.machine.lease, leaseStore.everLed.contains(lease)
      else { throw failure("node \(node) promotes itself, and never had the lease") }
      leaderships += 1
      nodes[node].coordination?.awaitsPromotion = true
      guard !nodes[node].store.isWriter else { return }
      try standForElection(node, isForced: coordination.loss == .any)
    case .create: throw failure("node \(node) makes a database although it has one")
    case .askToWait(let others):
      let targets = others.compactMap { other in nodes.first { $0.name == other.name }?.id }
      questions += 1
      let sent = clock(node)
      nodes[node].coordination?.question = (questions, sent, Set(targets))
      for target in targets where !isCut(node, target) {
        events.add(
          .coordination(
            .question(to: target, from: node, life: nodes[target].life, number: questions)),
          at: now + delay(1...10))
      }
    case .refuse(let text): throw failure("node \(node) refuses: \(text)")
    case .finished: crash(node)
    }
  }

  private func isCut(_ node: Int, _ other: Int) -> Bool {
    network.cut.contains([node, other]) || !nodes[other].isUp
  }

  private mutating func isLost() -> Bool {
    scenario.coordination?.coordinatorFails == true && !isMending && generator.chance(0.02)
  }

  private mutating func delay(_ range: ClosedRange<UInt64>) -> UInt64 {
    UInt64.random(in: range, using: &generator)
  }

  private mutating func answerLater(
    _ node: Int, _ number: UInt64, _ answer: LeaseAnswer, after pause: UInt64
  ) {
    events.add(
      .coordination(
        .answered(node: node, life: nodes[node].life, number: number, answer)), at: now + pause)
  }

  mutating func happened(_ event: CoordinationEvent) throws {
    if let node = event.node, isSuspended(node) {
      return events.add(
        .coordination(event), at: nodes[node].coordination?.suspendedUntil ?? now)
    }
    switch event {
    case .asked(let node, let life, let number, let request):
      guard let coordination = scenario.coordination else { return }
      // It is done although nobody may hear of it.
      let answer = leaseStore.answer(
        request, leaseMilliseconds: coordination.leaseMilliseconds, now: now)
      if case .acquire = request, answer == .done { note("\(node) has the lease") }
      guard nodes[node].isUp, nodes[node].life == life else { return }
      if isLost() || storeCuts.contains(node) {
        return answerLater(node, number, .noAnswer("lost"), after: delay(20...150))
      }
      answerLater(node, number, answer, after: delay(0...8))
    case .answered(let node, let life, let number, let answer):
      guard nodes[node].life == life else { return }
      try coordinate(node, .answered(number: number, answer))
    case .question(let node, let asker, let life, let number):
      guard nodes[node].isUp, nodes[node].life == life, var own = nodes[node].coordination
      else { return }
      let isPromised = own.machine.promiseToWait(now: clock(node))
      nodes[node].coordination = own
      guard !isCut(node, asker) else { return }
      events.add(
        .coordination(
          .promise(
            to: asker, from: node, life: nodes[asker].life, number: number, isPromised)),
        at: now + delay(1...10))
    case .promise(let node, let other, let life, let number, let isPromised):
      guard nodes[node].isUp, nodes[node].life == life, isPromised,
        var question = nodes[node].coordination?.question, question.number == number
      else { return }
      question.open.remove(other)
      nodes[node].coordination?.question = question
      guard question.open.isEmpty else { return }
      nodes[node].coordination?.question = nil
      try coordinate(node, .promised(sent: question.sent, byAll: true))
    case .acknowledge(let node, let life, let lsn, let ticket):
      guard nodes[node].isUp, nodes[node].life == life else { return }
      try settle(
        nodes[node].acknowledgement.committed(lsn: lsn, ticket: ticket, now: now), at: node)
      try logGrew(node)
    case .reachable(let node): storeCuts.remove(node)
    case .storeIsBack: leaseStore.isAway = false
    }
  }

  mutating func suspend(_ node: Int, for milliseconds: UInt64) {
    guard nodes[node].isUp else { return }
    note("\(node) stands still for \(milliseconds) ms")
    nodes[node].coordination?.suspendedUntil = now + milliseconds
  }

  /// Whether this event waits, since its node stands still.
  mutating func waitsForSuspended(_ event: Event) -> Bool {
    let node: Int
    switch event {
    case .tick(let own): node = own
    case .deliver(_, let to, _): node = to
    case .committed(let own, _, _, _), .ship(let own, _, _, _): node = own
    default: return false
    }
    guard isSuspended(node), let end = nodes[node].coordination?.suspendedUntil else {
      return false
    }
    events.add(event, at: end)
    return true
  }

  mutating func strikeCoordinated(_ coordination: CoordinationScenario) throws {
    let node = Int.random(in: members, using: &generator)
    switch Int.random(in: 0..<16, using: &generator) {
    case 0, 1, 2:
      if scenario.crashes, nodes[node].isUp { crash(node) }
    case 3, 4, 5:
      guard scenario.cuts else { return }
      let other = (node + Int.random(in: 1...2, using: &generator)) % 3
      cut([node, other])
      if generator.chance(0.6) { cut([other, node]) }
    case 6, 7, 8:
      guard coordination.coordinatorFails, storeCuts.insert(node).inserted else { return }
      note("\(node) does not reach the coordinator")
      events.add(.coordination(.reachable(node: node)), at: now + delay(20...1_000))
    case 9:
      guard coordination.coordinatorFails, !leaseStore.isAway else { return }
      note("the coordinator is away")
      leaseStore.isAway = true
      events.add(.coordination(.storeIsBack), at: now + delay(50...1_500))
    case 10:
      if coordination.coordinatorFails { leaseStore.changeServers(now: now) }
    case 11, 12:
      if coordination.suspends { suspend(node, for: delay(20...1_200)) }
    case 13:
      guard coordination.switchovers, let leader = leaseStore.view.leader else { return }
      leaseStore.wish(SwitchoverWish(from: leader.name, to: generator.chance(0.5) ? "n1" : nil))
    case 14:
      guard coordination.switchovers else { return }
      if generator.chance(0.5) {
        try coordinate(node, .stop)
      } else {
        leaseStore.setPaused(!leaseStore.view.isPaused)
      }
    case 15:
      if coordination.breaksItsWord {
        note("the coordinator forgets who has the lease")
        leaseStore.loseLeader()
      }
    default: return
    }
  }

  mutating func mendCoordination() {
    leaseStore.isAway = false
    leaseStore.setPaused(false)
    leaseStore.wish(nil)
    storeCuts = []
  }
}
