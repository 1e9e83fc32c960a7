import Dispatch
import Logging
import VecDB
import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// One connection in which this node follows another, from hello to its end. On the node's queue.
final class Following: @unchecked Sendable {
  enum End: Sendable {
    case closed(String)
    case rewind(LogPosition, LogIdentity)
    case bootstrap(LogIdentity)
  }

  /// What an alarm is about.
  enum Concern: Sendable {
    case digest
    case giveBack
    case peer
  }

  enum Pending {
    case frames([LogFrame])
    case compare(lsn: UInt64, Digest)
  }

  private(set) var session: ReplicaSession
  private let connection: WireConnection
  private let database: Database?
  private let shipper: Shipper?
  private let logger: Logger
  private var fence: Fence
  private var identity: LogIdentity
  private var end: LogPosition
  private var followed: LogIdentity?
  private var pending: [Pending] = []
  private var isAppending = false
  private var ending: End?
  private var continuation: CheckedContinuation<End, Never>?
  /// Makes a higher fence durable, then calls back with whether it is; writers step down.
  var raise: ((EpochName, @escaping @Sendable (Bool) -> Void) -> Void)?
  var onWithdrawn: ((EpochName) -> Void)?
  /// Something that a human should know, about the node itself or about its peer.
  var onAlarm: ((Concern, String) -> Void)?
  /// Whether it follows the primary itself.
  var onStreaming: ((Bool) -> Void)?
  private var blocked: [ReplicaSession.Action] = []
  private var isBlocked = false

  init(
    hello: Message.Hello, connection: WireConnection, database: Database?, shipper: Shipper?,
    lag: Lag, fence: Fence, limits: SessionLimits, logger: Logger
  ) {
    self.connection = connection
    self.database = database
    self.shipper = shipper
    self.logger = logger
    self.fence = fence
    identity =
      hello.identity
      ?? LogIdentity(
        databaseID: .zero,
        epochs: [
          Epoch(counter: 0, id: .zero, parentID: .zero, beganAtLSN: 0, beganAtChain: .zero)
        ])
    end = hello.end
    session = ReplicaSession(hello: hello, lag: lag, now: Shipper.now(), limits: limits)
  }

  /// Says hello and returns how it ended.
  func run(_ hello: Message.Hello) async -> End {
    await withCheckedContinuation { continuation in
      connection.queue.async { [self] in
        self.continuation = continuation
        connection.delegate = self
        connection.send(.hello(hello))
      }
    }
  }

  private var view: Shipper.View { .init(identity: identity, end: end, database: database) }

  func tick() {
    perform(session.tick(history: view, fence: fence, now: Shipper.now()))
  }

  func fenceRaised(to new: Fence) {
    fence = new
    perform(session.fenceRaised(to: new))
  }

  func stop() { finish(.closed("this node stops following")) }

  private func perform(_ actions: [ReplicaSession.Action]) {
    if isBlocked {
      blocked += actions
      return
    }
    for (index, action) in actions.enumerated() {
      switch action {
      case .send(let message): connection.send(message)
      case .raiseFence(let epoch):
        isBlocked = true
        blocked = Array(actions[(index + 1)...])
        _ = fence.raise(to: epoch)
        let queue = connection.queue
        raise?(epoch) { [weak self] isDurable in
          queue.async { [weak self] in
            guard isDurable else {
              self?.finish(.closed("this node cannot record the higher epoch"))
              return
            }
            self?.unblock()
          }
        }
        return
      case .withdraw(let epoch): onWithdrawn?(epoch)
      case .adopt(let identity):
        let isFirst = followed == nil
        followed = identity
        if isFirst { onStreaming?(session.isOfPrimary) }
        appendNext()
      case .append(let frames):
        pending.append(.frames(frames))
        appendNext()
      case .compare(let lsn, let digest):
        pending.append(.compare(lsn: lsn, digest))
        appendNext()
      case .giveBack(let after): giveBack(after)
      case .rewind(let position, let identity): finish(.rewind(position, identity))
      case .bootstrap(let identity): finish(.bootstrap(identity))
      case .alarm(.giveBack, let text): onAlarm?(.giveBack, text)
      case .alarm(.peer, let text): onAlarm?(.peer, text)
      case .close(let text): finish(.closed(text))
      }
    }
  }

  private func unblock() {
    isBlocked = false
    let actions = blocked
    blocked = []
    perform(actions)
  }

  // MARK: Committing

  /// Commits what has gathered, up to the next digest to compare, as one transaction.
  private func appendNext() {
    guard !isAppending, let database, let followed else { return }
    var frames: [LogFrame] = []
    var bytes = 0
    while case .frames(let next) = pending.first, bytes < 8 << 20 {
      frames += next
      bytes += next.reduce(0) { $0 + LogWindow.size($1) }
      pending.removeFirst()
    }
    var expected: Digest?
    if case .compare(let lsn, let digest) = pending.first,
      frames.last?.lsn ?? end.lsn == lsn
    {
      expected = digest
      pending.removeFirst()
    }
    guard !frames.isEmpty || followed != identity || expected != nil else { return }
    isAppending = true
    let (queue, count, digestExpected) = (connection.queue, bytes, expected)
    database.append(received: frames, of: followed) { result in
      queue.async { [self] in
        isAppending = false
        switch result {
        case .success(let (position, digest)):
          end = position
          if identity != database.logIdentity {
            identity = database.logIdentity
            shipper?.adopted()
          }
          if let digestExpected, digestExpected != digest {
            onAlarm?(
              .digest, "the data digest at LSN \(position.lsn) differs from the primary's")
          }
          perform(session.committed(position.lsn, bytes: UInt64(count), now: Shipper.now()))
          appendNext()
        case .failure(let error):
          finish(.closed("this node cannot write its log: \(error)"))
        }
      }
    }
  }

  /// Hands the primary back what it lost.
  private func giveBack(_ after: UInt64) {
    guard let database else { return }
    do {
      var lsn = after
      while lsn < end.lsn {
        let frames = try database.logFrames(after: lsn, bytesMaximum: 1 << 20)
        guard let last = frames.last else { break }
        lsn = last.lsn
        connection.send(.pulled(frames, isLast: lsn >= end.lsn))
      }
    } catch { finish(.closed("this node cannot read its log: \(error)")) }
  }

  private func finish(_ end: End) {
    guard let continuation else { return }
    self.continuation = nil
    ending = end
    connection.close("\(end)")
    continuation.resume(returning: end)
  }
}

extension Following: WireConnectionDelegate {
  func received(_ message: Message, on connection: WireConnection) {
    perform(
      session.received(message, fence: fence, history: view, now: Shipper.now()))
  }

  func closed(_ connection: WireConnection, reason: String) { finish(.closed(reason)) }
}
