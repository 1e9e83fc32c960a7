import FoundationEssentials
import VecDBFiles

/// What both kinds of machines answer with.
private struct CredentialsAnswer: Decodable {
  var accessKeyID: String
  var secretAccessKey: String
  var token: String?
  var expiration: String?

  enum CodingKeys: String, CodingKey {
    case accessKeyID = "AccessKeyId"
    case secretAccessKey = "SecretAccessKey"
    case token = "Token"
    case expiration = "Expiration"
  }

  var credentials: Credentials {
    Credentials(
      accessKeyID: accessKeyID, secretKey: secretAccessKey, sessionToken: token,
      expiresMilliseconds: expiration.flatMap(StoreTime.iso8601))
  }

  static func read(_ bytes: [UInt8], from place: String) throws -> Credentials {
    do {
      return try JSONDecoder().decode(CredentialsAnswer.self, from: Data(bytes)).credentials
    } catch {
      // The bytes may hold secrets: they are not shown.
      throw StoreError(.invalidArgument, "the answer holds no credentials", at: place)
    }
  }
}

/// A container's address for credentials, as ECS, EKS and others give one.
package struct ContainerCredentials: CredentialsSource {
  package let surroundings: Surroundings
  package var name: String { "the container" }

  private static let host = "http://169.254.170.2"

  package func find() throws -> Credentials? {
    let address: String
    if let relative = surroundings.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
      address = Self.host + (relative.hasPrefix("/") ? relative : "/" + relative)
    } else if let full = surroundings.text("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
      address = full
    } else {
      return nil
    }
    let slashes = address.hasPrefix("https://") ? 8 : 7
    let rest = address.dropFirst(slashes)
    let path = rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? "/"
    guard let endpoint = HTTPEndpoint(String(address.dropLast(path == "/" ? 0 : path.utf8.count))),
      Self.isTrusted(endpoint)
    else {
      throw StoreError(
        .invalidArgument, "the container's address for credentials is not one to trust",
        at: address, remedy: "It must be https, or http of this machine.")
    }
    var headers: [(name: String, value: String)] = []
    if let path = surroundings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
      let token = try surroundings.file(path)
    {
      headers.append((name: "authorization", value: token.filter { !$0.isNewline }))
    } else if let token = surroundings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
      headers.append((name: "authorization", value: token))
    }
    let answer = try CredentialsRequest(surroundings, name).send(
      HTTPRequest(
        method: "GET", endpoint: endpoint, path: path, headers: headers,
        timeoutMilliseconds: 5_000))
    guard answer.status == 200 else {
      throw StoreError(
        .invalidArgument, "the container gave no credentials: status \(answer.status)", at: address)
    }
    return try CredentialsAnswer.read(answer.body, from: address)
  }

  private static func isTrusted(_ endpoint: HTTPEndpoint) -> Bool {
    endpoint.isSecure
      || ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
        .contains(endpoint.host)
  }
}

/// The role of a virtual machine, by its metadata service, version 2.
package struct InstanceCredentials: CredentialsSource {
  package let surroundings: Surroundings
  package var name: String { "the machine's role" }

  private static let tokenSeconds = 21_600
  private static let rolePath = "/latest/meta-data/iam/security-credentials/"

  package func find() throws -> Credentials? {
    if surroundings.text("AWS_EC2_METADATA_DISABLED")?.lowercased() == "true" { return nil }
    let address =
      surroundings.text("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
    guard let endpoint = HTTPEndpoint(address) else {
      throw StoreError(
        .invalidArgument, "the address of the metadata service is no address", at: address,
        remedy: "Check AWS_EC2_METADATA_SERVICE_ENDPOINT.")
    }
    let token: String
    do {
      let answer = try surroundings.transport.send(
        HTTPRequest(
          method: "PUT", endpoint: endpoint, path: "/latest/api/token",
          headers: [
            (name: "x-aws-ec2-metadata-token-ttl-seconds", value: "\(Self.tokenSeconds)")
          ], timeoutMilliseconds: 2_000))
      guard answer.status == 200 else { return nil }
      token = String(decoding: answer.body, as: UTF8.self)
    } catch is TransportFailure {
      // This is no such machine.
      return nil
    }
    guard let roles = try get(Self.rolePath, token, endpoint) else { return nil }
    let role = String(decoding: roles.prefix { $0 != 10 && $0 != 13 }, as: UTF8.self)
    guard !role.isEmpty,
      let answer = try get(Self.rolePath + URLEncoding.encode(role), token, endpoint)
    else { return nil }
    return try CredentialsAnswer.read(answer, from: endpoint.url)
  }

  private func get(_ path: String, _ token: String, _ endpoint: HTTPEndpoint) throws -> [UInt8]? {
    let answer = try CredentialsRequest(surroundings, name).send(
      HTTPRequest(
        method: "GET", endpoint: endpoint, path: path,
        headers: [(name: "x-aws-ec2-metadata-token", value: token)], timeoutMilliseconds: 5_000))
    return answer.status == 200 ? answer.body : nil
  }
}
