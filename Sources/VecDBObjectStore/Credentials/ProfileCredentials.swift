import VecDBFiles

/// The files `~/.aws/credentials` and `~/.aws/config`.
package struct ProfileCredentials: CredentialsSource {
  package let surroundings: Surroundings
  /// Nil for that of the environment, or `default`.
  package let profile: String?

  private var wanted: String { profile ?? surroundings.text("AWS_PROFILE") ?? "default" }
  package var name: String { "profile '\(wanted)'" }

  package func find() throws -> Credentials? {
    let found = try values()
    guard let id = found["aws_access_key_id"], let secret = found["aws_secret_access_key"] else {
      guard profile == nil, found["role_arn"] == nil, found["sso_session"] == nil else {
        throw StoreError(
          .invalidArgument, "profile '\(wanted)' holds no access key",
          remedy: "Give one with aws_access_key_id and aws_secret_access_key, or set "
            + "AWS_ACCESS_KEY_ID: profiles that assume roles or log in are not followed.")
      }
      return nil
    }
    return Credentials(
      accessKeyID: id, secretKey: secret, sessionToken: found["aws_session_token"])
  }

  /// What the profile sets; empty if there is none.
  package func values() throws -> [String: String] {
    var found: [String: String] = [:]
    let home = surroundings.text("HOME")
    let config =
      surroundings.text("AWS_CONFIG_FILE") ?? home.map { $0 + "/.aws/config" }
    let credentials =
      surroundings.text("AWS_SHARED_CREDENTIALS_FILE") ?? home.map { $0 + "/.aws/credentials" }
    if let config, let text = try surroundings.file(config) {
      let section = wanted == "default" ? ["default", "profile default"] : ["profile \(wanted)"]
      found = Self.section(section, of: text)
    }
    if let credentials, let text = try surroundings.file(credentials) {
      found.merge(Self.section([wanted], of: text)) { $1 }
    }
    return found
  }

  /// The settings of a section of an INI file; settings within settings are left out.
  package static func section(_ names: [String], of text: String) -> [String: String] {
    var isWanted = false
    var found: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      guard let first = line.first, first != "#", first != ";", !first.isWhitespace else {
        continue
      }
      if first == "[" {
        let name = line.dropFirst().prefix { $0 != "]" }
          .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        isWanted = names.contains(name)
      } else if isWanted, let equals = line.firstIndex(of: "=") {
        let key = line[..<equals].filter { !$0.isWhitespace }.lowercased()
        found[key] = trimmed(line[line.index(after: equals)...])
      }
    }
    return found
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
