import NIOCore
import NIOPosix
import VecDBBytes

/// The way to one node: forwards connections to it, and does to them what networks do.
final class FaultyLink: Sendable {
  struct Faults: Sendable {
    /// New connections are refused, and those that are there end.
    var isCut = false
    /// Bytes go in and none come out, towards the node or away from it.
    var swallowsThere = false
    var swallowsBack = false
    var delayMilliseconds: Int64 = 0
    /// One in so many pieces is cut off in the middle, sent twice, or has a wrong bit.
    var truncatesOneIn = 0
    var repeatsOneIn = 0
    var damagesOneIn = 0
  }

  fileprivate struct State {
    var faults = Faults()
    var target = 0
    var generator: SplitMix
    var channels: [ObjectIdentifier: any Channel] = [:]
    /// What came from the node.
    var bytesBack = 0
  }

  struct SplitMix: RandomNumberGenerator, Sendable {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
      return word ^ word >> 31
    }
  }

  fileprivate let state: Guarded<State>
  private let listener: Guarded<(any Channel)?>

  init(seed: UInt64) {
    state = Guarded(State(generator: SplitMix(state: seed)))
    listener = Guarded(nil)
  }

  var port: Int { listener.withLock { $0?.localAddress?.port ?? 0 } }
  /// How many bytes the node has sent so far.
  var bytesBack: Int { state.withLock { $0.bytesBack } }
  /// The port of the node that it leads to.
  func lead(to port: Int?) { state.withLock { $0.target = port ?? 0 } }

  func change(_ body: (inout Faults) -> Void) {
    let ended = state.withLock { state -> [any Channel] in
      body(&state.faults)
      return state.faults.isCut ? Array(state.channels.values) : []
    }
    for channel in ended { channel.close(promise: nil) }
  }

  func open() async throws {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture { try accept(channel) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    listener.withLock { $0 = channel }
  }

  func close() async throws {
    change { $0.isCut = true }
    try await listener.withLock { $0 }?.close().get()
  }

  private func accept(_ channel: any Channel) throws {
    let (target, isCut) = state.withLock { ($0.target, $0.faults.isCut) }
    guard !isCut, target > 0 else { return channel.close(promise: nil) }
    let near = LinkEnd(link: self, isTowardsNode: true)
    try channel.pipeline.syncOperations.addHandler(near)
    let boxed = NIOLoopBound(near, eventLoop: channel.eventLoop)
    ClientBootstrap(group: channel.eventLoop)
      .channelInitializer { other in
        other.eventLoop.makeCompletedFuture {
          let far = LinkEnd(link: self, isTowardsNode: false)
          far.partner = channel
          try other.pipeline.syncOperations.addHandler(far)
        }
      }
      .connect(host: "127.0.0.1", port: target).whenComplete { result in
        switch result {
        case .success(let other): boxed.value.found(other)
        case .failure: channel.close(promise: nil)
        }
      }
  }
}

/// One end of a forwarded connection.
private final class LinkEnd: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let link: FaultyLink
  private let isTowardsNode: Bool
  var partner: (any Channel)?
  private var waiting: [ByteBuffer] = []

  init(link: FaultyLink, isTowardsNode: Bool) {
    self.link = link
    self.isTowardsNode = isTowardsNode
  }

  func found(_ channel: any Channel) {
    partner = channel
    for buffer in waiting { channel.writeAndFlush(buffer, promise: nil) }
    waiting = []
  }

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    link.state.withLock { $0.channels[ObjectIdentifier(channel)] = channel }
  }

  func channelInactive(context: ChannelHandlerContext) {
    let key = ObjectIdentifier(context.channel)
    let (delay, isCut) = link.state.withLock { state in
      state.channels[key] = nil
      return (state.faults.delayMilliseconds, state.faults.isCut)
    }
    guard let partner else { return }
    guard delay > 0, !isCut else { return partner.close(promise: nil) }
    // Behind what is on its way.
    context.eventLoop.scheduleTask(in: .milliseconds(delay)) { partner.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    guard let partner else { return waiting.append(buffer) }
    enum Fate { case whole, nothing, half, twice }
    let isTowardsNode = isTowardsNode
    let count = buffer.readableBytes
    let (fate, damage, delay) = link.state.withLock { state -> (Fate, Int?, Int64) in
      func strikes(_ oneIn: Int) -> Bool {
        oneIn > 0 && Int.random(in: 0..<oneIn, using: &state.generator) == 0
      }
      let faults = state.faults
      if !isTowardsNode { state.bytesBack += count }
      if isTowardsNode ? faults.swallowsThere : faults.swallowsBack { return (.nothing, nil, 0) }
      let damage =
        strikes(faults.damagesOneIn)
        ? Int.random(in: 0..<max(1, buffer.readableBytes), using: &state.generator) : nil
      if strikes(faults.truncatesOneIn) { return (.half, damage, faults.delayMilliseconds) }
      if strikes(faults.repeatsOneIn) { return (.twice, damage, faults.delayMilliseconds) }
      return (.whole, damage, faults.delayMilliseconds)
    }
    if let damage, let byte = buffer.getInteger(at: buffer.readerIndex + damage, as: UInt8.self) {
      buffer.setInteger(byte ^ 4, at: buffer.readerIndex + damage)
    }
    var pieces = [buffer]
    switch fate {
    case .nothing: return
    case .whole: break
    case .twice: pieces.append(buffer)
    case .half: pieces = [buffer.readSlice(length: buffer.readableBytes / 2) ?? buffer]
    }
    let send: @Sendable () -> Void = { [pieces] in
      for piece in pieces { partner.write(piece, promise: nil) }
      partner.flush()
      if fate == .half { partner.close(promise: nil) }
    }
    if delay == 0 { return send() }
    context.eventLoop.scheduleTask(in: .milliseconds(delay), send)
  }
}
