import VecDB
import VecDBBytes

/// Who may read a status page.
public enum StatusProtection: Sendable {
  /// Whoever is on this machine; the page listens on 127.0.0.1 or ::1 alone.
  case loopback
  /// Whoever sends this token, as `Authorization: Bearer TOKEN`. `/health`, `/ready` and `/primary`
  /// need none: they say no more than a load balancer has to know.
  case token(String)
  /// Whoever reaches the address.
  case none

  static let tokenBytesMinimum = 16

  /// Throws unless the page may listen there.
  func require(_ address: NodeAddress) throws {
    switch self {
    case .loopback where !address.isLoopback:
      throw VecDBError(
        .invalidArgument, "anyone who can reach that address could read the status page",
        at: "\(address)",
        remedy: "Listen on 127.0.0.1, or protect the page with a token (--http-token FILE), or say "
          + "that only authorised readers can reach it (--http-open).")
    case .token(let token) where token.utf8.count < Self.tokenBytesMinimum:
      throw VecDBError(
        .invalidArgument, "the token of the status page has \(token.utf8.count) bytes",
        remedy: "Use at least \(Self.tokenBytesMinimum) random bytes: openssl rand -hex 32.")
    default: return
    }
  }

  private static let openPaths: Set<String> = ["/health", "/ready", "/primary"]

  /// Whether a request for `path` with that `Authorization` is answered.
  func admits(_ path: String, authorization: String?) -> Bool {
    guard case .token(let token) = self, !Self.openPaths.contains(path) else { return true }
    let prefix = "Bearer "
    guard let authorization, authorization.hasPrefix(prefix) else { return false }
    // Hashes are compared, so that the time it takes tells nothing of the token.
    return SHA256.hash(Array(authorization.dropFirst(prefix.count).utf8))
      == SHA256.hash(Array(token.utf8))
  }
}
