import VecDBFiles

/// One place where credentials may be found.
package protocol CredentialsSource: Sendable {
  /// Words for messages.
  var name: String { get }
  /// Nil if this place has none. Throws if it has some and they cannot be read.
  func find() throws -> Credentials?
}

/// What a source needs of the machine: tests give it another.
package struct Surroundings: Sendable {
  package var variable: @Sendable (String) -> String?
  /// Nil if the file is not there. Throws if it cannot be read.
  package var file: @Sendable (String) throws -> String?
  package var transport: any HTTPTransport
  package var nowMilliseconds: @Sendable () -> Int64

  package init(
    variable: @escaping @Sendable (String) -> String?,
    file: @escaping @Sendable (String) throws -> String?, transport: any HTTPTransport,
    nowMilliseconds: @escaping @Sendable () -> Int64
  ) {
    self.variable = variable
    self.file = file
    self.transport = transport
    self.nowMilliseconds = nowMilliseconds
  }

  package func text(_ name: String) -> String? {
    variable(name).flatMap { $0.isEmpty ? nil : $0 }
  }
}

/// `AWS_ACCESS_KEY_ID` and its companions.
package struct EnvironmentCredentials: CredentialsSource {
  package let surroundings: Surroundings
  package var name: String { "the environment" }

  package func find() throws -> Credentials? {
    guard let id = surroundings.text("AWS_ACCESS_KEY_ID"),
      let secret = surroundings.text("AWS_SECRET_ACCESS_KEY")
    else { return nil }
    return Credentials(
      accessKeyID: id, secretKey: secret, sessionToken: surroundings.text("AWS_SESSION_TOKEN"))
  }
}

/// A token in a file, exchanged for credentials of a role. The file is read each time: whoever issues
/// tokens replaces it.
package struct WebIdentityCredentials: CredentialsSource {
  package let surroundings: Surroundings
  package let region: String
  package var name: String { "the web identity" }

  package func find() throws -> Credentials? {
    guard let path = surroundings.text("AWS_WEB_IDENTITY_TOKEN_FILE"),
      let role = surroundings.text("AWS_ROLE_ARN")
    else { return nil }
    guard let token = try surroundings.file(path) else {
      throw StoreError(
        .notFound, "the file of the web identity's token is not there", at: path,
        remedy: "Check AWS_WEB_IDENTITY_TOKEN_FILE.")
    }
    let address = surroundings.text("AWS_ENDPOINT_URL_STS") ?? "https://sts.\(region).amazonaws.com"
    guard let endpoint = HTTPEndpoint(address) else {
      throw StoreError(
        .invalidArgument, "the address of the token service is no address", at: address,
        remedy: "Check AWS_ENDPOINT_URL_STS.")
    }
    let form = URLEncoding.query([
      ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", role),
      ("RoleSessionName", surroundings.text("AWS_ROLE_SESSION_NAME") ?? "vecdb"),
      ("WebIdentityToken", token.filter { !$0.isNewline }),
    ])
    let answer = try CredentialsRequest(surroundings, name).send(
      HTTPRequest(
        method: "POST", endpoint: endpoint, path: "/",
        headers: [
          (name: "content-type", value: "application/x-www-form-urlencoded")
        ], body: Array(form.utf8), timeoutMilliseconds: 10_000))
    guard answer.status == 200 else {
      let error = ErrorDocument(answer.body)
      throw StoreError(
        .invalidArgument,
        "the token service refused the web identity: "
          + (error.map { "\($0.code): \($0.message)" } ?? "status \(answer.status)"), at: role,
        remedy: "Check AWS_ROLE_ARN, and who the role trusts.")
    }
    do { return try WebIdentityDocument(answer.body).credentials } catch {
      throw StoreError(
        .invalidArgument, "the token service answered with something else than credentials",
        at: endpoint.url)
    }
  }
}

/// A request for credentials, repeated a few times.
package struct CredentialsRequest {
  private let surroundings: Surroundings
  private let what: String
  private static let attempts = 3

  package init(_ surroundings: Surroundings, _ what: String) {
    self.surroundings = surroundings
    self.what = what
  }

  package func send(_ request: HTTPRequest) throws -> HTTPResponse {
    var attempt = 0
    while true {
      attempt += 1
      do {
        let answer = try surroundings.transport.send(request)
        if answer.status < 500 || attempt == Self.attempts { return answer }
      } catch let failure as TransportFailure where attempt == Self.attempts {
        throw StoreError(
          .inputOutput, "cannot ask \(what) for credentials: \(failure.message)",
          at: request.endpoint.url)
      } catch is TransportFailure { continue }
    }
  }
}
