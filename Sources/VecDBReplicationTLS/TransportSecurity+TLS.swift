#if TLS
  import NIOCore
  import NIOSSL
  import VecDBReplication
  import VecDB

  extension TransportSecurity {
    /// TLS 1.3. Both sides show a certificate; it must be signed by the authority in `files`, valid
    /// now, and have one of `names` among its DNS names (the subject's common name does not count).
    ///
    /// - Parameters:
    ///   - files: This node's certificate and key, and the authority.
    ///   - names: The names of the nodes that may connect, and be connected to. Whoever has one of
    ///     them is trusted with everything that a node of that name may do.
    /// - Throws: `invalidArgument` if a file cannot be read, every user may read the key, the key is
    ///   not that of the certificate, or there is no name.
    public static func tls(
      _ files: CertificateFiles, allowing names: [String]
    ) throws -> TransportSecurity {
      let allowed = Set(names.map { $0.lowercased() })
      guard !allowed.isEmpty, !allowed.contains("") else {
        throw VecDBError(
          .invalidArgument, "no node is allowed to connect",
          remedy: "Name the allowed nodes: the DNS names in their certificates.")
      }
      let credentials = try Credentials(files)
      return TransportSecurity(
        name: "TLS 1.3",
        proof: Proof(
          judge: { verdict(on: $0, allowed) }, explain: { explanation(of: $0) },
          expires: { credentials.current().expires }, names: { credentials.current().names }),
        makeHandlers: { isServer in
          let current = credentials.current()
          return isServer
            ? [NIOSSLServerHandler(context: current.server)]
            : [try NIOSSLClientHandler(context: current.client, serverHostname: nil)]
        })
    }

    /// The chain of the peer's certificate has been verified; this is about its names.
    private static func verdict(
      on operations: ChannelPipeline.SynchronousOperations, _ allowed: Set<String>
    ) -> Verdict {
      let certificate: NIOSSLCertificate?
      do { certificate = try operations.nioSSL_peerCertificate() } catch {
        return .refused("the peer's certificate cannot be read: \(error)")
      }
      guard let certificate else { return .refused("the peer has shown no certificate") }
      let names = certificate.dnsNames
      if names.contains(where: allowed.contains) { return .certified(names) }
      return .refused(
        "the certificate is of '\(names.joined(separator: ", "))', "
          + "which is none of the names that are allowed here")
    }

    private static func explanation(of error: any Error) -> String {
      let text = "\(error)"
      let known = [
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the authority, or expired"),
        ("ALERT_UNKNOWN_CA", "the peer does not know the authority of this node's certificate"),
        ("ALERT_CERTIFICATE_EXPIRED", "the peer says that this node's certificate has expired"),
        ("ALERT_BAD_CERTIFICATE", "the peer does not accept this node's certificate"),
        ("ALERT_CERTIFICATE_UNKNOWN", "the peer does not accept this node's certificate"),
        ("ALERT_CERTIFICATE_REQUIRED", "the peer wants a certificate"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the peer has shown no certificate"),
        ("WRONG_VERSION_NUMBER", "the peer does not speak TLS"),
        ("UNSUPPORTED_PROTOCOL", "the peer does not speak TLS 1.3"),
        ("PROTOCOL_VERSION", "the peer does not speak TLS 1.3"),
        ("EOF during handshake", "the peer hung up; it may not speak TLS"),
      ]
      guard let found = known.first(where: { text.contains($0.0) }) else { return text }
      return "the TLS handshake failed: \(found.1)"
    }
  }

  extension NIOSSLCertificate {
    /// The DNS names in it, in lower case. The subject's common name does not count.
    var dnsNames: [String] {
      _subjectAlternativeNames().filter { $0.nameType == .dnsName }
        .map { String(decoding: $0.contents, as: UTF8.self).lowercased() }
    }
  }
#endif
