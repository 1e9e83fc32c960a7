import Dispatch
import NIOCore
import NIOPosix
import VecDB
import VecDBBytes
import VecDBReplicationProtocol

/// Events of a connection, on the queue of its node.
protocol WireConnectionDelegate: AnyObject {
  func received(_ message: Message, on connection: WireConnection)
  func closed(_ connection: WireConnection, reason: String)
}

/// A connection that carries messages. All that is not in the handler happens on the node's queue,
/// which is what makes the class safe to hand around.
final class WireConnection: @unchecked Sendable {
  let queue: DispatchQueue
  let channel: any Channel
  weak var delegate: (any WireConnectionDelegate)?
  private var sequence: UInt64 = 0
  private var isClosed = false
  /// Set on the side that accepts.
  var limiter: ConnectionLimiter?
  private let certified = Guarded<[String]?>(nil)

  init(channel: any Channel, queue: DispatchQueue) {
    self.channel = channel
    self.queue = queue
  }

  /// The names in the peer's certificate; nil where nodes show none.
  var certifiedNames: [String]? { certified.withLock { $0 } }

  func certify(_ names: [String]) { certified.withLock { $0 = names } }

  var peer: String { channel.remoteAddress.map { "\($0)" } ?? "a peer" }

  func send(_ message: Message) {
    guard !isClosed else { return tellLate() }
    let bytes = message.encoded(sequence: sequence)
    sequence += 1
    channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
  }

  /// For a delegate that came after the end.
  private func tellLate() {
    guard delegate != nil else { return }
    queue.async { [self] in
      delegate?.closed(self, reason: "the connection was closed")
      delegate = nil
    }
  }

  /// As `send`, and calls back on the queue when the bytes are on their way.
  func send(_ message: Message, then body: @escaping @Sendable () -> Void) {
    guard !isClosed else { return body() }
    let bytes = message.encoded(sequence: sequence)
    sequence += 1
    channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { [queue] _ in
      queue.async(execute: body)
    }
  }

  /// Sends what was given to `send`, then hangs up.
  func close(_ reason: String) {
    guard !isClosed else { return }
    isClosed = true
    channel.writeAndFlush(ByteBuffer()).whenComplete { [channel] _ in
      channel.close(promise: nil)
    }
    // A peer that reads nothing does not keep the connection.
    channel.eventLoop.scheduleTask(in: .seconds(2)) { [channel] in channel.close(promise: nil) }
    delegate?.closed(self, reason: reason)
    delegate = nil
  }

  /// The peer is known: it does not make way for others.
  func confirm() { limiter?.confirm(channel) }

  /// From here on the peer is known, and may send more.
  func allowLongMessages() {
    let channel = channel
    channel.eventLoop.execute {
      do {
        try channel.pipeline.syncOperations.handler(type: WireHandler.self).allowLongMessages()
      } catch { channel.close(promise: nil) }
    }
  }

  fileprivate func arrived(_ messages: [Message], _ failure: String?) {
    for message in messages {
      guard !isClosed else { return }
      delegate?.received(message, on: self)
    }
    if let failure { return ended(failure) }
    // Only what has been dealt with makes room for more.
    channel.read()
  }

  fileprivate func ended(_ reason: String) {
    guard !isClosed else { return }
    isClosed = true
    channel.close(promise: nil)
    delegate?.closed(self, reason: reason)
    delegate = nil
  }
}

/// Turns bytes into messages on the event loop, and passes them on.
final class WireHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer

  private let connection: WireConnection
  private let security: TransportSecurity
  private var reader = WireFrameReader(payloadBytesMaximum: Message.greetingBytesMaximum)
  private var messages: [Message] = []
  private var failure: String?

  init(connection: WireConnection, security: TransportSecurity) {
    self.connection = connection
    self.security = security
  }

  func allowLongMessages() { reader.payloadBytesMaximum = Message.payloadBytesMaximum }

  func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard failure == nil else { return }
    let buffer = unwrapInboundIn(data)
    do {
      buffer.withUnsafeReadableBytes { reader.feed($0) }
      while let frame = try reader.next() {
        if let message = try Message(frame) { messages.append(message) }
      }
    } catch { failure = "\(error)" }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    let (arrived, failure) = (messages, failure)
    messages = []
    connection.queue.async { [connection] in connection.arrived(arrived, failure) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    connection.queue.async { [connection] in connection.ended("the connection was closed") }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    let reason = security.explain(error)
    connection.queue.async { [connection] in connection.ended(reason) }
  }
}

/// Opens and accepts connections of a node.
struct WireTransport: Sendable {
  let security: TransportSecurity
  let queue: DispatchQueue
  var connectionsMaximum = 64
  static let group = MultiThreadedEventLoopGroup.singleton
  /// How long a server may take to prove who it is.
  private static let handshakeSeconds: Int64 = 5

  /// Calls `accept` on the queue for each new connection, until the channel is closed.
  func listen(
    _ address: NodeAddress, accept: @escaping @Sendable (WireConnection) -> Void
  ) async throws -> any Channel {
    try security.require(address)
    // Half as many again may be on the way to say who they are.
    let limiter = ConnectionLimiter(
      maximum: DescriptorBudget.connections(
        wanted: connectionsMaximum + connectionsMaximum / 2, share: 2))
    return try await ServerBootstrap(group: Self.group)
      .serverChannelOption(ChannelOptions.backlog, value: 64)
      .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            AcceptGate(limiter: limiter), name: "vecdb.accept")
        }
      }
      .childChannelOption(ChannelOptions.socketOption(.tcp_nodelay), value: 1)
      .childChannelOption(ChannelOptions.autoRead, value: false)
      .childChannelOption(ChannelOptions.recvAllocator, value: Self.allocator)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = try install(in: channel, isServer: true, proven: nil)
          connection.limiter = limiter
          queue.async { accept(connection) }
        }
      }
      .bind(listening: address)
  }

  /// Connects, and waits until the peer has proven who it is.
  func connect(
    _ address: NodeAddress, timeoutMilliseconds: Int = 3_000
  ) async throws -> WireConnection {
    try security.require(address)
    let loop = Self.group.next()
    let proven = loop.makePromise(of: Void.self)
    do {
      let connection = Guarded<WireConnection?>(nil)
      let channel = try await ClientBootstrap(group: loop)
        .connectTimeout(.milliseconds(Int64(timeoutMilliseconds)))
        .channelOption(ChannelOptions.socketOption(.tcp_nodelay), value: 1)
        .channelOption(ChannelOptions.autoRead, value: false)
        .channelOption(ChannelOptions.recvAllocator, value: Self.allocator)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            let made = try install(in: channel, isServer: false, proven: proven)
            connection.withLock { $0 = made }
          }
        }
        .connect(host: address.host, port: address.port).get()
      let timeout = loop.scheduleTask(in: .seconds(Self.handshakeSeconds)) {
        proven.fail(WireError("the peer has not proven who it is in time"))
        channel.close(promise: nil)
      }
      try await proven.futureResult.get()
      timeout.cancel()
      guard let connection = connection.withLock({ $0 }) else {
        throw WireError("the connection was not made")
      }
      return connection
    } catch {
      proven.fail(error)
      throw VecDBError(
        .inputOutput, Self.explain(error) ?? security.explain(error), at: "\(address)",
        remedy: "Check the address, and that the node there runs. This node tries again by itself.")
    }
  }

  /// The usual failures in words.
  private static func explain(_ error: any Error) -> String? {
    let text = "\(error)"
    let known = [
      ("Connection refused", "no process listens there"), ("connectTimeout", "no answer in time"),
      ("No route to host", "there is no route to that host"),
      ("Network is unreachable", "that network is unreachable"),
      ("EAI_", "cannot resolve the host's name"), ("NIODNS", "the host's name is not known"),
      ("unknown host", "the host's name is not known"),
    ]
    return known.first { text.contains($0.0) }?.1
  }

  private static let allocator = AdaptiveRecvByteBufferAllocator(
    minimum: 4_096, initial: 65_536, maximum: 1 << 20)

  /// On the event loop of the channel.
  private func install(
    in channel: any Channel, isServer: Bool, proven: EventLoopPromise<Void>?
  ) throws -> WireConnection {
    let connection = WireConnection(channel: channel, queue: queue)
    let operations = channel.pipeline.syncOperations
    try operations.addHandlers(try security.makeHandlers(isServer))
    if let proof = security.proof {
      try operations.addHandler(PeerGate(proof: proof, connection: connection, proven: proven))
    } else {
      proven?.succeed()
    }
    let handler = WireHandler(connection: connection, security: security)
    if !isServer { handler.allowLongMessages() }
    try operations.addHandler(handler)
    return connection
  }
}
