import FoundationEssentials
import VecDBReplicationProtocol

/// A request to a coordinator as etcd's gateway takes it, and what its answer means. Pure.
package struct EtcdQuestion: Sendable {
  package var path: String
  package var body: [UInt8]
  private let request: LeaseRequest
  private let keys: EtcdKeys

  package init(_ request: LeaseRequest, leaseSeconds: UInt64, keys: EtcdKeys) throws {
    self.request = request
    self.keys = keys
    switch request {
    case .join:
      path = "/v3/lease/grant"
      body = try Self.json(EtcdMessage.Grant(seconds: "\(leaseSeconds)"))
    case .renew(let lease):
      path = "/v3/lease/keepalive"
      body = try Self.json(EtcdMessage.Lease(id: EtcdNumber.write(lease)))
    case .read:
      path = "/v3/kv/range"
      body = try Self.json(
        EtcdMessage.Range(key: .init(keys.prefix), end: .init(keys.end)))
    case .publish(let lease, let member):
      path = "/v3/kv/put"
      body = try Self.json(
        EtcdMessage.Put(
          key: .init(keys.member(member.name)), value: try Self.text(member),
          lease: EtcdNumber.write(lease)))
    default:
      path = "/v3/kv/txn"
      body = try Self.json(try Self.transaction(request, keys))
    }
  }

  private static func transaction(
    _ request: LeaseRequest, _ keys: EtcdKeys
  ) throws -> EtcdMessage.Transaction {
    func isLeader(_ lease: UInt64) -> EtcdMessage.Compare {
      .init(key: .init(keys.leader), target: "LEASE", lease: EtcdNumber.write(lease))
    }
    func isFree(_ key: String) -> EtcdMessage.Compare {
      .init(key: .init(key), target: "VERSION", version: "0")
    }
    switch request {
    case .acquire(let lease, let name):
      return .init(
        compare: [isFree(keys.leader)],
        success: [
          put(keys.leader, try text(EtcdKeys.LeaderRecord(name: name)), lease: lease)
        ])
    case .transfer(let lease, let other):
      let record = EtcdKeys.LeaderRecord(name: other.name, from: other.from)
      return .init(
        compare: [isLeader(lease)],
        success: [put(keys.leader, try text(record), lease: other.lease)])
    case .release(let lease):
      return .init(compare: [isLeader(lease)], success: [delete(keys.leader)])
    case .bind(let lease, let databaseID):
      return .init(
        compare: [isLeader(lease), isFree(keys.database)],
        success: [put(keys.database, .init(databaseID))])
    case .allow(let lease, let names, let epoch):
      let record = EtcdKeys.AllowedRecord(names: names, epoch: epoch)
      return .init(
        compare: [isLeader(lease)], success: [put(keys.allowed, try text(record))])
    case .clearWish(let lease):
      return .init(compare: [isLeader(lease)], success: [delete(keys.wish)])
    case .join, .renew, .read, .publish: return .init(compare: [], success: [])
    }
  }

  static func put(
    _ key: String, _ value: EtcdMessage.Bytes, lease: UInt64? = nil
  ) -> EtcdMessage.Operation {
    .init(requestPut: .init(key: .init(key), value: value, lease: lease.map(EtcdNumber.write)))
  }

  static func delete(_ key: String) -> EtcdMessage.Operation {
    .init(requestDeleteRange: .init(key: .init(key)))
  }

  static func json(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  static func text(_ value: some Encodable) throws -> EtcdMessage.Bytes {
    .init(String(decoding: try json(value), as: UTF8.self))
  }

  // MARK: Answers

  /// What an answer with this status and body means. Whatever is not certain is `noAnswer`.
  package func meaning(status: Int, body: [UInt8]) -> LeaseAnswer {
    if let failure = Self.failure(body) {
      guard failure.isLeaseMissing else { return .noAnswer("etcd: \(failure.message)") }
      if case .renew = request { return .expired }
      return .refused
    }
    guard status == 200 else { return .noAnswer(Self.words(status: status, body: body)) }
    do { return try meaning(Data(body)) } catch {
      return .noAnswer("etcd's answer is not understood: \(error)")
    }
  }

  private func meaning(_ body: Data) throws -> LeaseAnswer {
    let decoder = JSONDecoder()
    switch request {
    case .join:
      let answer = try decoder.decode(EtcdMessage.LeaseAnswer.self, from: body)
      guard let text = answer.id else { return .noAnswer("etcd granted a lease without a name") }
      let lease = try EtcdNumber.read(text)
      return lease == 0 ? .noAnswer("etcd granted lease 0") : .joined(lease: lease)
    case .renew:
      let answer = try decoder.decode(EtcdMessage.Streamed.self, from: body)
      guard let result = answer.result else { return .noAnswer("etcd's answer has no result") }
      // A lease that is over is answered with status 200, and without its time.
      guard let text = result.seconds else { return .expired }
      guard let seconds = Int64(text) else { return .noAnswer("etcd's time is not understood") }
      return seconds > 0 ? .renewed : .expired
    case .read:
      let answer = try decoder.decode(EtcdMessage.RangeAnswer.self, from: body)
      return .view(try keys.view(answer.kvs ?? []))
    case .publish:
      _ = try decoder.decode(EtcdMessage.PutAnswer.self, from: body)
      return .done
    default:
      let answer = try decoder.decode(EtcdMessage.TransactionAnswer.self, from: body)
      return answer.succeeded == true ? .done : .refused
    }
  }

  /// What was said where no answer of etcd was.
  static func words(status: Int, body: [UInt8]) -> String {
    let text = String(decoding: body.prefix(200), as: UTF8.self)
    return "etcd answers with status \(status): \(text.split(separator: "\n").first ?? "nothing")"
  }

  static func failure(_ body: [UInt8]) -> EtcdMessage.Failure? {
    do { return try JSONDecoder().decode(EtcdMessage.Failure.self, from: Data(body)) } catch {
      return nil
    }
  }
}
