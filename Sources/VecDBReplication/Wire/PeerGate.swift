import NIOCore
import NIOTLS
import VecDBReplicationProtocol

/// Lets nothing in before the handshake is over and the peer is one of those that may be here. Who
/// is not is told so, and hung up on.
final class PeerGate: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let proof: TransportSecurity.Proof
  private let connection: WireConnection
  /// Succeeds when the peer is let in; nobody waits for it on the side that accepts.
  private let proven: EventLoopPromise<Void>?
  private var isOpen = false

  init(
    proof: TransportSecurity.Proof, connection: WireConnection, proven: EventLoopPromise<Void>?
  ) {
    self.proof = proof
    self.connection = connection
    self.proven = proven
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted = event as? TLSUserEvent, !isOpen {
      switch proof.judge(context.pipeline.syncOperations) {
      case .refused(let reason): refuse(reason, context)
      case .certified(let names):
        connection.certify(names)
        isOpen = true
        proven?.succeed()
      }
    }
    context.fireUserInboundEventTriggered(event)
  }

  private func refuse(_ reason: String, _ context: ChannelHandlerContext) {
    let message = Message.refuse(.init(.notAllowed, reason)).encoded(sequence: 0)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: message)), promise: nil)
    let error = WireError(reason)
    proven?.fail(error)
    context.fireErrorCaught(error)
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if isOpen { context.fireChannelRead(data) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    proven?.fail(error)
    context.fireErrorCaught(error)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    proven?.fail(WireError("the connection was closed during the handshake"))
  }
}
