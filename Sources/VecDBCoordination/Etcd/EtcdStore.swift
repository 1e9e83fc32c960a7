import FoundationEssentials
import VecDB
import VecDBBytes
import VecDBReplicationProtocol

/// Sends one request to one endpoint, and waits for the answer so long at most.
package protocol EtcdTransport: Sendable {
  func post(
    _ url: String, body: [UInt8], token: String?, timeoutMilliseconds: UInt64
  ) async throws -> (status: Int, body: [UInt8])

  func close() async
}

/// A coordinator that is etcd, through its JSON gateway.
///
/// Each question goes to one endpoint. After one that was not answered the next endpoint is asked,
/// by the next question: whether the first was done nobody knows, and its sender must not guess.
package final class EtcdStore: LeaseStore {
  private struct State {
    var endpoint = 0
    var token: String?
  }

  let keys: EtcdKeys
  private let endpoints: [String]
  private let user: Coordinator.User?
  private let leaseSeconds: UInt64
  private let timeoutMilliseconds: UInt64
  private let transport: any EtcdTransport
  private let state = Guarded(State())

  package init(
    _ coordinator: Coordinator, cluster: String, leaseSeconds: UInt64,
    transport: any EtcdTransport
  ) {
    keys = EtcdKeys(cluster: cluster)
    endpoints = coordinator.urls
    user = coordinator.user
    self.leaseSeconds = leaseSeconds
    timeoutMilliseconds = leaseSeconds * 1_000 / 3
    self.transport = transport
  }

  package func ask(_ request: LeaseRequest) async -> LeaseAnswer {
    do {
      let question = try EtcdQuestion(request, leaseSeconds: leaseSeconds, keys: keys)
      let answer = try await send(question.path, question.body)
      let meaning = question.meaning(status: answer.status, body: answer.body)
      if case .noAnswer = meaning { useNext() }
      return meaning
    } catch {
      useNext()
      return .noAnswer("\(error)")
    }
  }

  func close() async { await transport.close() }

  private var endpoint: String {
    state.withLock { state in endpoints.isEmpty ? "" : endpoints[state.endpoint % endpoints.count] }
  }

  private func useNext() {
    state.withLock { $0.endpoint = ($0.endpoint + 1) % max(1, endpoints.count) }
  }

  /// Once, and once more with a new token if the old one is over.
  private func send(_ path: String, _ body: [UInt8]) async throws -> (status: Int, body: [UInt8]) {
    let base = endpoint
    let token = try await token(at: base)
    let answer = try await transport.post(
      base + path, body: body, token: token, timeoutMilliseconds: timeoutMilliseconds)
    guard user != nil, let failure = EtcdQuestion.failure(answer.body),
      failure.isTokenOver || failure.code == EtcdMessage.Failure.unauthenticated
    else { return answer }
    // It was not looked at, so it can be asked again.
    state.withLock { $0.token = nil }
    let renewed = try await self.token(at: base)
    return try await transport.post(
      base + path, body: body, token: renewed, timeoutMilliseconds: timeoutMilliseconds)
  }

  private func token(at base: String) async throws -> String? {
    guard let user else { return nil }
    if let token = state.withLock({ $0.token }) { return token }
    let body = try EtcdQuestion.json(
      EtcdMessage.Authentication(name: user.name, password: user.password))
    let answer = try await transport.post(
      base + "/v3/auth/authenticate", body: body, token: nil,
      timeoutMilliseconds: timeoutMilliseconds)
    if let failure = EtcdQuestion.failure(answer.body) {
      throw VecDBError(.inputOutput, "etcd: \(failure.message)", at: base)
    }
    guard answer.status == 200 else {
      throw VecDBError(
        .inputOutput, EtcdQuestion.words(status: answer.status, body: answer.body), at: base)
    }
    let found = try JSONDecoder().decode(EtcdMessage.TokenAnswer.self, from: Data(answer.body))
    guard let token = found.token else {
      throw VecDBError(.inputOutput, "etcd gives no token", at: base)
    }
    state.withLock { $0.token = token }
    return token
  }

  // MARK: What an operator changes

  enum Change: Sendable {
    case pause(Bool)
    case wish(SwitchoverWish)
    case allow([String], epoch: UInt64)
  }

  /// Throws unless it was done; every endpoint is asked once.
  func change(_ change: Change) async throws {
    let operation =
      switch change {
      case .pause(true): EtcdQuestion.put(keys.paused, .init("1"))
      case .pause(false): EtcdQuestion.delete(keys.paused)
      case .wish(let wish): EtcdQuestion.put(keys.wish, try EtcdQuestion.text(wish))
      case .allow(let names, let epoch):
        EtcdQuestion.put(
          keys.allowed, try EtcdQuestion.text(EtcdKeys.AllowedRecord(names: names, epoch: epoch)))
      }
    let body = try EtcdQuestion.json(EtcdMessage.Transaction(compare: [], success: [operation]))
    _ = try await retrying { store in
      let answer = try await store.send("/v3/kv/txn", body)
      if let failure = EtcdQuestion.failure(answer.body) {
        throw VecDBError(.inputOutput, "etcd: \(failure.message)")
      }
      let done = try JSONDecoder().decode(
        EtcdMessage.TransactionAnswer.self, from: Data(answer.body))
      return done.succeeded == true
    }
  }

  /// The cluster as it is now. Every endpoint is asked once.
  func view() async throws -> ClusterView {
    try await retrying { store in
      switch await store.ask(.read) {
      case .view(let view): return view
      case .noAnswer(let text): throw VecDBError(.inputOutput, text)
      default: throw VecDBError(.inputOutput, "etcd's answer is not understood")
      }
    }
  }

  private func retrying<Value>(_ body: (EtcdStore) async throws -> Value) async throws -> Value {
    var last: any Error = VecDBError(.invalidArgument, "the coordinator has no endpoint")
    for _ in endpoints {
      do { return try await body(self) } catch {
        last = error
        useNext()
      }
    }
    throw VecDBError(
      .inputOutput, "the coordinator does not answer: \(last)",
      at: endpoints.joined(separator: ","),
      remedy: "Look at etcd: etcdctl endpoint health --cluster.")
  }
}
