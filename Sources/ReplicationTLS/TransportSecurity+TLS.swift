#if TLS
  import NIOCore
  import NIOSSL
  import NIOTLS
  import Replication
  import VecDB

  /// Files and names of mutually authenticated TLS.
  public struct TLSOptions: Sendable {
    /// This node's certificate chain, PEM, its own certificate first.
    public var certificates: String
    /// Its private key, PEM.
    public var privateKey: String
    /// The certificates of the authority that signs all nodes, PEM. No other is trusted.
    public var authority: String
    /// Names of the nodes that may connect or be connected to: DNS names in their certificates.
    public var allowedNames: [String]

    public init(
      certificates: String, privateKey: String, authority: String, allowedNames: [String]
    ) {
      self.certificates = certificates
      self.privateKey = privateKey
      self.authority = authority
      self.allowedNames = allowedNames
    }
  }

  extension TransportSecurity {
    /// TLS 1.3 in which both sides show a certificate of the authority, with an allowed name. The
    /// files are read once, here.
    ///
    /// - Throws: `invalidArgument`, naming the file that cannot be used.
    public static func tls(_ options: TLSOptions) throws -> TransportSecurity {
      guard !options.allowedNames.isEmpty else {
        throw VecDBError(
          .invalidArgument, "no node's name is allowed", remedy: "Name the other nodes.")
      }
      let chain = try reading(options.certificates) {
        try NIOSSLCertificate.fromPEMFile($0).map { NIOSSLCertificateSource.certificate($0) }
      }
      let key = try reading(options.privateKey) {
        NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: $0, format: .pem))
      }
      let roots = try reading(options.authority) {
        NIOSSLTrustRoots.certificates(try NIOSSLCertificate.fromPEMFile($0))
      }
      var configuration = TLSConfiguration.makeServerConfiguration(
        certificateChain: chain, privateKey: key)
      configuration.minimumTLSVersion = .tlsv13
      configuration.trustRoots = roots
      // The chain is verified here; whose it is, is looked at right after the handshake, since
      // nodes are known by name and not by the host that they are reached at.
      configuration.certificateVerification = .noHostnameVerification
      let server = try context(configuration)
      var clientConfiguration = TLSConfiguration.makeClientConfiguration()
      clientConfiguration.minimumTLSVersion = .tlsv13
      clientConfiguration.trustRoots = roots
      clientConfiguration.certificateChain = chain
      clientConfiguration.privateKey = key
      clientConfiguration.certificateVerification = .noHostnameVerification
      let client = try context(clientConfiguration)
      let names = Set(options.allowedNames)
      return TransportSecurity(name: "TLS 1.3", isLoopbackOnly: false) { host in
        let handler: any ChannelHandler =
          if host == nil {
            NIOSSLServerHandler(context: server)
          } else {
            try NIOSSLClientHandler(context: client, serverHostname: nil)
          }
        return [handler, PeerNameHandler(allowedNames: names)]
      }
    }

    private static func reading<Value>(
      _ path: String, _ body: (String) throws -> Value
    ) throws -> Value {
      do { return try body(path) } catch {
        throw VecDBError(
          .invalidArgument, "this file cannot be used for TLS: \(error)", at: path,
          remedy: "Give a readable PEM file.")
      }
    }

    private static func context(_ configuration: TLSConfiguration) throws -> NIOSSLContext {
      do { return try NIOSSLContext(configuration: configuration) } catch {
        throw VecDBError(
          .invalidArgument, "certificate and key cannot be used together: \(error)",
          remedy: "Check that the key is that of the first certificate.")
      }
    }
  }

  /// Lets nothing through, in either direction, before the peer's certificate has shown an allowed
  /// name.
  final class PeerNameHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let allowedNames: Set<String>
    private var isVerified = false
    private var held: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []

    init(allowedNames: Set<String>) { self.allowedNames = allowedNames }

    struct Refused: Error, CustomStringConvertible {
      var names: [String]
      var description: String {
        "the peer's certificate names \(names.isEmpty ? "nobody" : names.joined(separator: ", ")), "
          + "who is not allowed"
      }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if case TLSUserEvent.handshakeCompleted = event { verify(context) }
      context.fireUserInboundEventTriggered(event)
    }

    private func verify(_ context: ChannelHandlerContext) {
      let names: [String]
      do {
        let handler = try context.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
        names = Self.names(of: handler.peerCertificate)
      } catch { return fail(context, error) }
      guard names.contains(where: allowedNames.contains) else {
        return fail(context, Refused(names: names))
      }
      isVerified = true
      for (data, promise) in held { context.write(data, promise: promise) }
      held = []
      context.flush()
    }

    private static func names(of certificate: NIOSSLCertificate?) -> [String] {
      guard let certificate else { return [] }
      return certificate._subjectAlternativeNames().filter { $0.nameType == .dnsName }
        .map { String(decoding: $0.contents, as: UTF8.self) }
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
      for (_, promise) in held { promise?.fail(error) }
      held = []
      context.fireErrorCaught(error)
      context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if isVerified { context.fireChannelRead(data) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      if isVerified { context.write(data, promise: promise) } else { held.append((data, promise)) }
    }
  }
#endif
