import Testing
import VecDBBytes
import VecDBFiles
import VecDBObjectStore

/// Where credentials come from, and that they stay secret.
@Suite struct CredentialsTests {
  private func chain(
    _ variables: [String: String], files: [String: String] = [:], profile: String? = nil,
    given: Credentials? = nil,
    _ transport: ScriptedTransport = ScriptedTransport { _, _ in
      throw TransportFailure(kind: .unreachable, message: "nobody")
    }
  ) -> CredentialsChain {
    CredentialsChain(
      given: given, profile: profile, region: "eu-1",
      transport.surroundings(variables, files: files))
  }

  private let files = [
    "/home/.aws/credentials": """
    [default]
    aws_access_key_id = FILE
    aws_secret_access_key=SECRET
    # a comment
    [other]
    aws_access_key_id = OTHER
    aws_secret_access_key = SECRET2
    aws_session_token = TOKEN
    """,
    "/home/.aws/config": "[profile other]\nregion = eu-7\n[default]\nregion = eu-8\n",
    "/token": "web\n",
  ]

  @Test func theFirstPlaceThatHasSome() throws {
    var variables = [
      "AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T",
      "HOME": "/home",
    ]
    let given = Credentials(accessKeyID: "GIVEN", secretKey: "S")
    #expect(try chain(variables, files: files, given: given).current().accessKeyID == "GIVEN")
    let found = try chain(variables, files: files).current()
    #expect(found.accessKeyID == "ENV" && found.sessionToken == "T")
    #expect(try chain(variables, files: files, profile: "other").current().accessKeyID == "OTHER")
    variables["AWS_ACCESS_KEY_ID"] = nil
    #expect(try chain(variables, files: files).current().accessKeyID == "FILE")
    variables["AWS_PROFILE"] = "other"
    #expect(try chain(variables, files: files).current().accessKeyID == "OTHER")
    #expect(throws: StoreError.self) { _ = try chain([:]).current() }
    #expect(throws: StoreError.self) {
      _ = try chain(variables, files: files, profile: "none").current()
    }
  }

  @Test func webIdentity() throws {
    let transport = ScriptedTransport { request, _ in
      #expect(String(decoding: request.body, as: UTF8.self).hasSuffix("WebIdentityToken=web"))
      return .text(
        200,
        """
        <AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
        <AccessKeyId>WEB</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>
        <Expiration>2026-12-01T08:56:28Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
        </AssumeRoleWithWebIdentityResponse>
        """)
    }
    let variables = ["AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:x"]
    let chain = chain(variables, files: files, transport)
    #expect(try chain.current().accessKeyID == "WEB")
    _ = try chain.current()
    #expect(transport.count == 1)
    // Five minutes before they end there are others.
    transport.time.withLock { $0 += 54 * 60_000 }
    _ = try chain.current()
    #expect(transport.count == 1)
    transport.time.withLock { $0 += 60_000 }
    _ = try chain.current()
    #expect(transport.count == 2)
  }

  @Test func containersAndMachines() throws {
    let answer =
      #"{"AccessKeyId":"ROLE","SecretAccessKey":"S","Token":"T","Expiration":"2026-12-01T09:00:00Z"}"#
    let container = ScriptedTransport { request, _ in
      #expect(request.url == "http://169.254.170.2/v2/x" && request.header("authorization") == "A")
      return .text(200, answer)
    }
    let variables = [
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "A",
    ]
    #expect(try chain(variables, container).current().accessKeyID == "ROLE")
    #expect(throws: StoreError.self) {
      _ = try chain(["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/x"], container)
        .current()
    }
    let machine = ScriptedTransport { request, _ in
      if request.method == "PUT" { return .text(200, "TOKEN") }
      #expect(request.header("x-aws-ec2-metadata-token") == "TOKEN")
      return request.url.hasSuffix("/security-credentials/")
        ? .text(200, "role") : .text(200, answer)
    }
    #expect(try chain([:], machine).current().accessKeyID == "ROLE" && machine.count == 3)
    #expect(throws: StoreError.self) {
      _ = try chain(["AWS_EC2_METADATA_DISABLED": "true"], machine).current()
    }
  }

  @Test func expiredTokensAreReplacedOnce() throws {
    let answer = #"{"AccessKeyId":"ROLE","SecretAccessKey":"S"}"#
    let number = Guarded(0)
    let transport = ScriptedTransport { request, _ in
      if request.url.contains("169.254.170.2") {
        number.withLock { $0 += 1 }
        return .text(200, answer)
      }
      return number.withLock { $0 } > 1
        ? HTTPResponse(status: 200, body: [1]) : .error(403, "ExpiredToken")
    }
    let chain = chain(["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"], transport)
    #expect(try transport.bucket(credentials: chain).get("x", maximumBytes: 1) == [1])
    #expect(number.withLock { $0 } == 2)
  }

  @Test func nothingPrintsSecrets() {
    let secret = Credentials(
      accessKeyID: "AKIA1234", secretKey: "TOPSECRET", sessionToken: "TOKENX")
    var dumped = ""
    dump(secret, to: &dumped)
    for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])"] {
      #expect(!text.contains("TOPSECRET") && !text.contains("TOKENX") && !text.contains("1234"))
    }
  }
}
