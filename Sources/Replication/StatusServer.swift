import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import VecDB

/// A page over HTTP for operators, load balancers and Prometheus. It only answers; nothing can be
/// changed through it, and it says nothing about records.
///
/// | path | answer |
/// |---|---|
/// | `/` | a page for people |
/// | `/status` | ``NodeStatus`` as JSON |
/// | `/health` | 200 while the process answers and has raised no alarm, else 503 |
/// | `/ready` | 200 if searches are worth sending here: open, and no further behind than asked for |
/// | `/primary` | 200 on the primary, else 503 |
/// | `/metrics` | Prometheus text |
public final class StatusServer: Sendable {
  /// A follower that is further behind is not ready.
  public static let defaultReadyLagSeconds = 10.0

  private let channel: any Channel

  /// Listens at `address`; there is no protection, so choose one that only operators reach.
  public static func start(
    _ node: ReplicationNode, at address: NodeAddress,
    readyLagSeconds: Double = StatusServer.defaultReadyLagSeconds
  ) async throws -> StatusServer {
    let channel = try await ServerBootstrap(group: WireTransport.group)
      .serverChannelOption(ChannelOptions.backlog, value: 64)
      .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let operations = channel.pipeline.syncOperations
          try operations.addHandler(IdleStateHandler(allTimeout: .seconds(10)))
          try operations.configureHTTPServerPipeline(withErrorHandling: true)
          try operations.addHandler(StatusHandler(node: node, readyLagSeconds: readyLagSeconds))
        }
      }
      .bind(host: address.host, port: address.port).get()
    return StatusServer(channel)
  }

  private init(_ channel: any Channel) { self.channel = channel }

  public var port: Int? { channel.localAddress?.port }

  public func stop() async throws { try await channel.close().get() }
}

private final class StatusHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let node: ReplicationNode
  private let readyLagSeconds: Double
  private var head: HTTPRequestHead?
  private var bodyBytes = 0

  init(node: ReplicationNode, readyLagSeconds: Double) {
    self.node = node
    self.readyLagSeconds = readyLagSeconds
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
      let (channel, node, limit) = (context.channel, node, readyLagSeconds)
      Task {
        let answer = await StatusAnswer.make(head, node: node, readyLagSeconds: limit)
        var headers = HTTPHeaders([
          ("Content-Type", answer.contentType), ("Content-Length", "\(answer.body.utf8.count)"),
          ("Cache-Control", "no-store"), ("Connection", head.isKeepAlive ? "keep-alive" : "close"),
        ])
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
    let path = head.uri.split(separator: "?", maxSplits: 1).first.map(String.init) ?? "/"
    switch path {
    case "/": return StatusAnswer(contentType: "text/html; charset=utf-8", body: page(status))
    case "/status": return StatusAnswer(body: json(status))
    case "/health": return check(status.alarms.isEmpty, status.alarms.first ?? "healthy")
    case "/primary": return check(status.role == .primary, status.role.rawValue)
    case "/ready":
      let isOpen = status.databaseID != nil
      let lag = status.role == .primary ? 0 : status.lagSeconds ?? .infinity
      return check(
        isOpen && lag <= readyLagSeconds,
        isOpen ? "\(lag) s behind" : "the copy is being fetched")
    case "/metrics":
      return StatusAnswer(contentType: "text/plain; version=0.0.4", body: metrics(status))
    default:
      return StatusAnswer(status: .notFound, contentType: "text/plain", body: "not found\n")
    }
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

  static func metrics(_ status: NodeStatus) -> String {
    var text = ""
    func gauge(_ name: String, _ help: String, _ values: [(labels: String, value: String)]) {
      guard !values.isEmpty else { return }
      text += "# HELP vecdb_\(name) \(help)\n# TYPE vecdb_\(name) gauge\n"
      for (labels, value) in values { text += "vecdb_\(name)\(labels) \(value)\n" }
    }
    func escaped(_ name: String) -> String {
      name.replacingOccurrences(of: "\\", with: "\\\\")
        .replacingOccurrences(of: "\"", with: "\\\"").replacingOccurrences(of: "\n", with: "\\n")
    }
    gauge("is_primary", "1 on the primary", [("", status.role == .primary ? "1" : "0")])
    gauge("epoch", "Counter of the current epoch", [("", "\(status.epoch)")])
    gauge("lsn", "Last searchable LSN", [("", "\(status.lsn)")])
    gauge("checkpoint_lsn", "LSN of the newest checkpoint", [("", "\(status.checkpointLSN)")])
    gauge("alarms", "Findings that need somebody", [("", "\(status.alarms.count)")])
    gauge(
      "degraded", "1 while writes are acknowledged without replicas",
      [("", status.isDegraded ? "1" : "0")])
    gauge(
      "degraded_writes", "Writes acknowledged without replicas",
      [("", "\(status.degradedWrites)")])
    gauge("waiting_writes", "Writes that wait for replicas", [("", "\(status.waitingWrites)")])
    gauge(
      "refused_connections", "Peers that were not let in since the start",
      [("", "\(status.refusals)")])
    if let expires = status.certificateExpires {
      gauge(
        "certificate_expires_seconds", "When this node's certificate ends, in seconds since 1970",
        [("", "\(expires)")])
    }
    gauge(
      "follower_lag_lsn", "Batches that a follower is behind",
      status.followers.map { ("{follower=\"\(escaped($0.name))\"}", "\($0.lagLSN)") })
    gauge(
      "follower_lag_bytes", "Bytes of log that a follower is behind",
      status.followers.map { ("{follower=\"\(escaped($0.name))\"}", "\($0.lagBytes)") })
    if status.role == .follower {
      gauge("connected", "1 while the primary is heard", [("", status.isConnected ? "1" : "0")])
      gauge("lag_lsn", "Batches behind the primary", [("", "\(status.lagLSN ?? 0)")])
      gauge("lag_bytes", "Bytes of log behind the primary", [("", "\(status.lagBytes ?? 0)")])
      gauge(
        "lag_seconds", "Seconds behind the primary; NaN if it was never heard",
        [("", status.lagSeconds.map { "\($0)" } ?? "NaN")])
    }
    return text
  }

  private static func page(_ status: NodeStatus) -> String {
    func escaped(_ text: String) -> String {
      text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
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
    for alarm in status.alarms { rows.append(("ALARM", alarm)) }
    if let error = status.lastError { rows.append(("last error", error)) }
    rows.append(("connections", status.security))
    if let refusal = status.lastRefusal {
      rows.append(("not let in", "\(status.refusals), the last one \(refusal)"))
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
