import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBObjectStore

/// What the client makes of what stores and the ways to them do.
@Suite struct ClientTests {
  private func failure(_ body: () throws -> Void) -> StoreError? {
    do { try body() } catch { return error as? StoreError }
    return nil
  }

  @Test func requestsAreSignedWithTheirPayload() throws {
    let transport = ScriptedTransport { _, _ in HTTPResponse(status: 200) }
    let bucket = try transport.bucket()
    #expect(try bucket.create("blocks/a b", [1, 2, 3]) == .created)
    let sent = try #require(transport.requests.withLock { $0.first })
    #expect(sent.url == "https://bucket.s3.eu-west-1.amazonaws.com/prefix/blocks/a%20b")
    #expect(sent.header("if-none-match") == "*")
    #expect(sent.header("x-amz-content-sha256") == SHA256.hash([1, 2, 3]).hex)
    #expect(sent.header("authorization")?.contains("/eu-west-1/s3/aws4_request") == true)
    let path = try transport.bucket("s3://buck.et/p?endpoint=http://127.0.0.1:9000")
    _ = try path.create("x", [])
    #expect(
      transport.requests.withLock { $0.last?.url } == "http://127.0.0.1:9000/buck.et/p/x")
  }

  @Test func failuresThatPassAreRepeated() throws {
    let transport = ScriptedTransport { _, number in
      switch number {
      case 1: throw TransportFailure(kind: .unreachable, message: "refused")
      case 2: return .error(503, "SlowDown")
      case 3: return .text(502, "<html>")
      case 4: return .error(409, "OperationAborted")
      case 5: return .error(400, "RequestTimeout")
      case 6: return .error(429, "TooManyRequests", headers: [(name: "Retry-After", value: "7")])
      case 7: return .error(200, "InternalError", "in a success")
      case 8: throw TransportFailure(kind: .interrupted, message: "reset")
      default: return HTTPResponse(status: 200, body: [9])
      }
    }
    let bucket = try transport.bucket()
    let begun = transport.time.withLock { $0 }
    #expect(try bucket.get("x", maximumBytes: 10) == [9])
    #expect(bucket.requests.gets == 9 && bucket.requests.repeats == 8)
    #expect(transport.time.withLock { $0 } - begun >= 7_000)
  }

  /// For a time, not a number of times; the error says what it was.
  @Test func theBudgetEnds() throws {
    let transport = ScriptedTransport { _, _ in .error(503, "SlowDown", "reduce your rate") }
    let bucket = try transport.bucket()
    let begun = transport.time.withLock { $0 }
    let error = failure { _ = try bucket.list(prefix: "", after: nil) }
    let spent = transport.time.withLock { $0 } - begun
    #expect(spent > 100_000 && spent <= 181_000)
    #expect(error?.kind == .inputOutput && error?.message.contains("SlowDown") == true)
    #expect(transport.count > 10 && transport.count < 400)
  }

  /// Nobody waits three minutes to be told of a wrong address; a store that has answered is waited for.
  @Test func aStoreThatNeverAnsweredIsGivenUpSoon() throws {
    for answersFirst in [false, true] {
      let transport = ScriptedTransport { _, number in
        if answersFirst, number == 1 { return HTTPResponse(status: 200, body: [9]) }
        throw TransportFailure(kind: .unreachable, message: "no connection: refused")
      }
      let bucket = try transport.bucket()
      if answersFirst { #expect(try bucket.get("x", maximumBytes: 10) == [9]) }
      let begun = transport.time.withLock { $0 }
      let error = failure { _ = try bucket.list(prefix: "", after: nil) }
      let spent = transport.time.withLock { $0 } - begun
      #expect(answersFirst ? spent > 100_000 : spent <= 21_000)
      #expect(error?.message.hasSuffix("the last time: no connection: refused") == true)
    }
  }

  @Test func anUnknownOutcomeIsSaid() throws {
    let transport = ScriptedTransport { _, number in
      if number == 1 { throw TransportFailure(kind: .interrupted, message: "no answer") }
      return .error(412, "PreconditionFailed")
    }
    #expect(try transport.bucket().create("x", [1]) == .exists(mayBeOwn: true))
    let sure = ScriptedTransport { _, number in
      if number == 1 { throw TransportFailure(kind: .unreachable, message: "refused") }
      return .error(412, "PreconditionFailed")
    }
    #expect(try sure.bucket().create("x", [1]) == .exists(mayBeOwn: false))
  }

  @Test func theClockIsCorrected() throws {
    let transport = ScriptedTransport(aheadMilliseconds: 3 * 86_400_000) { request, number in
      let date = [(name: "Date", value: "Tue, 01 Dec 2026 07:56:28 GMT")]
      if request.header("x-amz-date")?.hasPrefix("20261201") == true {
        return HTTPResponse(status: 204, headers: date)
      }
      return .error(403, "RequestTimeTooSkewed", headers: date)
    }
    let bucket = try transport.bucket()
    #expect(try bucket.delete("x"))
    #expect(transport.count == 2 && abs(bucket.clockOffsetMilliseconds + 3 * 86_400_000) < 2_000)
  }

  @Test func theRegionIsCorrectedOnce() throws {
    let transport = ScriptedTransport { request, _ in
      if request.url.contains("ap-south-1") { return HTTPResponse(status: 200, body: [1]) }
      return .error(
        301, "PermanentRedirect", headers: [(name: "x-amz-bucket-region", value: "ap-south-1")])
    }
    #expect(try transport.bucket().get("x", maximumBytes: 10) == [1])
    let lost = ScriptedTransport { _, number in
      .error(
        301, "PermanentRedirect", headers: [(name: "x-amz-bucket-region", value: "r-\(number)")])
    }
    #expect(
      failure { _ = try lost.bucket().get("x", maximumBytes: 10) }?.remedy.contains("region")
        == true)
    #expect(lost.count == 2)
    // Nobody is followed to a place that an answer names.
    let away = ScriptedTransport { _, _ in
      HTTPResponse(status: 307, headers: [(name: "Location", value: "http://evil.example/")])
    }
    #expect(failure { _ = try away.bucket().get("x", maximumBytes: 10) } != nil)
    #expect(away.requests.withLock { $0.allSatisfy { !$0.url.contains("evil") } })
  }

  @Test func whatStaysWrongIsExplained() throws {
    let cases: [(Int, String, StoreError.Kind, String)] = [
      (404, "NoSuchBucket", .notFound, "name"),
      (403, "AccessDenied", .invalidArgument, "s3:ListBucket"),
      (403, "InvalidAccessKeyId", .invalidArgument, "AWS_ACCESS_KEY_ID"),
      (403, "SignatureDoesNotMatch", .invalidArgument, "AWS_SECRET_ACCESS_KEY"),
      (403, "ExpiredToken", .invalidArgument, "AWS_SESSION_TOKEN"),
      (403, "RequestTimeTooSkewed", .invalidArgument, "clock"),
      (301, "PermanentRedirect", .invalidArgument, "region"),
      (501, "NotImplemented", .invalidArgument, "If-None-Match"),
      (507, "QuotaExceeded", .diskFull, "room"), (418, "Teapot", .inputOutput, ""),
    ]
    for (status, code, kind, remedy) in cases {
      let transport = ScriptedTransport { _, _ in .error(status, code) }
      let error = failure { _ = try transport.bucket().list(prefix: "", after: nil) }
      #expect(
        error?.kind == kind && error?.remedy.contains(remedy) == true, "\(code): \(error as Any)")
      #expect(error?.location.hasPrefix("s3://bucket/prefix") == true)
      #expect(transport.count <= 4, "\(code)")
    }
    // Never "is not there" for what is only not allowed.
    let denied = ScriptedTransport { _, _ in .error(403, "AccessDenied") }
    #expect(
      failure { _ = try denied.bucket().get("x", maximumBytes: 1) }?.remedy.contains("s3:GetObject")
        == true)
    let html = ScriptedTransport { _, _ in .text(200, "<html>hello</html>") }
    #expect(failure { _ = try html.bucket().list(prefix: "", after: nil) }?.kind == .inputOutput)
  }

  @Test func deletionsThatALockRefuses() throws {
    for (status, code, message) in [
      (403, "AccessDenied", "Access Denied because object protected by object lock."),
      (400, "ObjectLocked", "Object is WORM protected and cannot be overwritten"),
      (403, "AccessDenied", "The object is under a retention period"),
    ] {
      let transport = ScriptedTransport { _, _ in .error(status, code, message) }
      #expect(try !transport.bucket().delete("x"))
    }
    let denied = ScriptedTransport { _, _ in .error(403, "AccessDenied", "Access Denied") }
    #expect(
      failure { _ = try denied.bucket().delete("x") }?.remedy.contains("s3:DeleteObject") == true)
    let gone = ScriptedTransport { _, _ in .error(404, "NoSuchKey") }
    #expect(try gone.bucket().delete("x"))
  }

  /// A byte that was flipped on the way is noticed by the tag; a tag that is no MD5 is left out.
  @Test func changedBytesAreAskedForAgain() throws {
    let tag = "\"" + SignatureV4.hex(MD5.hash([1, 2, 3])) + "\""
    let flips = ScriptedTransport { _, number in
      HTTPResponse(
        status: 200, headers: [(name: "ETag", value: tag)],
        body: number == 1 ? [1, 2, 7] : [1, 2, 3])
    }
    #expect(try flips.bucket().get("x", maximumBytes: 10) == [1, 2, 3] && flips.count == 2)
    let strange = ScriptedTransport { _, _ in
      HTTPResponse(status: 200, headers: [(name: "ETag", value: tag)], body: [5])
    }
    let bucket = try strange.bucket()
    #expect(try bucket.get("x", maximumBytes: 10) == [5])
    #expect(try bucket.get("x", maximumBytes: 10) == [5] && strange.count == 3)
  }

  @Test func contentMD5WhereItIsAskedFor() throws {
    let transport = ScriptedTransport { request, _ in
      request.header("content-md5") == nil
        ? .error(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required")
        : HTTPResponse(status: 200)
    }
    let bucket = try transport.bucket()
    #expect(try bucket.create("x", [1]) == .created)
    #expect(try bucket.create("y", [1]) == .created && transport.count == 3)
  }

  @Test func pagesNameWhatFollows() throws {
    let page = """
      <ListBucketResult><IsTruncated>true</IsTruncated>
      <Contents><Key>prefix/a</Key><Size>1</Size><LastModified>2026-12-01T07:56:28Z</LastModified></Contents>
      <Contents><Key>prefix/b/c</Key><Size>2</Size><LastModified>2026-12-01T07:56:28Z</LastModified></Contents>
      </ListBucketResult>
      """
    let transport = ScriptedTransport { _, _ in .text(200, page) }
    let found = try transport.bucket().list(prefix: "", after: "x")
    #expect(found.objects.map(\.name) == ["a", "b/c"] && found.next == "b/c")
    #expect(
      transport.requests.withLock { $0.first?.url.contains("start-after=prefix%2Fx") } == true)
  }

  @Test func concurrencyFallsAndClimbs() {
    let limit = RequestLimit(most: 16)
    limit.overloaded(at: 1_000)
    limit.overloaded(at: 1_500)
    #expect(limit.current == 8)
    for second in 2...9 { limit.overloaded(at: Int64(second) * 1_000 + 1) }
    #expect(limit.current == 1)
    for _ in 0..<400 { limit.succeeded() }
    #expect(limit.current == 16)
  }

  @Test func addresses() throws {
    let full = "s3://b-1/p/q%20r?region=eu-1&endpoint=http://h:80&style=virtual&profile=x"
    #expect(try S3Address(full).text == full)
    #expect(try S3Address("s3://bucket").prefix == "" && S3Address("s3://bucket/p/").prefix == "p")
    for wrong in [
      "s3://", "s3:///p", "s3://b", "s3://bucket/a//b", "s3://bucket/../x", "s3://bucket/%zz",
      "s3://bucket?endpoint=ftp://x", "s3://bucket?style=other", "s3://bucket?secret=1",
      "s3://bucket?region=", "s3://bucket?region=a/b", "s3://bu cket/p",
      "s3://bucket?endpoint=http://h:0",
    ] { #expect(throws: StoreError.self, "\(wrong)") { _ = try S3Address(wrong) } }
  }
}
