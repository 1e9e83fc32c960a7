import Testing
import VecDBLogStore
import VecDBReplicationProtocol

/// What a candidate may claim, case by case.
@Suite struct PromotionTests {
  private static let epoch = Epoch(
    counter: 1, id: UniqueID(high: 1, low: 0), parentID: .zero, beganAtLSN: 0, beganAtChain: .zero)
  private static let identity = LogIdentity(
    databaseID: UniqueID(high: 5, low: 6), epochs: [epoch])
  private static let end = LogFrame(
    after: .zero, epochCounter: 1, timeMilliseconds: 17, payload: [1, 2, 3]
  ).position
  private static let waits = AcknowledgementPolicy(members: ["b", "c"], needed: 2)

  private static func node(_ name: String) -> UniqueID {
    UniqueID(high: 9, low: UInt64(name.utf8.first ?? 0))
  }

  private func machine(
    fence: Fence = Fence(), _ policy: AcknowledgementPolicy = waits
  ) -> Promotion {
    Promotion(
      candidate: "b", nodeID: Self.node("b"), identity: Self.identity, end: Self.end, fence: fence,
      terms: AcknowledgementTerms(policy), random: 4)
  }

  private func promise(_ name: String, knowing promised: [EpochName] = []) -> Message.Promise {
    Message.Promise(
      name: name, isGranted: true, identity: Self.identity, end: Self.end, fence: .none,
      isPrimary: false, text: "", nodeID: Self.node(name), promised: promised)
  }

  private func loss(_ machine: Promotion) -> PromotionCertificate.Loss? {
    switch machine.decide(isForced: false) {
    case .promote(let certificate, _), .refused(let certificate): certificate.loss
    default: nil
    }
  }

  @Test func thePolicyThatCountsIsThatAtTheEndOfTheBoundLog() {
    var promotion = machine()
    promotion.received(promise("c"))
    #expect(loss(promotion) == PromotionCertificate.Loss.none)
    _ = promotion.beginAsking()
    // Until it was bound, a change of the policy arrived.
    promotion.bound(identity: Self.identity, end: Self.end, terms: .asynchronous)
    promotion.received(promise("c"))
    #expect(loss(promotion) == .unbounded)
    // While it is being changed, both policies count.
    promotion.bound(
      identity: Self.identity, end: Self.end,
      terms: AcknowledgementTerms(.asynchronous, replacing: Self.waits))
    #expect(loss(promotion) == .unbounded)
    let other = AcknowledgementPolicy(members: ["b", "d"], needed: 1)
    promotion.bound(
      identity: Self.identity, end: Self.end,
      terms: AcknowledgementTerms(Self.waits, replacing: other))
    #expect(loss(promotion) == .unbounded)
    promotion.received(promise("d"))
    #expect(loss(promotion) == PromotionCertificate.Loss.none)
  }

  @Test func anEpochThatMayHaveBegunElsewhereBarsTheClaim() {
    let other = EpochName(counter: 2, candidate: Self.node("d"), random: 1)
    // Known to this node, or to one that answers.
    var fence = Fence()
    _ = fence.promise(other)
    for (fence, promised) in [(fence, []), (Fence(), [other]), (Fence(other), [])] {
      var promotion = machine(fence: fence)
      _ = promotion.beginAsking()
      if fence.epoch == .none { promotion.received(promise("e", knowing: [other])) }
      _ = promised
      var later = promotion
      while later.epoch < other {
        later.received(refusing("x", other))
        _ = later.beginAsking()
        later.received(promise("e", knowing: [other]))
      }
      later.received(promise("c"))
      #expect(loss(later) == .unbounded)
      // Its candidate was heard, and has begun nothing.
      later.received(promise("d"))
      #expect(loss(later) == PromotionCertificate.Loss.none)
    }
  }

  private func refusing(_ name: String, _ fence: EpochName) -> Message.Promise {
    var promise = promise(name)
    promise.isGranted = false
    promise.fence = fence
    return promise
  }

  @Test func twoPromotionsHearOfEachOther() {
    // Each of the two replicas has every acknowledged write; still one alone is not enough.
    var promotion = machine()
    #expect(loss(promotion) == .unbounded)
    promotion.received(promise("c"))
    #expect(loss(promotion) == PromotionCertificate.Loss.none)
  }

  @Test func anotherDatabaseHasNoSay() {
    var promotion = machine()
    _ = promotion.beginAsking()
    var foreign = promise("c")
    foreign.identity.databaseID = UniqueID(high: 8, low: 8)
    foreign.fence = EpochName(counter: 50, id: .zero)
    promotion.received(foreign)
    #expect(loss(promotion) == .unbounded)
  }

  @Test func whoDegradedWaitsAgainUnderAPolicyThatForbidsIt() {
    let degrades = AcknowledgementPolicy(
      members: ["b"], needed: 1, timeoutMilliseconds: 100, degrades: true)
    let blocks = AcknowledgementPolicy(members: ["b"], needed: 1, timeoutMilliseconds: 100)
    var machine = Acknowledgement(terms: .init(degrades))
    _ = machine.committed(lsn: 1, ticket: 1, now: 0)
    let late = machine.tick(now: 100)
    #expect(late == [.degraded, .release([1])])
    _ = machine.replace(terms: AcknowledgementTerms(degrades).changing(to: blocks))
    let next = machine.committed(lsn: 2, ticket: 2, now: 200)
    #expect(next.isEmpty)
  }
}
