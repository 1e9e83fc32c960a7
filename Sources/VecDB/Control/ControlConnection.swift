import Dispatch
import Glibc

/// One peer on the control socket. Everything belongs to the server's queue.
///
/// A peer that is silent, reads nothing, or sends what is not the protocol is dropped; what it
/// asked for is cancelled when it goes, however it goes.
final class ControlConnection: @unchecked Sendable {
  /// How long a peer may take for a whole request, or to read anything of an answer; up to twice
  /// that where it has just asked something.
  static let patience = DispatchTimeInterval.seconds(5)
  private static let retry = DispatchTimeInterval.milliseconds(20)

  private let descriptor: Int32
  private weak var server: ControlServer?
  private let queue: DispatchQueue
  private var source: (any DispatchSourceRead)?
  private var reader = ControlFrameReader(limitBytes: ControlFrame.requestLimitBytes)
  private var outgoing: [UInt8] = []
  /// What is encoded when that is sent, so that little of a long answer is held twice.
  private var waiting: ArraySlice<ControlAnswer> = []
  private var isFlushScheduled = false
  /// Counts whole requests and bytes that the peer took; a deadline that finds it unchanged has passed.
  private var activity = 0
  private var isClosed = false
  /// Close as soon as everything is sent.
  private var isFinal = false
  private(set) var task: Task<Void, Never>?

  var isBusy: Bool { task != nil }

  init(descriptor: Int32, server: ControlServer) {
    self.descriptor = descriptor
    self.server = server
    queue = server.queue
  }

  /// Tells why there is no room, as far as the socket takes it at once; else the peer finds the
  /// connection closed.
  func refuse(_ error: VecDBError) {
    if let bytes = try? ControlFrame.encode(ControlAnswer(error: error)) {
      _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, flags) }
    }
    Glibc.close(descriptor)
    isClosed = true
  }

  func start(hello: ControlHello) {
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
    source.setEventHandler { [self] in receive() }
    source.setCancelHandler { [descriptor] in Glibc.close(descriptor) }
    self.source = source
    source.resume()
    var answer = ControlAnswer()
    answer.hello = hello
    transmit(answer)
    awaitActivity()
  }

  /// Ends the connection and what it asked for.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    task?.cancel()
    source?.cancel()
    source = nil
    server?.closed(self)
  }

  /// Ends the connection when nothing runs. A peer whose request was not read any more learns that
  /// it was not begun, and may ask elsewhere.
  func sayGoodbye() {
    if !isClosed, !isFinal, outgoing.isEmpty {
      transmit(ControlAnswer(error: VecDBError.databaseClosed))
    }
    close()
  }

  // MARK: Reading

  private func receive() {
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, flags) }
    guard count > 0 else {
      // The peer has gone, or half of it: either way nobody waits for the answer.
      if count == 0 || (errno != EAGAIN && errno != EINTR) { close() }
      return
    }
    reader.feed(buffer[..<count])
    do {
      while !isClosed, !isFinal, let body = try reader.next() { try handle(body) }
    } catch {
      fail(error)
    }
  }

  private func handle(_ body: [UInt8]) throws {
    let request = try ControlFrame.decode(ControlRequest.self, body)
    guard task == nil else {
      throw VecDBError(.invalidArgument, "a request is under way on this connection")
    }
    activity += 1
    task = server?.begin(request, for: self)
    if task == nil { throw VecDBError.databaseClosed }
  }

  /// Says what is wrong, and ends the connection when that is sent.
  private func fail(_ error: any Error) {
    task?.cancel()
    isFinal = true
    waiting = []
    transmit(ControlAnswer(error: error))
  }

  /// Closes unless the peer does something in time. A running request needs nothing of it.
  private func awaitActivity() {
    let seen = activity
    queue.asyncAfter(deadline: .now() + Self.patience) { [weak self] in
      guard let self, !isClosed else { return }
      if seen == activity && (task == nil || !outgoing.isEmpty) { return close() }
      awaitActivity()
    }
  }

  // MARK: Writing

  /// Sends progress; left out while the peer has not read what was sent before.
  func report(_ progress: WorkProgress) {
    guard outgoing.isEmpty, task != nil, !isFinal else { return }
    var answer = ControlAnswer()
    answer.progress = progress
    transmit(answer)
  }

  /// Sends the answer to the request, after which the next one may come.
  func finish(_ parts: [ControlAnswer]) {
    task = nil
    activity += 1
    guard !isFinal, let first = parts.first else { return }
    waiting = parts.dropFirst()
    transmit(first)
  }

  private func transmit(_ answer: ControlAnswer) {
    guard !isClosed else { return }
    do { outgoing += try ControlFrame.encode(answer) } catch { return close() }
    flush()
  }

  private func flush() {
    while !outgoing.isEmpty {
      let count = outgoing.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, flags) }
      if count > 0 {
        outgoing.removeFirst(count)
        activity += 1
      } else if errno == EAGAIN {
        return flushLater()
      } else if errno != EINTR {
        return close()
      }
    }
    if let next = waiting.popFirst() { return transmit(next) }
    if isFinal { close() }
  }

  private func flushLater() {
    guard !isFlushScheduled else { return }
    isFlushScheduled = true
    queue.asyncAfter(deadline: .now() + Self.retry) { [weak self] in
      guard let self else { return }
      isFlushScheduled = false
      if !isClosed { flush() }
    }
  }

  private var flags: Int32 { Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT) }
}
