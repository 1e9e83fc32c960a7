import Glibc

/// Options of several verbs that the environment can give too. One on the command line goes first.
enum EnvironmentOption: String, CaseIterable {
  case keyFile = "VECDB_KEY_FILE"
  case passphraseFile = "VECDB_PASSPHRASE_FILE"
  case tlsCertificate = "VECDB_TLS_CERT"
  case tlsKey = "VECDB_TLS_KEY"
  case tlsAuthority = "VECDB_TLS_CA"
  case tlsAllow = "VECDB_TLS_ALLOW"
  case httpTokenFile = "VECDB_HTTP_TOKEN_FILE"
  case logLevel = "VECDB_LOG_LEVEL"

  /// Nil where it is not set, or empty.
  var value: String? {
    guard let text = getenv(rawValue) else { return nil }
    let value = String(cString: text)
    return value.isEmpty ? nil : value
  }
}
