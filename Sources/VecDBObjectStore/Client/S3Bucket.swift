import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A prefix of a bucket, as a place for a repository.
package final class S3Bucket: Bucket {
  private let client: S3Client
  private let prefix: String
  private let counts = Guarded(RequestCounts())
  package let location: String

  package init(_ client: S3Client, _ address: S3Address) {
    self.client = client
    prefix = address.prefix.isEmpty ? "" : address.prefix + "/"
    location = address.location
  }

  package var requests: RequestCounts { counts.withLock { $0 } }
  package var clockOffsetMilliseconds: Int64 { client.offsetMilliseconds }

  private func send(_ call: S3Client.Call) throws -> S3Client.Answer {
    let answer = try client.send(call) { isRepeat in
      counts.withLock { counts in
        switch call.kind {
        case .list: counts.lists += 1
        case .get: counts.gets += 1
        case .put: counts.puts += 1
        case .delete: counts.deletes += 1
        }
        if isRepeat { counts.repeats += 1 }
        counts.bytesSent += call.body.count
      }
    }
    if call.kind == .get, answer.error == nil {
      counts.withLock { $0.bytesReceived += answer.response.body.count }
    }
    return answer
  }

  package func list(prefix wanted: String, after: String?) throws -> BucketPage {
    var call = S3Client.Call(kind: .list, method: "GET", maximumBytes: 16 << 20)
    call.query = [
      ("list-type", "2"), ("prefix", prefix + wanted), ("max-keys", "1000"),
      ("encoding-type", "url"),
    ]
    if let after { call.query.append(("start-after", prefix + after)) }
    let answer = try send(call)
    if let error = answer.error { throw failure(error, call) }
    let page: BucketPage
    do { page = try ListDocument(answer.response.body).page } catch {
      throw StoreError(
        .inputOutput, "the object store answered with something else than a list: \(error)",
        at: location, remedy: "Check the endpoint: it may not be that of an object store.")
    }
    var own = BucketPage(objects: [], next: page.next.map { String($0.dropFirst(prefix.count)) })
    for object in page.objects where object.name.hasPrefix(prefix) {
      var object = object
      object.name = String(object.name.dropFirst(prefix.count))
      if !object.name.isEmpty { own.objects.append(object) }
    }
    return own
  }

  package func get(_ name: String, maximumBytes: Int) throws -> [UInt8] {
    let call = S3Client.Call(
      kind: .get, method: "GET", key: prefix + name, maximumBytes: maximumBytes)
    let answer = try send(call)
    if let error = answer.error {
      if answer.response.status == 404, error.code != "NoSuchBucket" {
        throw StoreError(
          .notFound, "an object is missing from the repository", at: place(name),
          remedy: "Run `vecdb verify` on the repository to see all damage.")
      }
      throw failure(error, call)
    }
    guard answer.response.body.count <= maximumBytes else {
      throw StoreError(
        .limitExceeded,
        "the object has \(answer.response.body.count) bytes; the limit is \(maximumBytes)",
        at: place(name), remedy: "Something has added bytes to it: put back the original object.")
    }
    return answer.response.body
  }

  package func create(_ name: String, _ bytes: [UInt8]) throws -> CreateOutcome {
    var call = S3Client.Call(kind: .put, method: "PUT", key: prefix + name, body: bytes)
    call.headers = [(name: "if-none-match", value: "*")]
    let answer = try send(call)
    guard let error = answer.error else { return .created }
    switch answer.response.status {
    case 412, 409: return .exists(mayBeOwn: answer.mayHaveHappened)
    default: throw failure(error, call)
    }
  }

  package func delete(_ name: String) throws -> Bool {
    let call = S3Client.Call(kind: .delete, method: "DELETE", key: prefix + name)
    let answer = try send(call)
    guard let error = answer.error else { return true }
    if answer.response.status == 404, error.code != "NoSuchBucket" { return true }
    if Self.isLock(error, answer.response.status) { return false }
    throw failure(error, call)
  }

  /// Whether a refusal means that the object is kept for a time.
  private static func isLock(_ error: ErrorDocument, _ status: Int) -> Bool {
    guard status == 403 || status == 400 || status == 409 || status == 405 else { return false }
    let text = (error.code + " " + error.message).lowercased()
    return ["object lock", "objectlock", "locked", "worm", "retention", "legal hold"].contains {
      text.contains($0)
    }
  }

  // MARK: Errors

  private func failure(_ error: ErrorDocument, _ call: S3Client.Call) -> StoreError {
    let place = client.location(call)
    let (kind, message, remedy) = Self.explanation(error, call.kind, client)
    return StoreError(kind, message, at: place, remedy: remedy)
  }

  private static func explanation(
    _ error: ErrorDocument, _ kind: S3Client.Call.Kind, _ client: S3Client
  ) -> (StoreError.Kind, String, String) {
    let said = "the object store says \(error.code): \(error.message)"
    switch error.code {
    case "NoSuchBucket":
      return (
        .notFound, "there is no bucket '\(client.address.bucket)'",
        "Check its name, its region and the endpoint, or create it."
      )
    case "InvalidAccessKeyId", "Status401":
      return (
        .invalidArgument, "the object store does not know the access key",
        "Check AWS_ACCESS_KEY_ID, or which profile or role is used, and the endpoint."
      )
    case "SignatureDoesNotMatch":
      return (
        .invalidArgument, "the object store takes another signature for right",
        "Check AWS_SECRET_ACCESS_KEY and the region. A proxy that changes requests does this too."
      )
    case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired":
      return (
        .invalidArgument, "the credentials have ended, and there are no newer ones",
        "Log in again, or check AWS_SESSION_TOKEN."
      )
    case "RequestTimeTooSkewed":
      return (
        .invalidArgument, "the clocks of this machine and of the object store differ too much",
        "Set this machine's clock."
      )
    case "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "Status301",
      "Status302", "Status307", "Status308":
      return (
        .invalidArgument, "the bucket is in another region: \(error.message)",
        "Give its region in the address: ?region=…"
      )
    case "AccessDenied", "AllAccessDisabled", "Status403":
      return (
        .invalidArgument, "the credentials do not allow to \(verb(kind)): \(error.message)",
        "Grant \(right(kind)) to whoever these credentials stand for; see the article on object stores."
      )
    case "NotImplemented", "Status501":
      return (
        .invalidArgument, said,
        "The store lacks something that vecdb needs, perhaps If-None-Match. Use another one."
      )
    case "QuotaExceeded", "XMinioStorageFull", "Status507":
      return (.diskFull, said, "Make room in the store, or prune the repository.")
    default: return (.inputOutput, said, "")
    }
  }

  private static func verb(_ kind: S3Client.Call.Kind) -> String {
    switch kind {
    case .list: "list objects"
    case .get: "read this object"
    case .put: "write this object"
    case .delete: "delete this object"
    }
  }

  private static func right(_ kind: S3Client.Call.Kind) -> String {
    switch kind {
    case .list: "s3:ListBucket on the bucket"
    case .get: "s3:GetObject on its objects"
    case .put: "s3:PutObject on its objects"
    case .delete: "s3:DeleteObject on its objects"
    }
  }
}
