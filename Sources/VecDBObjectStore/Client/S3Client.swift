import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// Sends requests to one bucket: signs them, repeats those that may be repeated, and corrects what can
/// be corrected: the clock, the region, credentials that ended. Any thread.
package final class S3Client: Sendable {
  package struct Call: Sendable {
    enum Kind: Sendable { case list, get, put, delete }
    var kind: Kind
    var method: String
    /// The whole key; nil for the bucket itself.
    var key: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var maximumBytes = 4 << 20
  }

  package struct Answer: Sendable {
    var response: HTTPResponse
    /// What the store says is wrong; nil for success.
    var error: ErrorDocument?
    /// Whether an earlier attempt may have been carried out.
    var mayHaveHappened: Bool
  }

  /// The machine, as tests replace it.
  package struct Clock: Sendable {
    package var nowMilliseconds: @Sendable () -> Int64
    var uptimeMilliseconds: @Sendable () -> Int64
    var sleep: @Sendable (Int64) -> Void

    package init(
      nowMilliseconds: @escaping @Sendable () -> Int64,
      uptimeMilliseconds: @escaping @Sendable () -> Int64,
      sleep: @escaping @Sendable (Int64) -> Void
    ) {
      self.nowMilliseconds = nowMilliseconds
      self.uptimeMilliseconds = uptimeMilliseconds
      self.sleep = sleep
    }
  }

  private struct State: Sendable {
    var region: String
    var offsetMilliseconds: Int64 = 0
    var sendsMD5 = false
    var checksETags = true
    var hasAnswered = false
  }

  package let address: S3Address
  package let limit: RequestLimit
  package let clock: Clock
  private let transport: any HTTPTransport
  private let chain: CredentialsChain
  private let policy: RetryPolicy
  private let state: Guarded<State>
  private static let defaultRegion = "us-east-1"
  /// Answers that may come of bytes that were changed on the way are asked for again, so many times.
  private static let doubts = 3

  package init(
    _ address: S3Address, region: String?, chain: CredentialsChain, transport: any HTTPTransport,
    clock: Clock, policy: RetryPolicy = RetryPolicy(), requestsAtOnce: Int = 32
  ) {
    self.address = address
    self.chain = chain
    self.transport = transport
    self.clock = clock
    self.policy = policy
    limit = RequestLimit(most: requestsAtOnce)
    state = Guarded(State(region: region ?? Self.defaultRegion))
  }

  /// The store's clock less this machine's.
  package var offsetMilliseconds: Int64 { state.withLock { $0.offsetMilliseconds } }
  package var region: String { state.withLock { $0.region } }

  // MARK: Sending

  /// What has happened in a call so far.
  private struct Course {
    var attempt = 0
    var mayHaveHappened = false
    var refreshed = false
    var corrections = 0
    var redirected = false
    var doubts = 0
    var strangeETag: [UInt8]?
  }

  private enum Verdict {
    case done(ErrorDocument?)
    /// Again at once: what was wrong is corrected.
    case corrected
    case again(askedMilliseconds: Int64?, ErrorDocument?)
  }

  /// `count` is called with each attempt. Throws what no repetition helps against.
  package func send(_ call: Call, count: (_ isRepeat: Bool) -> Void) throws -> Answer {
    let begun = clock.uptimeMilliseconds()
    var course = Course()
    while true {
      course.attempt += 1
      let spent = clock.uptimeMilliseconds() - begun
      let request = try signed(call, leftMilliseconds: policy.budgetMilliseconds - spent)
      limit.enter()
      count(course.attempt > 1)
      let outcome = Result { try transport.send(request) }
      limit.leave()
      let verdict: Verdict
      var last: String
      switch outcome {
      case .failure(let error):
        let failure =
          error as? TransportFailure
          ?? TransportFailure(kind: .interrupted, message: "\(error)")
        guard failure.kind == .unreachable || failure.kind == .interrupted else {
          throw self.error(failure)
        }
        if failure.kind == .interrupted { course.mayHaveHappened = true }
        verdict = .again(askedMilliseconds: nil, nil)
        last = failure.message
      case .success(let response):
        state.withLock { $0.hasAnswered = true }
        noteTime(response)
        verdict = try judge(call, response, &course)
        if case .done(let error) = verdict {
          if error == nil { limit.succeeded() }
          return Answer(
            response: response, error: error, mayHaveHappened: course.mayHaveHappened)
        }
        last = "status \(response.status)"
      }
      guard case .again(let asked, let document) = verdict else { continue }
      if let document { last = "\(document.code): \(document.message)" }
      let pause = policy.pause(attempt: course.attempt, asked: asked)
      let budget =
        state.withLock(\.hasAnswered) ? policy.budgetMilliseconds : policy.firstBudgetMilliseconds
      guard clock.uptimeMilliseconds() - begun + pause < budget else {
        throw StoreError(
          .inputOutput,
          "the object store did not answer \(course.attempt) times in \(budget / 1_000) s; "
            + "the last time: \(last)",
          at: location(call),
          remedy:
            "Check whether \(endpoint.url) is up and can be reached from here; then try again.")
      }
      clock.sleep(pause)
    }
  }

  package func location(_ call: Call) -> String {
    "s3://" + address.bucket + (call.key.map { "/" + $0 } ?? "/" + address.prefix)
  }

  private func error(_ failure: TransportFailure) -> StoreError {
    switch failure.kind {
    case .tooLong:
      StoreError(.limitExceeded, "the object is longer than it can be", at: address.location)
    case .unsupported:
      StoreError(.invalidArgument, failure.message, at: address.location)
    case .untrusted, .unreachable, .interrupted:
      StoreError(
        .inputOutput, failure.message, at: endpoint.url,
        remedy:
          "Check the endpoint. For a certificate of your own, set AWS_CA_BUNDLE to a file with "
          + "its authority.")
    }
  }

  /// Where requests go in the present region.
  package var endpoint: HTTPEndpoint {
    let region = region
    let base =
      address.endpoint
      ?? HTTPEndpoint(
        isSecure: true,
        host: "s3.\(region).amazonaws.com" + (region.hasPrefix("cn-") ? ".cn" : ""))
    guard isVirtual else { return base }
    return HTTPEndpoint(
      isSecure: base.isSecure, host: address.bucket + "." + base.host, port: base.port)
  }

  private var isVirtual: Bool {
    if let style = address.style { return style == .virtual }
    // A certificate for *.s3.… does not cover dots in the bucket's name.
    return address.endpoint == nil && !address.bucket.contains(".")
  }

  private func signed(_ call: Call, leftMilliseconds: Int64) throws -> HTTPRequest {
    let credentials: Credentials
    do { credentials = try chain.current() } catch var error as StoreError {
      if error.location.isEmpty { error.location = address.location }
      throw error
    }
    let state = state.withLock { $0 }
    let endpoint = endpoint
    let payloadHash = SHA256.hash(call.body).hex
    let time = StoreTime.compact(clock.nowMilliseconds() + state.offsetMilliseconds)
    var headers = call.headers
    headers.append((name: "host", value: endpoint.authority))
    headers.append((name: "x-amz-content-sha256", value: payloadHash))
    headers.append((name: "x-amz-date", value: time))
    if let token = credentials.sessionToken {
      headers.append((name: "x-amz-security-token", value: token))
    }
    if state.sendsMD5, call.kind == .put {
      headers.append((name: "content-md5", value: Base64.encode(MD5.hash(call.body))))
    }
    let path =
      (isVirtual ? "" : "/" + address.bucket) + (call.key.map { "/" + URLEncoding.path($0) } ?? "/")
    let authorization = SignatureV4(region: state.region, time: time).authorization(
      method: call.method, path: path, query: call.query, headers: headers,
      payloadHash: payloadHash, credentials: credentials)
    headers.append((name: "authorization", value: authorization))
    // The time that 100 kB/s take, and some.
    let needed = 30_000 + Int64(max(call.body.count, min(call.maximumBytes, 16 << 20)) / 100)
    return HTTPRequest(
      method: call.method, endpoint: endpoint, path: path, query: call.query, headers: headers,
      body: call.body, maximumBytes: call.maximumBytes,
      timeoutMilliseconds: Int(max(5_000, min(needed, leftMilliseconds))))
  }

  private func noteTime(_ response: HTTPResponse) {
    guard let time = response.header("date").flatMap(StoreTime.http) else { return }
    let offset = time - clock.nowMilliseconds()
    state.withLock {
      // Within the second that the header has, and the time on the way, it is the same.
      if abs(offset - $0.offsetMilliseconds) > 5_000 { $0.offsetMilliseconds = offset }
    }
  }

  // MARK: Judging

  private func judge(
    _ call: Call, _ response: HTTPResponse, _ course: inout Course
  ) throws -> Verdict {
    if (200..<300).contains(response.status) { return judgeSuccess(call, response, &course) }
    let document = ErrorDocument(response.body)
    let code = document?.code ?? ""
    switch response.status {
    case 301, 302, 307, 308:
      return correctRegion(response, document, &course)
        ? .corrected : .done(document ?? Self.document(response))
    case 400:
      if ["ExpiredToken", "ExpiredTokenException"].contains(code) {
        return refresh(document, &course)
      }
      if code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException" {
        if correctRegion(response, document, &course) { return .corrected }
      }
      if call.kind == .put, "\(code) \(document?.message ?? "")".contains("Content-MD5"),
        state.withLock({ !$0.sendsMD5 })
      {
        state.withLock { $0.sendsMD5 = true }
        return .corrected
      }
      let isTransient = ["RequestTimeout", "BadDigest", "XAmzContentSHA256Mismatch"].contains(code)
      return isTransient ? again(response, document) : doubt(document, response, &course)
    case 403:
      switch code {
      case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired":
        return refresh(document, &course)
      case "RequestTimeTooSkewed":
        course.corrections += 1
        // The time was taken from this very answer.
        return course.corrections <= 2 ? .corrected : .done(document)
      case "SignatureDoesNotMatch": return doubt(document, response, &course)
      default: return .done(document ?? Self.document(response))
      }
    case 404, 412: return .done(document ?? Self.document(response))
    case 409:
      return ["OperationAborted", "ConditionalRequestConflict"].contains(code)
        ? again(response, document) : .done(document ?? Self.document(response))
    case 408, 425, 429, 500, 502, 503, 504:
      if response.status == 503 || response.status == 429 {
        limit.overloaded(at: clock.uptimeMilliseconds())
      }
      // A proxy may have heard nothing of an answer that was given.
      if response.status != 503 && response.status != 429 { course.mayHaveHappened = true }
      return again(response, document)
    default: return .done(document ?? Self.document(response))
    }
  }

  private static func document(_ response: HTTPResponse) -> ErrorDocument {
    ErrorDocument(code: "Status\(response.status)", message: "status \(response.status)")
  }

  private func again(_ response: HTTPResponse, _ document: ErrorDocument?) -> Verdict {
    .again(
      askedMilliseconds: RetryPolicy.asked(
        response.header("retry-after"), nowMilliseconds: clock.nowMilliseconds()), document)
  }

  /// What may come of a request that was changed on the way is asked a few times.
  private func doubt(
    _ document: ErrorDocument?, _ response: HTTPResponse, _ course: inout Course
  ) -> Verdict {
    course.doubts += 1
    return course.doubts < Self.doubts
      ? again(response, document) : .done(document ?? Self.document(response))
  }

  private func refresh(_ document: ErrorDocument?, _ course: inout Course) -> Verdict {
    guard !course.refreshed else { return .done(document) }
    course.refreshed = true
    // What fails here is thrown when the request is signed.
    guard (try? chain.current(isFresh: true)) != nil else { return .done(document) }
    return .corrected
  }

  /// Takes the region that the store names; false if it names none, or another after that.
  private func correctRegion(
    _ response: HTTPResponse, _ document: ErrorDocument?, _ course: inout Course
  ) -> Bool {
    guard !course.redirected,
      let region = response.header("x-amz-bucket-region") ?? document?.region, !region.isEmpty,
      region != self.region,
      region.utf8.allSatisfy({ $0 == 45 || (97...122).contains($0) || (48...57).contains($0) })
    else { return false }
    course.redirected = true
    state.withLock { $0.region = region }
    return true
  }

  private func judgeSuccess(
    _ call: Call, _ response: HTTPResponse, _ course: inout Course
  ) -> Verdict {
    // Some stores, and proxies before them, say in the body that it was no success.
    if response.body.count <= 1 << 16, let document = ErrorDocument(response.body) {
      course.mayHaveHappened = true
      return again(response, document)
    }
    guard call.kind == .get, state.withLock({ $0.checksETags }), isMD5(response),
      let tag = response.header("etag")
    else { return .done(nil) }
    let found = MD5.hash(response.body)
    if tag.lowercased().contains(SignatureV4.hex(found)) { return .done(nil) }
    // The same bytes twice: it is the tag that is no MD5.
    if course.strangeETag == found {
      state.withLock { $0.checksETags = false }
      return .done(nil)
    }
    course.strangeETag = found
    return .again(
      askedMilliseconds: nil,
      ErrorDocument(code: "ChangedOnTheWay", message: "the object does not match its tag"))
  }

  /// Whether the tag is the MD5 of the content: it is not where the store encrypts with keys of its
  /// own, or for objects of several parts.
  private func isMD5(_ response: HTTPResponse) -> Bool {
    guard let tag = response.header("etag"),
      tag.utf8.count(where: { Character(UnicodeScalar($0)).isHexDigit }) == 32, !tag.contains("-")
    else { return false }
    let encryption = response.header("x-amz-server-side-encryption")
    return (encryption == nil || encryption == "AES256")
      && response.header("x-amz-server-side-encryption-customer-algorithm") == nil
  }
}

extension ErrorDocument {
  package init(code: String, message: String) {
    self.code = code
    self.message = message
    region = nil
  }
}
