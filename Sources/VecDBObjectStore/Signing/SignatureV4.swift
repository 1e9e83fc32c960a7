import VecDBBytes

/// Amazon's signature version 4: a request with all the headers that are signed, and the payload's
/// hash.
package struct SignatureV4 {
  package var region: String
  package var service = "s3"
  /// When, as `20150830T123600Z`.
  package var time: String

  package init(region: String, service: String = "s3", time: String) {
    self.region = region
    self.service = service
    self.time = time
  }

  private var day: String { String(time.prefix(8)) }
  private var scope: String { "\(day)/\(region)/\(service)/aws4_request" }

  /// The value of the header `authorization`.
  ///
  /// - Parameter headers: all that are signed, `host` among them.
  package func authorization(
    method: String, path: String, query: [(name: String, value: String)],
    headers: [(name: String, value: String)], payloadHash: String, credentials: Credentials
  ) -> String {
    let sorted = headers.map { ($0.name.lowercased(), Self.trimmed($0.value)) }
      .sorted { $0.0 < $1.0 }
    let names = sorted.map(\.0).joined(separator: ";")
    let canonical = [
      method, path, URLEncoding.query(query), sorted.map { "\($0.0):\($0.1)\n" }.joined(), names,
      payloadHash,
    ].joined(separator: "\n")
    let toSign = [
      "AWS4-HMAC-SHA256", time, scope, SHA256.hash(Array(canonical.utf8)).hex,
    ].joined(separator: "\n")
    let signature = HMAC.sign(Array(toSign.utf8), key: key(credentials))
    return "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope),"
      + "SignedHeaders=\(names),Signature=\(Self.hex(signature))"
  }

  private func key(_ credentials: Credentials) -> [UInt8] {
    [day, region, service, "aws4_request"].reduce(Array("AWS4\(credentials.secretKey)".utf8)) {
      HMAC.sign(Array($1.utf8), key: $0)
    }
  }

  /// Without blanks at both ends, and none repeated within.
  private static func trimmed(_ value: String) -> String {
    value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }

  package static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
