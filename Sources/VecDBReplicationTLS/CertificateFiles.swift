/// The PEM files by which a node proves who it is, and knows others.
///
/// They are read again when they have changed: a certificate that was replaced is used by the next
/// connection, without a restart.
public struct CertificateFiles: Sendable, Hashable {
  /// The node's certificate, then those between it and the authority, if there are any.
  public var certificate: String
  /// Its private key, without a passphrase; readable by nobody else.
  public var key: String
  /// The authorities that sign the certificates of nodes.
  public var authority: String

  public init(certificate: String, key: String, authority: String) {
    self.certificate = certificate
    self.key = key
    self.authority = authority
  }
}
