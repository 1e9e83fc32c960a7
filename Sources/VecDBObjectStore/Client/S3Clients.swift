import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// The clients of this process: those of one bucket share connections, credentials and what they
/// learned of the store.
package enum S3Clients {
  private struct State: Sendable {
    var clients: [S3Address: S3Client] = [:]
    var given: [S3Address: Credentials] = [:]
  }

  private static let state = Guarded(State())

  private static func withoutPrefix(_ address: S3Address) -> S3Address {
    var key = address
    key.prefix = ""
    return key
  }

  static func give(_ credentials: Credentials, to address: S3Address) {
    state.withLock {
      $0.given[withoutPrefix(address)] = credentials
      $0.clients[withoutPrefix(address)] = nil
    }
  }

  static func client(for address: S3Address, _ transport: any HTTPTransport) throws -> S3Client {
    let key = withoutPrefix(address)
    if let known = state.withLock({ $0.clients[key] }) { return known }
    let client = try make(key, given: state.withLock { $0.given[key] }, surroundings(transport))
    return state.withLock { state in
      if let known = state.clients[key] { return known }
      state.clients[key] = client
      return client
    }
  }

  package static func make(
    _ address: S3Address, given: Credentials?, _ surroundings: Surroundings
  ) throws -> S3Client {
    var address = address
    let profile = ProfileCredentials(surroundings: surroundings, profile: address.profile)
    let region =
      try address.region ?? surroundings.text("AWS_REGION")
      ?? surroundings.text("AWS_DEFAULT_REGION") ?? profile.values()["region"]
    if address.endpoint == nil,
      let text = surroundings.text("AWS_ENDPOINT_URL_S3") ?? surroundings.text("AWS_ENDPOINT_URL")
    {
      guard let endpoint = HTTPEndpoint(text) else {
        throw StoreError(
          .invalidArgument, "the endpoint of the environment is no address of a host", at: text,
          remedy: "Check AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL.")
      }
      address.endpoint = endpoint
    }
    let chain = CredentialsChain(
      given: given, profile: address.profile, region: region ?? "us-east-1", surroundings)
    return S3Client(
      address, region: region, chain: chain, transport: surroundings.transport,
      clock: S3Client.Clock(
        nowMilliseconds: surroundings.nowMilliseconds,
        uptimeMilliseconds: { MachineClock.uptimeMilliseconds() },
        sleep: { usleep(UInt32(clamping: $0 * 1_000)) }))
  }

  private static func surroundings(_ transport: any HTTPTransport) -> Surroundings {
    Surroundings(
      variable: { getenv($0).map { String(cString: $0) } },
      file: { path in
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
          throw StoreError(
            .inputOutput, "cannot read the file", at: path, remedy: "Check who may read it.")
        }
        return String(decoding: data, as: UTF8.self)
      }, transport: transport, nowMilliseconds: { MachineClock.nowMilliseconds() })
  }
}
