#if Coordination
  import AsyncHTTPClient
  import Glibc
  import NIOCore
  import NIOHTTP1
  import NIOPosix
  import NIOSSL
  import VecDB

  /// HTTP/1.1 by async-http-client.
  final class EtcdHTTP: EtcdTransport {
    private let client: HTTPClient
    private static let answerBytesMaximum = 16 << 20

    init(_ coordinator: Coordinator) throws {
      var tls = TLSConfiguration.makeClientConfiguration()
      let files = coordinator.certificates
      do {
        if let authority = files.authority { tls.trustRoots = .file(authority) }
        if let certificate = files.certificate, let key = files.key {
          tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate).map {
            .certificate($0)
          }
          tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        }
        if coordinator.isSecure { _ = try NIOSSLContext(configuration: tls) }
      } catch {
        throw VecDBError(
          .invalidArgument, "cannot use the coordinator's certificates: \(error)",
          at: [files.authority, files.certificate, files.key].compactMap { $0 }
            .joined(separator: ", "),
          remedy: "Give files in PEM that this process may read.")
      }
      var configuration = HTTPClient.Configuration(
        tlsConfiguration: tls, redirectConfiguration: .disallow,
        timeout: .init(connect: .seconds(2)), decompression: .disabled)
      configuration.httpVersion = .http1Only
      client = HTTPClient(
        eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
        configuration: configuration)
    }

    func post(
      _ url: String, body: [UInt8], token: String?, timeoutMilliseconds: UInt64
    ) async throws -> (status: Int, body: [UInt8]) {
      var headers = HTTPHeaders([("Content-Type", "application/json")])
      if let token { headers.add(name: "Authorization", value: token) }
      let message = try HTTPClient.Request(
        url: url, method: .POST, headers: headers, body: .byteBuffer(ByteBuffer(bytes: body)))
      // The whole answer within the time: one that trickles is none.
      let accumulator = ResponseAccumulator(
        request: message, maxBodySize: Self.answerBytesMaximum)
      do {
        let answer = try await client.execute(
          request: message, delegate: accumulator,
          deadline: .now() + .milliseconds(Int64(clamping: timeoutMilliseconds))
        ).get()
        return (Int(answer.status.code), answer.body.map { Array($0.readableBytesView) } ?? [])
      } catch let error as IOError {
        // NIO's own words repeat themselves.
        throw VecDBError(.inputOutput, String(cString: strerror(error.errnoCode)))
      }
    }

    func close() async {
      // What is under way fails, and nobody waits for it any more.
      do { try await client.shutdown() } catch { return }
    }
  }
#endif
