import VecDBBytes
import VecDBFiles

/// The credentials of a client: from the first place that has some, and anew before they end. Any
/// thread; one asks while the others wait.
package final class CredentialsChain: Sendable {
  /// They are renewed so long before they end.
  package static let aheadMilliseconds: Int64 = 300_000

  private let sources: [any CredentialsSource]
  private let nowMilliseconds: @Sendable () -> Int64
  private let known = Guarded<Credentials?>(nil)

  package init(_ sources: [any CredentialsSource], nowMilliseconds: @escaping @Sendable () -> Int64)
  {
    self.sources = sources
    self.nowMilliseconds = nowMilliseconds
  }

  /// The usual places, in their usual order.
  package convenience init(
    given: Credentials?, profile: String?, region: String, _ surroundings: Surroundings
  ) {
    let now = surroundings.nowMilliseconds
    if let given {
      self.init([GivenCredentials(credentials: given)], nowMilliseconds: now)
      return
    }
    let ofProfile = ProfileCredentials(surroundings: surroundings, profile: profile)
    if profile != nil {
      self.init([ofProfile], nowMilliseconds: now)
      return
    }
    self.init(
      [
        EnvironmentCredentials(surroundings: surroundings),
        WebIdentityCredentials(surroundings: surroundings, region: region), ofProfile,
        ContainerCredentials(surroundings: surroundings),
        InstanceCredentials(surroundings: surroundings),
      ], nowMilliseconds: now)
  }

  /// Credentials that are good for a while. `isFresh` asks for others than are known.
  package func current(isFresh: Bool = false) throws -> Credentials {
    try known.withLock { known in
      if let found = known, !isFresh, !isEnding(found) { return found }
      for source in sources {
        guard let found = try source.find() else { continue }
        known = found
        return found
      }
      throw StoreError(
        .invalidArgument,
        "there are no credentials: looked in " + sources.map(\.name).joined(separator: ", "),
        remedy: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.")
    }
  }

  private func isEnding(_ credentials: Credentials) -> Bool {
    guard let end = credentials.expiresMilliseconds else { return false }
    return nowMilliseconds() >= end - Self.aheadMilliseconds
  }
}

private struct GivenCredentials: CredentialsSource {
  let credentials: Credentials
  var name: String { "the program" }
  func find() -> Credentials? { credentials }
}
