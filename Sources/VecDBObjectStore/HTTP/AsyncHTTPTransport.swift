#if S3
  import AsyncHTTPClient
  import Glibc
  import NIOCore
  import NIOHTTP1
  import NIOPosix
  import NIOSSL

  /// HTTP/1.1 by async-http-client, on its own threads.
  final class AsyncHTTPTransport: HTTPTransport {
    /// One for all: it keeps connections open.
    static let shared = AsyncHTTPTransport()

    private let client: HTTPClient
    private static let connectSeconds: Int64 = 10
    /// A body of which nothing has come for so long is given up.
    private static let stalledSeconds: Int64 = 20
    private static let connections = 64

    private init() {
      var tls = TLSConfiguration.makeClientConfiguration()
      if let path = getenv("AWS_CA_BUNDLE").map({ String(cString: $0) }), !path.isEmpty {
        tls.trustRoots = .file(path)
      }
      var configuration = HTTPClient.Configuration(
        tlsConfiguration: tls, redirectConfiguration: .disallow,
        timeout: .init(
          connect: .seconds(Self.connectSeconds), read: .seconds(Self.stalledSeconds),
          write: .seconds(Self.stalledSeconds)),
        decompression: .disabled)
      configuration.httpVersion = .http1Only
      configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.connections
      client = HTTPClient(
        eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
        configuration: configuration)
    }

    func send(_ request: HTTPRequest) throws -> HTTPResponse {
      do {
        var headers = HTTPHeaders()
        for (name, value) in request.headers { headers.add(name: name, value: value) }
        let body: HTTPClient.Body? =
          request.body.isEmpty && !["PUT", "POST"].contains(request.method)
          ? nil : .byteBuffer(ByteBuffer(bytes: request.body))
        let message = try HTTPClient.Request(
          url: request.url, method: HTTPMethod(rawValue: request.method), headers: headers,
          body: body)
        // A little more than wanted, so that the body of an error fits.
        let accumulator = ResponseAccumulator(
          request: message, maxBodySize: min(request.maximumBytes + (1 << 16), 1 << 31))
        let answer = try client.execute(
          request: message, delegate: accumulator,
          deadline: .now() + .milliseconds(Int64(request.timeoutMilliseconds))
        ).wait()
        let bytes = answer.body.map { Array($0.readableBytesView) } ?? []
        return HTTPResponse(
          status: Int(answer.status.code),
          headers: answer.headers.map { (name: $0.name, value: $0.value) }, body: bytes)
      } catch { throw Self.failure(error) }
    }

    private static func failure(_ error: any Error) -> TransportFailure {
      if error is ResponseAccumulator.ResponseTooBigError {
        return TransportFailure(kind: .tooLong, message: "the answer is too long")
      }
      if let error = error as? HTTPClientError {
        if error == .connectTimeout || error == .getConnectionFromPoolTimeout {
          return TransportFailure(kind: .unreachable, message: "no connection in time")
        }
        if [.invalidURL, .emptyHost, .unsupportedScheme("")].contains(error) {
          return TransportFailure(kind: .untrusted, message: error.description)
        }
        return TransportFailure(kind: .interrupted, message: error.description)
      }
      if let error = error as? NIOConnectionError {
        return TransportFailure(kind: .unreachable, message: "no connection: \(reason(error))")
      }
      if let error = error as? IOError, error.errnoCode == ECONNREFUSED {
        return TransportFailure(kind: .unreachable, message: "no connection: \(reason(error))")
      }
      if error is NIOSSLError || error is NIOSSLExtraError || error is BoringSSLError {
        return TransportFailure(kind: .untrusted, message: "TLS failed: \(error)")
      }
      return TransportFailure(kind: .interrupted, message: reason(error))
    }

    /// Why, in the system's words: NIO's own repeat themselves.
    private static func reason(_ error: any Error) -> String {
      if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
      guard let error = error as? NIOConnectionError else { return "\(error)" }
      if let attempt = error.connectionErrors.first { return reason(attempt.error) }
      return error.dnsAError == nil && error.dnsAAAAError == nil
        ? "\(error)" : "no address is known of \(error.host)"
    }
  }
#endif
