import ArgumentParser
import VecDB
import VecDBReplication

#if TLS
  import VecDBReplicationTLS
#endif

/// How a verb that runs a node is told how its connections are protected.
struct TLSArguments: ParsableArguments {
  @Option(
    help: "PEM file with this node's certificate, then those that signed it.",
    completion: .file())
  var tlsCert: String?
  @Option(help: "PEM file with the certificate's private key.", completion: .file())
  var tlsKey: String?
  @Option(
    help: "PEM file with the authorities that sign the certificates of nodes.",
    completion: .file())
  var tlsCa: String?
  @Option(help: "DNS names that certificates of other nodes may have, with commas between them.")
  var tlsAllow: String?
  @Flag(help: "Connections without TLS, on this machine only.")
  var insecureLoopback = false

  func security() throws -> TransportSecurity {
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
        message: "--insecure-loopback is the opposite of TLS", remedy: "Give one of the two.")
    }
    #if TLS
      guard let tlsCert, let tlsKey, let tlsCa, let tlsAllow else {
        throw UsageError(
          message: "TLS needs a certificate, its key, an authority and names",
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
