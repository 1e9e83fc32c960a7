import Dispatch
import VecDB
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBReplicationProtocol

/// The snapshot of another node, read block by block over a connection. Several threads ask at a
/// time, so that the connection is never idle.
final class RemoteSnapshot: BlockSource, @unchecked Sendable {
  let manifest: Manifest
  let identity: LogIdentity
  let databaseID: UInt128
  let location: String
  // What follows is used on the connection's queue only.
  private let connection: WireConnection
  private var waiting: [Digest: [Guarded<Answer>]] = [:]
  private var failure: String?

  private struct Answer {
    var bytes: Result<[UInt8], StoreError>?
    let done = DispatchSemaphore(value: 0)
  }

  private init(
    connection: WireConnection, manifest: Manifest, identity: LogIdentity, location: String
  ) {
    self.connection = connection
    self.manifest = manifest
    self.identity = identity
    self.location = location
    databaseID = manifest.databaseID
  }

  /// Asks for a snapshot and waits for it to be made.
  static func open(
    _ address: NodeAddress, transport: WireTransport, hello: Message.Hello
  ) async throws -> RemoteSnapshot {
    let connection = try await transport.connect(address)
    let greeting = Greeting()
    let queue = connection.queue
    let snapshot = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Message.Snapshot, any Error>) in
      queue.async {
        greeting.continuation = continuation
        connection.delegate = greeting
        connection.send(.openSnapshot(hello))
      }
    }
    let manifest = try Manifest(decoding: snapshot.manifest, at: "the snapshot of \(address)")
    let remote = RemoteSnapshot(
      connection: connection, manifest: manifest, identity: snapshot.identity,
      location: "\(address)")
    await withCheckedContinuation { continuation in
      queue.async {
        connection.delegate = remote
        continuation.resume()
      }
    }
    return remote
  }

  func close() { connection.queue.async { [connection] in connection.close("all is fetched") } }

  func getBlock(_ hash: Digest) throws -> [UInt8] {
    let answer = Guarded(Answer())
    let done = answer.withLock { $0.done }
    connection.queue.async { [self] in
      if let failure {
        answer.withLock { $0.bytes = .failure(lost(failure)) }
        done.signal()
        return
      }
      waiting[hash, default: []].append(answer)
      connection.send(.requestBlocks([hash]))
    }
    guard done.wait(timeout: .now() + 60) == .success, let bytes = answer.withLock({ $0.bytes })
    else { throw lost("a block did not arrive within a minute") }
    return try bytes.get()
  }

  private func lost(_ reason: String) -> StoreError {
    StoreError(
      .inputOutput, "cannot fetch the snapshot: \(reason)", at: location,
      remedy: "The node tries again by itself.")
  }

  private func finish(_ hash: Digest, _ result: Result<[UInt8], StoreError>) {
    for answer in waiting.removeValue(forKey: hash) ?? [] {
      let done = answer.withLock {
        $0.bytes = result
        return $0.done
      }
      done.signal()
    }
  }
}

extension RemoteSnapshot: WireConnectionDelegate {
  func received(_ message: Message, on connection: WireConnection) {
    guard case .block(let hash, let bytes) = message else {
      return connection.close("an unexpected message")
    }
    // The blocks of a list are proven by whoever asked; here only that it is the one asked for.
    finish(
      hash,
      bytes.map { .success($0) } ?? .failure(lost("block \(hash) is not there any more")))
  }

  func closed(_ connection: WireConnection, reason: String) {
    failure = reason
    for hash in waiting.keys { finish(hash, .failure(lost(reason))) }
  }

  /// Waits for the one answer that begins a snapshot.
  private final class Greeting: WireConnectionDelegate, @unchecked Sendable {
    var continuation: CheckedContinuation<Message.Snapshot, any Error>?

    func received(_ message: Message, on connection: WireConnection) {
      switch message {
      case .snapshot(let snapshot):
        continuation?.resume(returning: snapshot)
        continuation = nil
      case .refuse(let refusal): connection.close(refusal.text)
      default: connection.close("an unexpected message")
      }
    }

    func closed(_ connection: WireConnection, reason: String) {
      continuation?.resume(
        throwing: VecDBError(.inputOutput, "cannot get a snapshot: \(reason)"))
      continuation = nil
    }
  }
}
