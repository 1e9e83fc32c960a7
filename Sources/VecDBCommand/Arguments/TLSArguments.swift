import ArgumentParser
import VecDB
import VecDBReplication

#if TLS
  import VecDBReplicationTLS
#endif

/// How a verb that runs a node is told how its connections are protected.
struct TLSArguments: ParsableArguments {
  @Option(
    help: """
      PEM file with this node's certificate, then any intermediate certificates (or \
      VECDB_TLS_CERT).
      """,
    completion: .file())
  var tlsCert: String?
  @Option(
    help: "PEM file with the certificate's private key (or VECDB_TLS_KEY).", completion: .file())
  var tlsKey: String?
  @Option(
    help: "PEM file with the authorities that this node trusts (or VECDB_TLS_CA).",
    completion: .file())
  var tlsCa: String?
  @Option(
    help: """
      DNS names in the certificates of allowed nodes, separated by commas (or VECDB_TLS_ALLOW).
      """)
  var tlsAllow: String?
  @Flag(help: "Connect without TLS, on this machine only.")
  var insecureLoopback = false

  func security() throws -> TransportSecurity {
    // An option of the command line goes before the environment's; without TLS neither counts.
    let isSet = !insecureLoopback
    let tlsCert = tlsCert ?? (isSet ? EnvironmentOption.tlsCertificate.value : nil)
    let tlsKey = tlsKey ?? (isSet ? EnvironmentOption.tlsKey.value : nil)
    let tlsCa = tlsCa ?? (isSet ? EnvironmentOption.tlsAuthority.value : nil)
    let tlsAllow = tlsAllow ?? (isSet ? EnvironmentOption.tlsAllow.value : nil)
    let given = [tlsCert, tlsKey, tlsCa, tlsAllow].compactMap { $0 }
    guard !given.isEmpty else {
      guard insecureLoopback else {
        throw UsageError(
          message: "the connections between nodes need protection",
          remedy: "Give --tls-cert, --tls-key, --tls-ca and --tls-allow, "
            + "or --insecure-loopback for nodes on this machine.")
      }
      return .insecureLoopback
    }
    guard !insecureLoopback else {
      throw UsageError(
        message: "--insecure-loopback and the TLS options exclude each other",
        remedy: "Give one or the other.")
    }
    #if TLS
      guard let tlsCert, let tlsKey, let tlsCa, let tlsAllow else {
        throw UsageError(
          message: "TLS needs a certificate, its key, an authority and allowed names",
          remedy: "Give --tls-cert, --tls-key, --tls-ca and --tls-allow.")
      }
      return try .tls(
        CertificateFiles(certificate: tlsCert, key: tlsKey, authority: tlsCa),
        allowing: tlsAllow.split(separator: ",").map(String.init))
    #else
      throw UsageError(
        message: "this vecdb was built without TLS",
        remedy: "Build it with the package trait TLS: swift build -c release --traits TLS")
    #endif
  }
}
