import VecDBBytes
import VecDBObjectStore

/// Answers requests by a function, and remembers them. Time passes only by its clock.
final class ScriptedTransport: HTTPTransport {
  typealias Answer = @Sendable (_ request: HTTPRequest, _ number: Int) throws -> HTTPResponse

  let requests = Guarded<[HTTPRequest]>([])
  let time = Guarded<Int64>(1_796_111_788_000)
  /// What this machine's clock is ahead of the true time.
  let aheadMilliseconds: Int64
  private let answer: Answer

  init(aheadMilliseconds: Int64 = 0, _ answer: @escaping Answer) {
    self.aheadMilliseconds = aheadMilliseconds
    self.answer = answer
  }

  func send(_ request: HTTPRequest) throws -> HTTPResponse {
    let number = requests.withLock { requests in
      requests.append(request)
      return requests.count
    }
    time.withLock { $0 += 10 }
    return try answer(request, number)
  }

  var count: Int { requests.withLock { $0.count } }

  var clock: S3Client.Clock {
    let (time, ahead) = (time, aheadMilliseconds)
    return S3Client.Clock(
      nowMilliseconds: { time.withLock { $0 + ahead } },
      uptimeMilliseconds: { time.withLock { $0 } },
      sleep: { pause in time.withLock { $0 += pause } })
  }

  func surroundings(
    _ variables: [String: String] = [:], files: [String: String] = [:]
  ) -> Surroundings {
    Surroundings(
      variable: { variables[$0] }, file: { files[$0] }, transport: self,
      nowMilliseconds: clock.nowMilliseconds)
  }

  func bucket(
    _ address: String = "s3://bucket/prefix?region=eu-west-1", credentials: CredentialsChain? = nil
  ) throws -> S3Bucket {
    let address = try S3Address(address)
    let chain =
      credentials
      ?? CredentialsChain(
        given: Credentials(accessKeyID: "KEY", secretKey: "SECRET"), profile: nil, region: "r",
        surroundings())
    let client = S3Client(
      address, region: address.region, chain: chain, transport: self, clock: clock)
    return S3Bucket(client, address)
  }
}

extension HTTPResponse {
  static func error(
    _ status: Int, _ code: String, _ message: String = "",
    headers: [(name: String, value: String)] = []
  ) -> HTTPResponse {
    HTTPResponse(
      status: status, headers: headers,
      body: Array("<Error><Code>\(code)</Code><Message>\(message)</Message></Error>".utf8))
  }

  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, body: Array(text.utf8))
  }
}

extension HTTPRequest {
  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}
