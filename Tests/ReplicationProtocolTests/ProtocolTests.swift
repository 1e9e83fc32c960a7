import Testing
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

@Suite struct ProtocolTests {
  private static let epoch = Epoch(
    counter: 3, id: UniqueID(high: 1, low: 2), parentID: .zero, beganAtLSN: 0, beganAtChain: .zero)
  private static let identity = LogIdentity(
    databaseID: UniqueID(high: 5, low: 6), epochs: [epoch])
  private static let frame = LogFrame(
    after: .zero, epochCounter: 3, timeMilliseconds: 17, payload: [1, 2, 3])
  private static let hello = Message.Hello(
    name: "b", identity: identity, end: frame.position, fence: EpochName(epoch),
    samples: [.zero], creditBytes: 99, nodeID: UniqueID(high: 8, low: 9),
    promised: [EpochName(counter: 9, id: UniqueID(high: 1, low: 1))])

  private static let messages: [Message] = [
    .hello(hello), .openSnapshot(hello),
    .hello(.init(name: "new", identity: nil, end: .zero, fence: .none)),
    .welcome(.init(identity: identity, primaryEnd: 7, heartbeatMilliseconds: 500)),
    .snapshotNeeded(identity), .diverged(frame.position, identity),
    .refuse(.init(.staleEpoch, "no", fence: EpochName(epoch))),
    .data(.init(frames: [frame], primaryEnd: 9, bytesBehind: 1_234)), .credit(77),
    .progress(.init(received: 4, durable: 3, applied: 2, searchable: 1)),
    .heartbeat(.init(end: 9, bytesBehind: 8, epoch: EpochName(epoch))),
    .digest(lsn: 4, SHA256.hash([1])), .epochs(identity), .pull(frame.position),
    .pulled([frame], isLast: true), .pullRefused("gone"),
    .requestPromise(
      .init(
        candidate: "b", databaseID: identity.databaseID, epoch: EpochName(epoch),
        end: frame.position, isPlanned: true)),
    .promise(
      .init(
        name: "a", isGranted: true, identity: identity, end: frame.position,
        fence: EpochName(epoch), isPrimary: true, text: "", nodeID: UniqueID(high: 3, low: 4),
        promised: [EpochName(epoch)])),
    .snapshot(.init(manifest: [1, 2], identity: identity)), .requestBlocks([SHA256.hash([2])]),
    .probe(
      .init(
        candidate: "b", databaseID: identity.databaseID, epoch: EpochName(epoch),
        end: frame.position, isPlanned: false)), .withdraw(EpochName(epoch)),
    .block(SHA256.hash([2]), [2]), .block(SHA256.hash([3]), nil),
  ]

  private func decode(_ bytes: [UInt8], pieces: Int = 1) throws -> [Message] {
    var reader = WireFrameReader(payloadBytesMaximum: Message.payloadBytesMaximum)
    var messages: [Message] = []
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      reader.feed(bytes[start..<min(start + pieces, bytes.count)])
      while let frame = try reader.next() {
        if let message = try Message(frame) { messages.append(message) }
      }
    }
    return messages
  }

  @Test(arguments: [1, 7, 100_000]) func everyMessageComesBack(pieces: Int) throws {
    var bytes: [UInt8] = []
    for (sequence, message) in Self.messages.enumerated() {
      bytes += message.encoded(sequence: UInt64(sequence))
    }
    #expect(try decode(bytes, pieces: pieces) == Self.messages)
  }

  @Test(arguments: [[0x16, 3, 1, 2, 0], [0x15, 3, 1], [0x16]] as [[UInt8]])
  func anotherProtocolIsNamed(bytes: [UInt8]) {
    let error = #expect(throws: WireError.self) { try decode(bytes) }
    #expect(error?.description.contains("speaks TLS") == true)
    let other = #expect(throws: WireError.self) { try decode(Array("GET / HTTP/1.1".utf8)) }
    #expect(other?.description.contains("not the bytes") == true)
  }

  @Test func goldenBytes() {
    // The layout that Replication.md states; other programs read it.
    let bytes = Message.credit(0x0102_0304).encoded(sequence: 5)
    #expect(
      bytes == [
        0x56, 0x44, 0x42, 0x57, 1, 0, 7, 0, 5, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0,
      ] + Self.crc(bytes[..<20]) + [4, 3, 2, 1, 0, 0, 0, 0] + Self.crc(bytes[..<32]))
  }

  private static func crc(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    withUnsafeBytes(of: CRC32C.checksum(Array(bytes)).littleEndian) { Array($0) }
  }

  @Test func everyDamagedBitIsRefused() throws {
    let bytes = Self.messages[7].encoded(sequence: 0)
    for index in bytes.indices {
      for bit in 0..<8 where index != 5 && index != 7 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        var found: [Message] = []
        do { found = try decode(damaged) } catch is WireError { continue }
        #expect(found.isEmpty, "byte \(index), bit \(bit)")
      }
    }
  }

  @Test func duplicatesGapsAndGarbageAreRefused() {
    let first = Message.credit(1).encoded(sequence: 0)
    #expect(throws: WireError.self) { try decode(first + first) }
    #expect(throws: WireError.self) { try decode(Message.credit(1).encoded(sequence: 1)) }
    #expect(throws: WireError.self) { try decode(Array("GET / HTTP/1.1\r\n\r\n".utf8)) }
    #expect(throws: WireError.self) { try decode([0x56, 0x44, 0x42, 0x58]) }
  }

  @Test func aStrangerCannotMakeUsKeepMuch() {
    let long = Message.snapshot(
      .init(manifest: [UInt8](repeating: 0, count: 2 << 20), identity: Self.identity)
    ).encoded(sequence: 0)
    var reader = WireFrameReader(payloadBytesMaximum: Message.greetingBytesMaximum)
    reader.feed(long[..<24])
    #expect(throws: WireError.self) { try reader.next() }
  }

  @Test func anotherMinorVersionIsUnderstood() throws {
    // A later minor version: a longer message, and one of a kind that may be skipped.
    let later = WireFrame(
      kind: 7, sequence: 0, payload: [9, 0, 0, 0, 0, 0, 0, 0, 42], minorVersion: 9)
    let unknown = WireFrame(
      kind: 200, sequence: 1, payload: [1], isSkippable: true, minorVersion: 9)
    #expect(try decode(later.encoded() + unknown.encoded()) == [.credit(9)])
    let binding = WireFrame(kind: 200, sequence: 0, payload: [1], minorVersion: 9)
    #expect(throws: WireError.self) { try decode(binding.encoded()) }
  }

  // MARK: The machines

  @Test func aClaimedLSNIsRefused() {
    var store = ModelStore(identity: Self.identity, isWriter: true)
    for _ in 0..<3 { _ = store.write([0, 0, 0, 0, 0, 0, 0, 0], timeMilliseconds: 0) }
    var session = PrimarySession(now: 0, isWriter: true)
    let hello = Message.Hello(
      name: "b", identity: Self.identity, end: .zero, fence: EpochName(Self.epoch))
    _ = session.received(.hello(hello), fence: Fence(), history: store, now: 0)
    let actions = session.received(
      .progress(.init(received: 3, durable: 3, applied: 3, searchable: 3)), fence: Fence(),
      history: store, now: 1)
    #expect(session.state == .closed)
    #expect(
      actions.contains {
        if case .send(.refuse(let refusal)) = $0 { return refusal.reason == .protocolViolation }
        return false
      })
  }

  @Test func whoSaysNothingIsLetGo() {
    let store = ModelStore(identity: Self.identity, isWriter: true)
    var session = PrimarySession(now: 0, isWriter: true)
    #expect(session.tick(history: store, now: 3_000).isEmpty)
    #expect(session.tick(history: store, now: 3_001) == [.close("no hello came")])
  }

  @Test func anotherDatabaseIsRefused() {
    let store = ModelStore(identity: Self.identity, isWriter: true)
    var session = PrimarySession(now: 0, isWriter: true)
    var hello = Self.hello
    hello.fence = .none
    hello.identity?.databaseID = UniqueID(high: 9, low: 9)
    _ = session.received(.hello(hello), fence: Fence(), history: store, now: 0)
    #expect(session.state == .closed)
  }

  @Test func creditBoundsWhatIsOnItsWay() {
    var store = ModelStore(identity: Self.identity, isWriter: true)
    for _ in 0..<100 { _ = store.write([UInt8](repeating: 0, count: 928), timeMilliseconds: 0) }
    var limits = SessionLimits()
    limits.creditBytes = 10_000
    var session = PrimarySession(now: 0, isWriter: true, limits: limits)
    var hello = Message.Hello(
      name: "b", identity: Self.identity, end: .zero, fence: .none, creditBytes: 10_000)
    hello.end = .zero
    var actions = session.received(.hello(hello), fence: Fence(), history: store, now: 0)
    var sent = 0
    while let after = actions.compactMap({ action -> UInt64? in
      if case .ship(let after, _) = action { return after }
      return nil
    }).first {
      sent += 1
      actions = session.ship(
        store.frames(after: after, count: 1), bytesBehind: 0, history: store, now: 0)
    }
    #expect(sent == 10)
    #expect(
      session.received(.credit(11_000), fence: Fence(), history: store, now: 1)
        == [.ship(after: 10, bytesMaximum: limits.messageBytes)])
  }

  @Test func lagIsToldByOneClockAndGrowsWhenStalled() {
    var lag = Lag()
    #expect(lag.milliseconds(now: 5) == nil)
    lag.heard(primaryLSN: 10, bytesBehind: 100, now: 1_000)
    lag.applied(10)
    #expect(lag.milliseconds(now: 1_100) == 0)
    lag.heard(primaryLSN: 12, bytesBehind: 50, now: 2_000)
    lag.heard(primaryLSN: 20, bytesBehind: 500, now: 3_000)
    #expect(lag.milliseconds(now: 3_500) == 1_500)
    lag.applied(12)
    #expect(lag.milliseconds(now: 3_500) == 500)
    #expect(lag.lsns == 8)
    lag.applied(20)
    // Nothing is known to be missing, but nothing has been heard either.
    #expect(lag.milliseconds(now: 9_000) == 6_000)
  }

  @Test func policiesComeBack() throws {
    let policy = AcknowledgementPolicy(members: ["b", "c"], needed: 1, maximumLag: 3)
    #expect(try AcknowledgementPolicy(decoding: policy.encoded()) == policy)
    let any = AcknowledgementPolicy.asynchronous
    #expect(try AcknowledgementPolicy(decoding: any.encoded()) == any)
  }

  @Test func aChangeOfThePolicyComesBackAndWaitsAsBothAsk() throws {
    let old = AcknowledgementPolicy(members: ["b"], needed: 1, timeoutMilliseconds: 100)
    let new = AcknowledgementPolicy(members: ["c"], needed: 1, timeoutMilliseconds: 100)
    let change = AcknowledgementTerms(old).changing(to: new)
    #expect(try AcknowledgementTerms(decoding: change.encoded()) == change)
    #expect(try AcknowledgementTerms(decoding: []) == .asynchronous)
    #expect(AcknowledgementTerms.asynchronous.changing(to: new) == AcknowledgementTerms(new))
    // A change that was broken off and is made another one is still bound by the first policy.
    #expect(change.changing(to: .asynchronous).replaced == old)
    var machine = Acknowledgement(terms: change)
    let step1 = machine.committed(lsn: 1, ticket: 1, now: 0)
    #expect(step1.isEmpty)
    let step2 = machine.holds("c", lsn: 1)
    #expect(step2.isEmpty)
    let step3 = machine.holds("b", lsn: 1)
    #expect(step3 == [.release([1])])
  }

  @Test func aPrimaryWaitsForThoseItMustHearAndThenForAsManyAsItNeeds() {
    let policy = AcknowledgementPolicy(members: ["b", "c"], needed: 1)
    var machine = Acknowledgement(terms: .init(policy), patienceEnd: 1_000)
    _ = machine.holds("b", lsn: 5, isHello: true)
    #expect(!machine.isReadyToWrite)
    let step4 = machine.tick(now: 999)
    #expect(step4.isEmpty)
    let step5 = machine.tick(now: 1_000)
    #expect(step5 == [.startedWithout(["c"])])
    #expect(machine.isReadyToWrite)
    var patient = Acknowledgement(terms: .init(policy))
    _ = patient.holds("b", lsn: 5, isHello: true)
    let step6 = patient.tick(now: .max)
    #expect(step6.isEmpty)
    #expect(!patient.isReadyToWrite)
    // With nobody there it goes on waiting, and says so when somebody comes.
    var alone = Acknowledgement(terms: .init(policy), patienceEnd: 1_000)
    let step7 = alone.tick(now: 5_000)
    #expect(step7.isEmpty)
    _ = alone.holds("c", lsn: 5, isHello: true)
    let step8 = alone.tick(now: 5_001)
    #expect(step8 == [.startedWithout(["b"])])
  }

  @Test func anotherNodeOfAMembersNameDoesNotCount() {
    let (first, second) = (UniqueID(high: 1, low: 1), UniqueID(high: 2, low: 2))
    var machine = Acknowledgement(terms: .init(.init(members: ["b"], needed: 1)))
    _ = machine.holds("b", first, lsn: 0, isHello: true)
    let step9 = machine.committed(lsn: 1, ticket: 1, now: 0)
    #expect(step9.isEmpty)
    let step10 = machine.holds("b", second, lsn: 1, isHello: true)
    #expect(step10.isEmpty)
    let step11 = machine.holds("b", first, lsn: 1)
    #expect(step11 == [.release([1])])
    machine.forget(owner: "b")
    let step12 = machine.committed(lsn: 2, ticket: 2, now: 0)
    #expect(step12.isEmpty)
    let step13 = machine.holds("b", second, lsn: 2)
    #expect(step13 == [.release([2])])
  }

  @Test func aPromiseEndsWithItsEpochAlone() {
    let (low, high) = (
      EpochName(counter: 2, id: UniqueID(high: 1, low: 1)),
      EpochName(counter: 3, id: UniqueID(high: 1, low: 2))
    )
    var fence = Fence(EpochName(counter: 1, id: .zero))
    let step14 = fence.promise(low)
    #expect(step14)
    let step15 = fence.promise(high)
    #expect(step15)
    let step16 = fence.promise(low)
    #expect(!step16)
    let step17 = fence.withdraw(high)
    #expect(step17)
    // The other candidate may still begin its epoch.
    #expect(fence.epoch == low)
    let step18 = fence.withdraw(high)
    #expect(!step18)
    let step19 = fence.raise(to: low)
    #expect(step19)
    #expect(fence.promised.isEmpty)
    let step20 = fence.withdraw(low)
    #expect(!step20)
    #expect(fence.epoch == low)
  }

  @Test func aFenceOfAnotherDatabaseSaysNothing() {
    var store = ModelStore(identity: Self.identity, isWriter: true)
    _ = store.write([0, 0, 0, 0, 0, 0, 0, 0], timeMilliseconds: 0)
    let high = EpochName(counter: 99, id: UniqueID(high: 9, low: 9))
    // Somebody who follows, and has another database or none.
    for identity in [LogIdentity(databaseID: UniqueID(high: 8, low: 8), epochs: [Self.epoch]), nil]
    {
      var session = PrimarySession(now: 0, isWriter: true)
      let hello = Message.Hello(name: "x", identity: identity, end: .zero, fence: high)
      let actions = session.received(.hello(hello), fence: Fence(), history: store, now: 0)
      #expect(!actions.contains { if case .stepDown = $0 { true } else { false } })
    }
    // Somebody who is asked, and refuses.
    for (id, isTaken) in [(UniqueID(high: 8, low: 8), false), (Self.identity.databaseID, true)] {
      let refusal = Message.Refusal(.notServing, "no", fence: high, databaseID: id)
      var asking = ReplicaSession(hello: Self.hello, lag: Lag(), now: 0, limits: SessionLimits())
      let taken = asking.received(.refuse(refusal), fence: Fence(), history: store, now: 0)
      #expect(taken.contains(.raiseFence(high)) == isTaken)
      var asked = PrimarySession(now: 0, isWriter: true)
      let told = asked.received(.refuse(refusal), fence: Fence(), history: store, now: 0)
      #expect(told.contains(.stepDown(high)) == isTaken)
    }
  }

  @Test func aWriteWaitsForAsManyAsAreNeeded() {
    var machine = Acknowledgement(
      terms: .init(.init(members: ["b", "c"], needed: 2, timeoutMilliseconds: 100)))
    #expect(machine.committed(lsn: 1, ticket: 1, now: 0).isEmpty)
    #expect(machine.holds("b", lsn: 1).isEmpty)
    #expect(machine.holds("stranger", lsn: 1).isEmpty)
    #expect(machine.holds("c", lsn: 1) == [.release([1])])
    #expect(machine.committed(lsn: 2, ticket: 2, now: 50).isEmpty)
    #expect(machine.tick(now: 149).isEmpty)
    #expect(machine.tick(now: 150) == [.giveUp([2])])
  }
}
