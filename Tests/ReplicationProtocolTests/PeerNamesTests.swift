import Testing
import VecDBLogStore
import VecDBReplicationProtocol

/// Who may speak under which name.
@Suite struct PeerNamesTests {
  private let own = UniqueID(high: 1, low: 1)
  private let first = UniqueID(high: 1, low: 2)
  private let second = UniqueID(high: 1, low: 3)

  private func hello(_ name: String, _ node: UniqueID) -> Message.Hello {
    Message.Hello(
      name: name, identity: nil, end: .zero, fence: .none, samples: [], creditBytes: 0,
      nodeID: node, promised: [])
  }

  private func judge(
    _ names: inout PeerNames, _ hello: Message.Hello, certified: [String]? = nil,
    others: [PeerNames.Session] = [], isOwner: Bool = true, wantsToStream: Bool = true,
    now: UInt64 = 100_000
  ) -> PeerNames.Verdict {
    names.judge(
      hello, certified: certified, others: others, isOwner: isOwner, wantsToStream: wantsToStream,
      now: now)
  }

  private func isRefused(_ verdict: PeerNames.Verdict) -> Bool {
    if case .refuse = verdict { return true }
    return false
  }

  @Test func aNameBelongsToItsCertificate() {
    var names = PeerNames(of: "a", own, liveMilliseconds: 1_000)
    #expect(judge(&names, hello("b", first), certified: ["b", "b.example"]) == .welcome)
    #expect(judge(&names, hello("B", first), certified: ["b"]) == .welcome)
    #expect(isRefused(judge(&names, hello("b", first), certified: ["c"])))
    #expect(isRefused(judge(&names, hello("b", first), certified: [])))
    #expect(isRefused(judge(&names, hello("b", .zero), certified: ["c"])))
    #expect(judge(&names, hello("b", first), certified: nil) == .welcome)
  }

  @Test func theNamesOfThisNodeAndOfOthersAreTaken() {
    var names = PeerNames(of: "a", own, liveMilliseconds: 1_000)
    #expect(isRefused(judge(&names, hello("a", first))))
    #expect(judge(&names, hello("a", own)) == .welcome)
    let there = PeerNames.Session(name: "b", nodeID: first, isStreaming: true, heard: 100_000)
    #expect(isRefused(judge(&names, hello("b", second), others: [there], isOwner: false)))
    #expect(judge(&names, hello("c", second), others: [there]) == .welcome)
  }

  @Test func aNameIsKeptForAWhile() {
    var names = PeerNames(of: "a", own, liveMilliseconds: 1_000)
    names.saw("b", now: 100_000)
    let grace = PeerNames.graceMilliseconds
    #expect(isRefused(judge(&names, hello("b", second), isOwner: false, now: 100_000 + grace)))
    #expect(judge(&names, hello("b", second), isOwner: false, now: 100_001 + grace) == .takesOver)
    #expect(judge(&names, hello("b", first), isOwner: true, now: 100_001) == .welcome)
  }

  @Test func aNodeIsConnectedOnce() {
    var names = PeerNames(of: "a", own, liveMilliseconds: 1_000)
    func at(_ now: UInt64, heard: UInt64) -> PeerNames.Verdict {
      let there = PeerNames.Session(name: "b", nodeID: first, isStreaming: true, heard: heard)
      return judge(&names, hello("b", first), others: [there], now: now)
    }
    // One that has not been heard for a while is a connection that was lost.
    #expect(at(100_000, heard: 99_000) == .welcome)
    var alarms: [UInt64] = []
    for now in stride(from: UInt64(100_000), through: 112_000, by: 1_000) {
      guard case .refuse(.notServing, _, let alarm) = at(now, heard: now - 100) else {
        Issue.record("let in twice at \(now)")
        continue
      }
      if alarm != nil { alarms.append(now) }
    }
    #expect(alarms.first == 106_000)
    // A copy may be fetched beside it: that confirms nothing.
    let there = PeerNames.Session(name: "b", nodeID: first, isStreaming: true, heard: 100_000)
    #expect(
      judge(&names, hello("b", first), others: [there], wantsToStream: false) == .welcome)
  }
}
