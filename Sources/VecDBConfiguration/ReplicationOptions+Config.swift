#if Configuration
  import Configuration
  import VecDB
  import VecDBReplication

  #if TLS
    import VecDBReplicationTLS
  #endif

  extension ReplicationOptions {
    /// Options of a node from settings; what they do not name keeps its default. Required are `name`,
    /// and either the four `tls…` settings or `insecureLoopback`.
    ///
    /// - Throws: ``VecDBError`` `invalidArgument`, naming the key; with TLS, what reading the
    ///   certificates throws.
    public init(config: ConfigReader) throws {
      let settings = Settings(config: config)
      self.init(
        name: try settings.requireString("name"),
        security: try Self.security(settings))
      if let text = try settings.string("listen") { listen = try Self.address(text, "listen") }
      if let texts = try settings.strings("peers") {
        peers = try texts.map { try Self.address($0, "peers") }
      }
      if let value = try settings.int("startPatienceMilliseconds", SettingRange.milliseconds) {
        startPatienceMilliseconds = value
      }
      if try settings.bool("startWaitsForEver") == true { startPatienceMilliseconds = nil }
      if let value = try settings.int("retainedLogBytes", 0...Int.max) { retainedLogBytes = value }
      if let value = try settings.int("windowBytes", 0...Int.max) { windowBytes = value }
      if let value = try settings.int("connectionsMaximum", 1...65_536) {
        connectionsMaximum = value
      }
      acknowledgement = try AcknowledgementOptions(
        ifNamedIn: config.scoped(to: "acknowledgement"))
    }

    private static func address(_ text: String, _ key: String) throws -> NodeAddress {
      guard let address = NodeAddress(text) else {
        throw VecDBError(
          .invalidArgument, "'\(text)' is not an address", at: key,
          remedy: "Use host:port, or [address]:port with IPv6.")
      }
      return address
    }

    private static func security(_ settings: Settings) throws -> TransportSecurity {
      let certificate = try settings.string("tlsCertificateFile")
      let key = try settings.string("tlsKeyFile")
      let authority = try settings.string("tlsAuthorityFile")
      let names = try settings.strings("tlsAllowedNames")
      let given = [certificate != nil, key != nil, authority != nil, names != nil]
      if !given.contains(true) {
        guard try settings.bool("insecureLoopback") == true else {
          throw VecDBError(
            .invalidArgument, "the connections between nodes need protection",
            at: "tlsCertificateFile",
            remedy: "Set the tls settings, or insecureLoopback for nodes of this machine.")
        }
        return .insecureLoopback
      }
      guard let certificate, let key, let authority, let names else {
        throw VecDBError(
          .invalidArgument, "TLS needs a certificate, its key, an authority and allowed names",
          at: "tlsCertificateFile",
          remedy: "Set tlsCertificateFile, tlsKeyFile, tlsAuthorityFile and tlsAllowedNames.")
      }
      #if TLS
        return try .tls(
          CertificateFiles(certificate: certificate, key: key, authority: authority),
          allowing: names)
      #else
        _ = (certificate, key, authority, names)
        throw VecDBError(
          .invalidArgument, "this program was built without TLS", at: "tlsCertificateFile",
          remedy: "Build it with vecdb's package trait TLS.")
      #endif
    }
  }

  extension AcknowledgementOptions {
    /// When a primary acknowledges, from settings: `replicas`, which is required, `needed`,
    /// `maximumLag`, `timeoutMilliseconds` and `degrades`.
    ///
    /// - Throws: ``VecDBError`` `invalidArgument`, naming the key.
    public init(config: ConfigReader) throws {
      let settings = Settings(config: config)
      guard let replicas = try settings.strings("replicas") else {
        throw VecDBError(
          .invalidArgument, "the setting is missing", at: "replicas",
          remedy: "Name the replicas that count.")
      }
      self.init(replicas: replicas)
      if let value = try settings.int("needed", 1...64) { needed = value }
      if let value = try settings.int("maximumLag", 0...Int.max) { maximumLag = UInt64(value) }
      if let value = try settings.int("timeoutMilliseconds", 1...Int(UInt32.max)) {
        timeoutMilliseconds = value
      }
      if let value = try settings.bool("degrades") { degrades = value }
    }

    /// Nil where the settings name no replicas; asynchronous where they say so.
    init?(ifNamedIn config: ConfigReader) throws {
      let settings = Settings(config: config)
      if try settings.bool("asynchronous") == true {
        self = .asynchronous
        return
      }
      guard try settings.strings("replicas") != nil else { return nil }
      try self.init(config: config)
    }
  }
#endif
