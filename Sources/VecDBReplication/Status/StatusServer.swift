import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import VecDB

/// A page over HTTP for operators, load balancers and Prometheus. It only answers; nothing can be
/// changed through it, and it says nothing about records. It listens on loopback, unless a
/// ``StatusProtection`` says who else may read it.
///
/// | path | answer |
/// |---|---|
/// | `/` | a page for people |
/// | `/status` | ``NodeStatus`` as JSON |
/// | `/health` | 200 while the process answers; 503 if a failed write stopped all writing |
/// | `/ready` | 200 if searches are worth sending here: open, and no further behind than asked for |
/// | `/primary` | 200 where a write is accepted now, else 503 |
/// | `/metrics` | Prometheus text |
public final class StatusServer: Sendable {
  /// A follower that is further behind is not ready.
  public static let defaultReadyLag = Duration.seconds(10)
  private static let connectionsMaximum = 64

  private let channel: any Channel

  /// Listens at `address`.
  ///
  /// - Throws: `invalidArgument` if others than `protection` allows would reach that address.
  public static func start(
    _ node: ReplicationNode, at address: NodeAddress,
    protection: StatusProtection = .loopback,
    readyLag: Duration = StatusServer.defaultReadyLag
  ) async throws -> StatusServer {
    try await VecDBError.translating {
      try protection.require(address)
      let limiter = ConnectionLimiter(
        maximum: DescriptorBudget.connections(wanted: connectionsMaximum, share: 3))
      let channel = try await ServerBootstrap(group: WireTransport.group)
        .serverChannelOption(ChannelOptions.backlog, value: 64)
        .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
        .serverChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
        .serverChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(
              AcceptGate(limiter: limiter), name: "vecdb.accept")
          }
        }
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            let operations = channel.pipeline.syncOperations
            try operations.addHandler(IdleStateHandler(allTimeout: .seconds(10)))
            try operations.configureHTTPServerPipeline(withErrorHandling: true)
            try operations.addHandler(
              StatusHandler(
                node: node, protection: protection, readyLagSeconds: readyLag.inSeconds))
          }
        }
        .bind(listening: address)
      return StatusServer(channel)
    }
  }

  private init(_ channel: any Channel) { self.channel = channel }

  public var port: Int? { channel.localAddress?.port }

  public func stop() async throws {
    try await VecDBError.translating { try await channel.close().get() }
  }
}

private final class StatusHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let node: ReplicationNode
  private let protection: StatusProtection
  private let readyLagSeconds: Double
  private var head: HTTPRequestHead?
  private var bodyBytes = 0
  private var deadline: Scheduled<Void>?
  /// How long a whole request may take to come, however lively its sender is.
  private static let patience = TimeAmount.seconds(10)

  init(node: ReplicationNode, protection: StatusProtection, readyLagSeconds: Double) {
    self.node = node
    self.protection = protection
    self.readyLagSeconds = readyLagSeconds
  }

  func channelActive(context: ChannelHandlerContext) {
    awaitRequest(context.channel)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    context.fireChannelInactive()
  }

  private func awaitRequest(_ channel: any Channel) {
    deadline?.cancel()
    deadline = channel.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body(let body):
      bodyBytes += body.readableBytes
      if bodyBytes > 65_536 { context.close(promise: nil) }
    case .end:
      guard let head else { return }
      self.head = nil
      bodyBytes = 0
      awaitRequest(context.channel)
      let (channel, node, limit) = (context.channel, node, readyLagSeconds)
      let isAdmitted = protection.admits(
        StatusAnswer.path(head), authorization: head.headers.first(name: "Authorization"))
      Task {
        let answer =
          isAdmitted
          ? await StatusAnswer.make(head, node: node, readyLagSeconds: limit)
          : StatusAnswer(status: .unauthorized, contentType: "text/plain", body: "no token\n")
        var headers = HTTPHeaders([
          ("Content-Type", answer.contentType), ("Content-Length", "\(answer.body.utf8.count)"),
          ("Cache-Control", "no-store"), ("Connection", head.isKeepAlive ? "keep-alive" : "close"),
        ])
        if answer.status == .unauthorized { headers.add(name: "WWW-Authenticate", value: "Bearer") }
        if answer.status == .methodNotAllowed { headers.add(name: "Allow", value: "GET, HEAD") }
        let response = HTTPResponseHead(
          version: head.version, status: answer.status, headers: headers)
        channel.write(HTTPServerResponsePart.head(response), promise: nil)
        if head.method != .HEAD {
          channel.write(
            HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: answer.body))), promise: nil)
        }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
          if !head.isKeepAlive { channel.close(promise: nil) }
        }
      }
    }
  }
}

/// What is answered to a request.
struct StatusAnswer {
  var status = HTTPResponseStatus.ok
  var contentType = "application/json"
  var body = ""

  static func make(
    _ head: HTTPRequestHead, node: ReplicationNode, readyLagSeconds: Double
  ) async -> StatusAnswer {
    guard head.method == .GET || head.method == .HEAD else {
      return StatusAnswer(status: .methodNotAllowed, contentType: "text/plain", body: "GET only\n")
    }
    let status = await node.status()
    switch path(head) {
    case "/": return StatusAnswer(contentType: "text/html; charset=utf-8", body: page(status))
    case "/status": return StatusAnswer(body: json(status))
    case "/health":
      let isPoisoned = status.isPoisoned == true
      return check(!isPoisoned, isPoisoned ? "a failed write has stopped all writing" : "alive")
    case "/primary":
      let isWritable = status.isWritable == true
      return check(
        isWritable,
        isWritable || status.role == .follower
          ? status.role.rawValue : "primary, but it accepts no writes now")
    case "/ready":
      let isOpen = status.databaseID != nil
      let lag = status.role == .primary ? 0 : status.lagSeconds ?? .infinity
      return check(
        isOpen && lag <= readyLagSeconds,
        isOpen ? "\(lag) s behind" : "the copy is being fetched")
    case "/metrics":
      let database = node.state.withLock { $0.database }
      return StatusAnswer(
        contentType: "text/plain; version=0.0.4",
        body: MetricsPage(status, database?.activity, database?.knownHealth ?? []).text)
    default:
      return StatusAnswer(status: .notFound, contentType: "text/plain", body: "not found\n")
    }
  }

  static func path(_ head: HTTPRequestHead) -> String {
    head.uri.split(separator: "?", maxSplits: 1).first.map(String.init) ?? "/"
  }

  private static func check(_ isGood: Bool, _ text: String) -> StatusAnswer {
    StatusAnswer(
      status: isGood ? .ok : .serviceUnavailable, contentType: "text/plain", body: text + "\n")
  }

  private static func json(_ status: NodeStatus) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return String(decoding: try encoder.encode(status), as: UTF8.self) + "\n" } catch {
      return "{}\n"
    }
  }

  private static func page(_ status: NodeStatus) -> String {
    func escaped(_ text: String) -> String {
      text.reduce(into: "") { result, character in
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        default: result.append(character)
        }
      }
    }
    var rows: [(String, String)] = [
      ("role", status.role.rawValue), ("database", status.databaseID ?? "is being fetched"),
      ("epoch, LSN", "\(status.epoch), \(status.lsn)"), ("chain", status.chain),
      ("data digest", status.dataDigest), ("checkpoint at LSN", "\(status.checkpointLSN)"),
    ]
    if status.role == .follower {
      rows.append(("primary", status.primary ?? "none"))
      rows.append(("connected", status.isConnected ? "yes" : "no"))
      rows.append(
        (
          "behind",
          "\(status.lagLSN ?? 0) batches, \(status.lagBytes ?? 0) bytes, "
            + (status.lagSeconds.map { "\($0) s" } ?? "never heard")
        ))
    }
    if status.isFetching == true {
      rows.append(
        (
          "copy",
          "\(status.fetchStage ?? "asked for"), \(status.fetchedBytes ?? 0) of "
            + "\(status.fetchTotalBytes ?? 0) bytes"
        ))
    }
    for follower in status.followers {
      rows.append(
        (
          "follower \(follower.name)",
          follower.isFetchingSnapshot
            ? "fetches a copy"
            : "applied \(follower.appliedLSN), behind \(follower.lagLSN) batches, "
              + "\(follower.lagBytes) bytes"
        ))
    }
    rows.append(("writes", status.isWritable == true ? "accepted" : "not accepted"))
    if let acknowledgement = status.acknowledgement {
      rows.append(("acknowledgement", "\(acknowledgement)"))
    }
    for alarm in status.alarms { rows.append(("ALARM", alarm)) }
    if let error = status.lastError { rows.append(("last error", error)) }
    rows.append(("connections", status.security))
    if let refusal = status.lastRefusal {
      rows.append(("refused", "\(status.refusals), the last one \(refusal)"))
    }
    let table = rows.map { "<tr><th>\(escaped($0))</th><td>\(escaped($1))</td></tr>" }.joined()
    return """
      <!doctype html><html lang="en"><head><meta charset="utf-8"><title>\(escaped(status.name))\
      </title><meta http-equiv="refresh" content="5"><style>body{font:15px system-ui;margin:2em}\
      th{text-align:left;padding:.2em 1.5em .2em 0;font-weight:600}td{font-family:monospace}\
      </style></head><body><h1>\(escaped(status.name))</h1><table>\(table)</table></body></html>

      """
  }
}
