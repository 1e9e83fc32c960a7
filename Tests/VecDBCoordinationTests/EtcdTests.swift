import Foundation
import Synchronization
import Testing
import VecDB
import VecDBCoordination
import VecDBReplicationProtocol

/// What etcd 3.4 answers through its gateway, and what of that is certain.
@Suite struct EtcdAnswerTests {
  private static let header =
    #""header":{"cluster_id":"1","member_id":"2","revision":"7","raft_term":"3"}"#

  private func meaning(_ request: LeaseRequest, _ body: String, status: Int = 200) throws
    -> LeaseAnswer
  {
    try EtcdQuestion(request, leaseSeconds: 5, keys: EtcdKeys(cluster: "photos"))
      .meaning(status: status, body: Array(body.utf8))
  }

  private func isNoAnswer(_ answer: LeaseAnswer) -> Bool {
    if case .noAnswer = answer { true } else { false }
  }

  @Test func lostTransactionHasNoKey() throws {
    let acquire = LeaseRequest.acquire(lease: 9, name: "a")
    #expect(try meaning(acquire, "{\(Self.header)}") == .refused)
    #expect(try meaning(acquire, "{\(Self.header),\"succeeded\":true}") == .done)
    // What is no answer of etcd is no refusal.
    #expect(isNoAnswer(try meaning(acquire, "{}")))
    #expect(isNoAnswer(try meaning(acquire, "")))
    #expect(isNoAnswer(try meaning(acquire, "<html>bad gateway</html>", status: 502)))
    #expect(isNoAnswer(try meaning(acquire, "{\(Self.header)}", status: 503)))
  }

  @Test func expiredLeaseIsAnsweredWithoutItsTime() throws {
    let renew = LeaseRequest.renew(lease: 9)
    #expect(try meaning(renew, "{\"result\":{\(Self.header),\"ID\":\"9\"}}") == .expired)
    #expect(
      try meaning(renew, "{\"result\":{\(Self.header),\"ID\":\"9\",\"TTL\":\"5\"}}") == .renewed)
    #expect(isNoAnswer(try meaning(renew, "{}")))
    #expect(isNoAnswer(try meaning(renew, "{\"result\":{\(Self.header),\"TTL\":\"soon\"}}")))
    #expect(
      isNoAnswer(
        try meaning(renew, #"{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}"#)))
  }

  @Test func errorsOfBothShapesAreNoAnswer() throws {
    for request in [LeaseRequest.join, .read, .acquire(lease: 1, name: "a"), .renew(lease: 1)] {
      for body in [
        #"{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}"#,
        #"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#,
        #"{"error":"etcdserver: permission denied","code":7}"#,
        #"{"error":"etcdserver: request timed out","code":14}"#,
      ] {
        let answer = try meaning(request, body, status: 503)
        guard case .noAnswer(let text) = answer else {
          Issue.record("\(request) and \(body) are taken for \(answer)")
          continue
        }
        #expect(text.contains("etcdserver"))
      }
    }
  }

  @Test func missingLeaseIsCertain() throws {
    let body = #"{"error":"etcdserver: requested lease not found","code":5}"#
    #expect(try meaning(.acquire(lease: 9, name: "a"), body, status: 404) == .refused)
    #expect(try meaning(.renew(lease: 9), body, status: 404) == .expired)
    #expect(
      try meaning(.publish(lease: 9, ClusterMember(name: "a")), body, status: 404) == .refused)
  }

  @Test func numbersAreText() throws {
    #expect(
      try meaning(.join, "{\(Self.header),\"ID\":\"7587895512121212121\",\"TTL\":\"5\"}")
        == .joined(lease: 7_587_895_512_121_212_121))
    #expect(isNoAnswer(try meaning(.join, "{\(Self.header),\"ID\":\"x\"}")))
    #expect(isNoAnswer(try meaning(.join, "{\(Self.header)}")))
    #expect(isNoAnswer(try meaning(.join, "{\(Self.header),\"ID\":\"99999999999999999999\"}")))
  }

  @Test func viewIsReadWholeOrNotAtAll() throws {
    func pair(_ key: String, _ value: String, lease: UInt64 = 0) -> String {
      let encoded = [key, value].map { Data($0.utf8).base64EncodedString() }
      return "{\"key\":\"\(encoded[0])\",\"value\":\"\(encoded[1])\""
        + (lease == 0 ? "}" : ",\"lease\":\"\(lease)\"}")
    }
    var member = ClusterMember(name: "a", address: "h:1")
    member.role = .primary
    member.lsn = 12
    member.epoch = .max
    let text = String(decoding: try JSONEncoder().encode(member), as: UTF8.self)
    let pairs = [
      pair("/vecdb/photos/leader", #"{"name":"a"}"#, lease: 77),
      pair("/vecdb/photos/members/a", text, lease: 77),
      pair("/vecdb/photos/database", "d1"),
      pair("/vecdb/photos/allowed", #"{"names":["a","b"],"epoch":3}"#),
      pair("/vecdb/photos/wish", #"{"from":"a"}"#), pair("/vecdb/photos/paused", "1"),
      pair("/vecdb/photos/of-a-later-version", "?"),
    ]
    var expected = ClusterView()
    expected.leader = .init(name: "a", lease: 77)
    member.lease = 77
    expected.members = [member]
    expected.databaseID = "d1"
    expected.allowed = ["a", "b"]
    expected.epoch = 3
    expected.wish = SwitchoverWish(from: "a")
    expected.isPaused = true
    let body = "{\(Self.header),\"kvs\":[\(pairs.joined(separator: ","))],\"count\":\"7\"}"
    #expect(try meaning(.read, body) == .view(expected))
    #expect(try meaning(.read, "{\(Self.header)}") == .view(ClusterView()))
    for broken in ["/vecdb/photos/leader", "/vecdb/photos/members/a", "/vecdb/photos/allowed"] {
      let body = "{\(Self.header),\"kvs\":[\(pair(broken, "{\"name\":", lease: 1))]}"
      #expect(isNoAnswer(try meaning(.read, body)))
    }
    #expect(isNoAnswer(try meaning(.read, "{\(Self.header),\"kvs\":[{\"key\":\"%%\"}]}")))
  }

  @Test func conditionsNameTheLease() throws {
    let question = try EtcdQuestion(
      .transfer(lease: 77, to: .init(name: "b", lease: 88, from: "a")), leaseSeconds: 5,
      keys: EtcdKeys(cluster: "photos"))
    #expect(question.path == "/v3/kv/txn")
    let text = String(decoding: question.body, as: UTF8.self)
    #expect(text.contains(#""lease":"77","result":"EQUAL","target":"LEASE""#))
    #expect(text.contains(#""lease":"88""#))
  }
}

@Suite struct CoordinatorAddressTests {
  @Test func addresses() throws {
    #expect(
      try Coordinator("etcd://h1:2379,h2,[::1]:4").endpoints == ["h1:2379", "h2:2379", "[::1]:4"])
    #expect(try Coordinator("etcds://h1/").urls == ["https://h1:2379"])
    for text in [
      "", "h1:2379", "http://h1:2379", "etcd://", "etcd://h1:0", "etcd://h1:99999", "etcd://h1,,h2",
      "etcd://h1:2379,h1:2379", "etcd://h 1", "etcd://h1:x", "etcd://h1/path",
    ] {
      #expect(throws: VecDBError.self, "\(text)") { try Coordinator(text) }
    }
  }

  @Test func certificatesNeedTLS() throws {
    var coordinator = try Coordinator("etcd://h1:2379")
    coordinator.certificates.authority = "ca.pem"
    #expect(throws: VecDBError.self) { try coordinator.validate() }
    coordinator = try Coordinator("etcds://h1:2379")
    coordinator.certificates.certificate = "c.pem"
    #expect(throws: VecDBError.self) { try coordinator.validate() }
    coordinator.certificates.key = "c.key"
    try coordinator.validate()
  }
}

/// Endpoints and tokens, on a transport that answers from a list.
@Suite struct EtcdStoreTests {
  private final class Script: EtcdTransport {
    struct Asked: Equatable {
      var url: String
      var token: String?
    }

    private let state = Mutex<(asked: [Asked], answers: [(Int, String)?])>(([], []))

    init(_ answers: [(Int, String)?]) { state.withLock { $0.answers = answers } }

    var asked: [Asked] { state.withLock { $0.asked } }

    func post(
      _ url: String, body: [UInt8], token: String?, timeoutMilliseconds: UInt64
    ) async throws -> (status: Int, body: [UInt8]) {
      let answer = state.withLock { state in
        state.asked.append(Asked(url: url, token: token))
        return state.answers.isEmpty ? nil : state.answers.removeFirst()
      }
      guard let answer else { throw VecDBError(.inputOutput, "no connection") }
      return (answer.0, Array(answer.1.utf8))
    }

    func close() async {}
  }

  private static let done = (200, #"{"header":{"revision":"1"},"succeeded":true}"#)

  @Test func nextEndpointAfterNoAnswer() async throws {
    let script = Script([nil, (503, #"{"error":"no leader","code":14}"#), Self.done, Self.done])
    let store = EtcdStore(
      try Coordinator("etcd://h1:1,h2:2,h3:3"), cluster: "c", leaseSeconds: 5, transport: script)
    let request = LeaseRequest.release(lease: 4)
    for expected in [false, false, true, true] {
      #expect(await (store.ask(request) == .done) == expected)
    }
    #expect(
      script.asked.map(\.url)
        == ["h1:1", "h2:2", "h3:3", "h3:3"].map { "http://\($0)/v3/kv/txn" })
  }

  @Test func tokenIsRenewedOnce() async throws {
    let over = (401, #"{"error":"etcdserver: invalid auth token","code":16}"#)
    let script = Script([
      (200, #"{"token":"t1"}"#), Self.done, over, (200, #"{"token":"t2"}"#), Self.done, over,
      (200, #"{"token":"t3"}"#), over,
    ])
    var coordinator = try Coordinator("etcd://h1:1")
    coordinator.user = .init(name: "u", password: "p")
    let store = EtcdStore(coordinator, cluster: "c", leaseSeconds: 5, transport: script)
    #expect(await store.ask(.release(lease: 4)) == .done)
    #expect(await store.ask(.release(lease: 4)) == .done)
    // It says so again and again: no answer, and no endless loop.
    guard case .noAnswer = await store.ask(.release(lease: 4)) else {
      Issue.record("an answer without a valid token counts")
      return
    }
    #expect(script.asked.map(\.token) == [nil, "t1", "t1", nil, "t2", "t2", nil, "t3"])
  }

  @Test func wrongPasswordIsNoAnswer() async throws {
    let script = Script([
      (400, #"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#)
    ])
    var coordinator = try Coordinator("etcd://h1:1")
    coordinator.user = .init(name: "u", password: "p")
    let store = EtcdStore(coordinator, cluster: "c", leaseSeconds: 5, transport: script)
    guard case .noAnswer(let text) = await store.ask(.read) else {
      Issue.record("a refusal of the password is taken for an answer")
      return
    }
    #expect(text.contains("invalid user ID or password"))
  }
}
